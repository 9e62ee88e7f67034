/* SPDX-License-Identifier: Apache-2.0 */
#include "scheduler/plan_internal.h"

#include "runtime/memory.h"

#include <stdlib.h>
#include <string.h>

/* Data in a file may lie at any offset; kernels read plain weights by their elements. */
enum { ELEMENT_ALIGNMENT = 4 };

static bool is_read_in_place(const struct ash_plan *plan, const struct plan_device *device,
    const struct ash_tensor *weight, bool packed)
{
    return !packed && device->device->info.host_memory &&
           ash_tensor_bytes(weight) >= plan->in_place_bytes &&
           (uintptr_t)weight->data % ELEMENT_ALIGNMENT == 0;
}

/* Kernels may have a layout in common; those that do not say how they pack have none but their own. */
static bool is_packed_alike(const struct ash_loaded *a, const struct ash_loaded *b)
{
    if (a->packed_input != b->packed_input || a->packed_bytes != b->packed_bytes)
        return false;
    return a->layout && b->layout ? a->layout->pack == b->layout->pack
                                  : strcmp(a->kernel, b->kernel) == 0;
}

static bool is_packed(const struct plan_node *node, int input)
{
    return input > 0 && node->loaded->packed_input == input;
}

static const struct plan_upload *find_upload(
    const struct ash_plan *plan, const struct plan_node *reader, const struct plan_upload *like)
{
    for (size_t i = 0; i < plan->uploads; i++) {
        const struct plan_upload *item = &plan->upload[i];
        const struct plan_node *node = &plan->node[item->node];
        if (item->value == like->value && item->device == like->device &&
            item->packed == like->packed &&
            (!like->packed ||
                (node->op == reader->op && is_packed_alike(node->loaded, reader->loaded))))
            return item;
    }
    return NULL;
}

/* A packed copy of the weight that a step can read row by row, instead of a plain one of its own. */
static const struct plan_upload *find_readable(
    const struct ash_plan *plan, const struct plan_node *reader, const struct plan_upload *like)
{
    for (size_t i = 0; i < plan->uploads && reader->loaded->reads_packed && like->input == 0; i++) {
        const struct plan_upload *item = &plan->upload[i];
        if (item->value == like->value && item->device == like->device && item->packed &&
            plan->node[item->node].loaded->layout)
            return item;
    }
    return NULL;
}

/* The step reads input i where `plan`, this one or one that it is based on, has it. Memory of this one is
 * not there yet: give_memory() completes those. */
static void read_upload(
    const struct ash_plan *plan, const struct plan_upload *upload, struct ash_step *step, int i)
{
    const struct ash_buffer *weights = plan->device[upload->device].weights;
    if (upload->packed)
        step->args.in[i].layout = plan->node[upload->node].loaded->layout;
    step->in[i].offset_bytes = upload->offset_bytes;
    step->in[i].buffer = plan->device[upload->device].weights;
    if (weights && weights->host)
        step->args.in[i].data = (char *)weights->host + upload->offset_bytes;
}

static enum ash_status add_upload(struct ash_plan *plan, struct plan_upload *wanted,
    size_t *total_bytes, const struct plan_upload **out)
{
    const struct plan_node *node = &plan->node[wanted->node];
    wanted->size_bytes = wanted->packed ? node->loaded->packed_bytes
                                        : ash_tensor_bytes(&plan->value[wanted->value].tensor);
    wanted->offset_bytes = total_bytes[node->device];
    total_bytes[node->device] += plan_aligned(wanted->size_bytes);
    ASH_TRY(ASH_GROW(plan->upload, plan->upload_capacity, plan->uploads));
    plan->upload[plan->uploads] = *wanted;
    *out = &plan->upload[plan->uploads++];
    return ASH_OK;
}

/* The plan that has the weight already, in a form that the step can read, this one last; NULL, and *out
 * too, if none has. */
static const struct ash_plan *find_any(const struct ash_plan *plan, const struct plan_node *reader,
    const struct plan_upload *wanted, const struct plan_upload **out)
{
    const struct ash_plan *owner = plan->base ? find_any(plan->base, reader, wanted, out) : NULL;
    if (owner)
        return owner;
    *out = find_readable(plan, reader, wanted);
    if (!*out)
        *out = find_upload(plan, reader, wanted);
    return *out ? plan : NULL;
}

/* Notes that node `index` reads a weight as input i, and where that will lie. */
static enum ash_status add_use(struct ash_plan *plan, size_t *total_bytes, size_t index, int i)
{
    const struct plan_node *node = &plan->node[index];
    struct plan_value *value = &plan->value[node->in[i]];
    struct ash_step *step = &plan->step[index];
    struct plan_upload wanted = { .value = node->in[i],
        .device = node->device,
        .node = index,
        .input = i,
        .packed = is_packed(node, i) };
    const struct plan_upload *found;
    const struct ash_plan *owner = find_any(plan, node, &wanted, &found);
    if (!found &&
        is_read_in_place(plan, &plan->device[node->device], &value->tensor, wanted.packed)) {
        step->args.in[i].data = value->tensor.data;
        plan->summary.mapped_bytes += value->mapped ? 0 : ash_tensor_bytes(&value->tensor);
        value->mapped = true;
        return ASH_OK;
    }
    if (!found)
        ASH_TRY(add_upload(plan, &wanted, total_bytes, &found));
    read_upload(owner ? owner : plan, found, step, i);
    return ASH_OK;
}

/* Packed uses first: plain ones may then share their memory. */
static enum ash_status add_uses(struct ash_plan *plan, size_t *total_bytes)
{
    for (int packed = 1; packed >= 0; packed--)
        for (size_t n = 0; n < plan->nodes; n++)
            for (int i = 0; i < ASH_MAX_INPUTS; i++) {
                const struct plan_node *node = &plan->node[n];
                if (node->in[i] == ASH_NO_VALUE || is_packed(node, i) != packed)
                    continue;
                bool is_weight = plan->value[node->in[i]].kind == ASH_VALUE_WEIGHT;
                if (packed && !is_weight)
                    return ash_fail(ASH_ERR_UNSUPPORTED,
                        "%s: the kernel %s of %s takes a weight as input %d, not something computed",
                        node->name, node->loaded->kernel, node->op->name, i);
                if (is_weight)
                    ASH_TRY(add_use(plan, total_bytes, n, i));
            }
    return ASH_OK;
}

/* Largest first: then the memory for packed copies and the page cache's largest tensor together are
 * never more than all the weights. */
static int by_size(const void *a, const void *b)
{
    const struct plan_upload *x = a, *y = b;
    if (x->size_bytes != y->size_bytes)
        return x->size_bytes < y->size_bytes ? 1 : -1;
    return x->offset_bytes < y->offset_bytes ? -1 : 1;
}

/* Memory for all of a device's weights, and their places for the steps that wait for them. */
static enum ash_status give_memory(struct ash_plan *plan, int32_t index, size_t size_bytes)
{
    struct plan_device *device = &plan->device[index];
    if (size_bytes == 0)
        return ASH_OK;
    ASH_TRY(plan_alloc(plan, index, size_bytes, ASH_MEMORY_WEIGHTS, "weights", &device->weights));
    plan->summary.weight_bytes += size_bytes;
    for (size_t n = 0; n < plan->nodes; n++)
        for (int i = 0; i < ASH_MAX_INPUTS && plan->node[n].device == index; i++) {
            ash_value in = plan->node[n].in[i];
            struct ash_step *step = &plan->step[n];
            if (in == ASH_NO_VALUE || plan->value[in].kind != ASH_VALUE_WEIGHT ||
                step->args.in[i].data || step->in[i].buffer)
                continue;
            step->in[i].buffer = device->weights;
            if (device->weights->host)
                step->args.in[i].data = (char *)device->weights->host + step->in[i].offset_bytes;
        }
    return ASH_OK;
}

/* Devices hear which steps will read the weights while nothing has been written that would have to move. */
static enum ash_status settle_weights(const struct ash_plan *plan)
{
    for (int32_t first = 0, end, steps = (int32_t)plan->nodes; first < steps; first = end) {
        struct ash_device *device = plan->device[plan->node[first].device].device;
        for (end = first + 1; end < steps && !plan_begins_segment(plan, end);)
            end++;
        if (device->driver->settle && !plan_is_copy(&plan->node[first]))
            ASH_TRY(device->driver->settle(device, &plan->step[first], end - first));
    }
    return ASH_OK;
}

/* Marks the last upload of each weight that no step reads where it lies. */
static void mark_last(struct ash_plan *plan)
{
    for (size_t i = plan->uploads; i-- > 0;) {
        struct plan_value *value = &plan->value[plan->upload[i].value];
        plan->upload[i].last = !value->mapped && !value->released;
        value->released = true;
    }
}

static enum ash_status upload_all(struct ash_plan *plan, const struct ash_plan_options *options)
{
    uint64_t done = 0, total = plan->summary.weight_bytes;
    for (size_t i = 0; i < plan->uploads; i++) {
        const struct plan_upload *item = &plan->upload[i];
        const struct plan_device *device = &plan->device[item->device];
        const struct plan_node *node = &plan->node[item->node];
        const struct ash_tensor *weight = &plan->value[item->value].tensor;
        if (options->progress && !options->progress(options->context, done, total))
            return ash_fail(ASH_ERR_CANCELED, "stopped while weights were loaded");
        ASH_TRY(plan_note(plan, item->device,
            ash_fail_in(device->device->driver->upload(device->device, node->loaded, item->input,
                            weight, (struct ash_place){ device->weights, item->offset_bytes }),
                "%s", node->name)));
        done += plan_aligned(item->size_bytes);
        if (item->last && options->release)
            options->release(options->context, weight);
    }
    if (plan->uploads && options->progress && !options->progress(options->context, done, total))
        return ash_fail(ASH_ERR_CANCELED, "stopped when all weights were loaded");
    return ASH_OK;
}

enum ash_status plan_add_weights(struct ash_plan *plan, const struct ash_plan_options *options)
{
    size_t *total_bytes = ash_alloc_array((size_t)plan->devices, sizeof *total_bytes);
    if (!total_bytes)
        return ash_fail_memory((size_t)plan->devices * sizeof(size_t), "weights");
    plan->in_place_bytes = options->in_place_bytes;
    enum ash_status status = add_uses(plan, total_bytes);
    for (int32_t i = 0; i < plan->devices && status == ASH_OK; i++)
        status = give_memory(plan, i, total_bytes[i]);
    if (status == ASH_OK)
        status = settle_weights(plan);
    if (status == ASH_OK) {
        if (plan->uploads)
            qsort(plan->upload, plan->uploads, sizeof *plan->upload, by_size);
        mark_last(plan);
        status = upload_all(plan, options);
    }
    if (plan->base)
        plan->summary.weight_bytes += plan->base->summary.weight_bytes;
    ash_free(total_bytes);
    return status;
}

/* ---- States ---- */

static void set_states(struct ash_plan *plan, int32_t index)
{
    for (size_t n = 0; n < plan->nodes; n++)
        for (int i = 0; i < ASH_MAX_INPUTS && plan->node[n].device == index; i++) {
            ash_value in = plan->node[n].in[i];
            if (in == ASH_NO_VALUE || plan->value[in].kind != ASH_VALUE_STATE)
                continue;
            plan->step[n].in[i] = plan->value[in].place;
            plan->step[n].args.in[i].data = plan->value[in].tensor.data;
        }
}

static void share_states(struct ash_plan *plan)
{
    for (size_t i = 0; i < plan->values; i++)
        if (plan->value[i].kind == ASH_VALUE_STATE) {
            plan->value[i].place = plan->base->value[i].place;
            plan->value[i].tensor.data = plan->base->value[i].tensor.data;
        }
    plan->summary.state_bytes = plan->base->summary.state_bytes;
    for (int32_t i = 0; i < plan->devices; i++)
        set_states(plan, i);
}

/* Memory for the states of one device. */
static enum ash_status add_states(struct ash_plan *plan, int32_t index)
{
    struct plan_device *device = &plan->device[index];
    size_t total = 0;
    for (size_t i = 0; i < plan->values; i++)
        if (plan->value[i].kind == ASH_VALUE_STATE && plan->value[i].device == index) {
            plan->value[i].place.offset_bytes = total;
            total += plan_aligned(ash_tensor_bytes(&plan->value[i].tensor));
        }
    if (total == 0)
        return ASH_OK;
    ASH_TRY(plan_alloc(plan, index, total, ASH_MEMORY_STATE, "states (caches)", &device->states));
    plan->summary.state_bytes += total;
    for (size_t i = 0; i < plan->values; i++) {
        struct plan_value *value = &plan->value[i];
        if (value->kind != ASH_VALUE_STATE || value->device != index)
            continue;
        value->place.buffer = device->states;
        if (device->states->host)
            value->tensor.data = (char *)device->states->host + value->place.offset_bytes;
    }
    set_states(plan, index);
    return ASH_OK;
}

enum ash_status plan_add_states(struct ash_plan *plan)
{
    if (plan->base)
        share_states(plan);
    for (int32_t i = 0; i < plan->devices && !plan->base; i++)
        ASH_TRY(add_states(plan, i));
    return ASH_OK;
}

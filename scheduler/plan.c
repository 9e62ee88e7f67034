/* SPDX-License-Identifier: Apache-2.0 */
#include "scheduler/plan.h"

#include "runtime/memory.h"
#include "runtime/trace.h"
#include "scheduler/plan_internal.h"

#include <stdio.h>
#include <string.h>

struct ash_args plan_args(const struct ash_plan *plan, const struct plan_node *node)
{
    struct ash_args args = { .params = node->params, .prompts = plan->prompts };
    for (int i = 0; i < ASH_MAX_INPUTS; i++)
        if (node->in[i] != ASH_NO_VALUE) {
            args.in[i] = plan->value[node->in[i]].tensor;
            args.in[i].data = NULL;
        }
    if (node->out != ASH_NO_VALUE) {
        args.out = plan->value[node->out].tensor;
        args.out.data = NULL;
    }
    return args;
}

bool plan_is_alike(const struct ash_tensor *a, const struct ash_tensor *b)
{
    return a->type == b->type && a->extent == b->extent && a->rank == b->rank &&
           memcmp(a->dim, b->dim, sizeof a->dim) == 0;
}

enum ash_status plan_add_value(
    struct ash_plan *plan, const struct ash_tensor *tensor, ash_value *out)
{
    ASH_TRY(ASH_GROW(plan->value, plan->value_capacity, plan->values));
    *out = (ash_value)plan->values++;
    plan->value[*out] = (struct plan_value){
        .kind = ASH_VALUE_RESULT, .tensor = *tensor, .node = -1, .root = *out
    };
    return ASH_OK;
}

void plan_node_finish(struct ash_plan *plan, struct plan_node *node)
{
    struct ash_device *device = plan->device[node->device].device;
    if (!plan_is_copy(node))
        device->driver->unload(device, node->loaded);
    ash_free(node->name);
    ash_free(node->params);
}

const char *plan_device_name(const struct ash_plan *plan, int32_t index, char text[PLAN_NAME_BYTES])
{
    const struct ash_device *device = plan->device[index].device;
    snprintf(text, PLAN_NAME_BYTES, "%s:%d", device->driver->name, device->info.index);
    return text;
}

enum ash_status plan_alloc(struct ash_plan *plan, int32_t index, size_t size_bytes,
    enum ash_memory_use use, const char *what, struct ash_buffer **out)
{
    struct plan_device *held = &plan->device[index];
    uint64_t most = held->device->info.memory_bytes;
    char name[PLAN_NAME_BYTES];
    plan_device_name(plan, index, name);
    if (plan->devices > 1 && (held->used_bytes > most || size_bytes > most - held->used_bytes))
        return plan_note(plan, index,
            ash_fail(ASH_ERR_NO_MEMORY, "%s on %s: %zu bytes wanted, %zu of its %llu are taken",
                what, name, size_bytes, held->used_bytes, (unsigned long long)most));
    enum ash_status status = held->device->driver->alloc(held->device, size_bytes, use, out);
    if (status == ASH_OK)
        held->used_bytes += size_bytes;
    return plan_note(plan, index, ash_fail_in(status, "%s on %s", what, name));
}

/* ---- From the graph ---- */

static enum ash_status import_values(struct ash_plan *plan, const struct ash_graph *graph)
{
    const struct ash_batch most = { .tokens = (int32_t)plan->tokens,
        .outputs = (int32_t)plan->outputs };
    for (ash_value i = 0; i < ash_graph_values(graph); i++) {
        const struct ash_graph_value *value = ash_graph_value_at(graph, i);
        struct ash_tensor tensor = value->tensor;
        ash_value index;
        ash_tensor_bind(&tensor, &most);
        ASH_TRY(plan_add_value(plan, &tensor, &index));
        plan->value[index].kind = value->kind;
        plan->value[index].output = value->output;
        plan->value[index].node = value->producer;
    }
    return ASH_OK;
}

static enum ash_status import_node(
    struct ash_plan *plan, const struct ash_graph_node *node, int32_t device)
{
    size_t bytes = node->op->params_bytes;
    ASH_TRY(ASH_GROW(plan->node, plan->node_capacity, plan->nodes));
    struct plan_node *copy = &plan->node[plan->nodes++];
    *copy = (struct plan_node){
        .name = ash_strdup(node->name), .op = node->op, .out = node->out, .device = device
    };
    if (bytes)
        copy->params = ash_alloc(bytes);
    if (!copy->name || (bytes && !copy->params))
        return ash_fail_memory(strlen(node->name) + 1 + bytes, "a plan's node");
    if (bytes)
        memcpy(copy->params, node->params, bytes);
    memcpy(copy->in, node->in, sizeof copy->in);
    for (int i = 0; i < ASH_MAX_INPUTS; i++)
        if (node->in[i] != ASH_NO_VALUE)
            plan->value[node->in[i]].uses++;
    return ASH_OK;
}

static enum ash_status import_nodes(
    struct ash_plan *plan, const struct ash_graph *graph, const int32_t *placement)
{
    for (int32_t i = 0; i < ash_graph_nodes(graph); i++) {
        const struct ash_graph_node *node = ash_graph_node_at(graph, i);
        int32_t device = placement ? placement[i] : 0;
        if (device < 0 || device >= plan->devices)
            return ash_fail(ASH_ERR_ARGUMENT, "%s is placed on device %d of %d", node->name, device,
                plan->devices);
        ASH_TRY(import_node(plan, node, device));
    }
    return plan_settle_states(plan);
}

static int64_t at_most(int64_t count, int64_t most)
{
    return count < most ? count : most;
}

static enum ash_status import(
    struct ash_plan *plan, const struct ash_graph *graph, const struct ash_plan_options *options)
{
    ASH_TRY(ash_graph_status(graph));
    if (ash_graph_nodes(graph) == 0)
        return ash_fail(ASH_ERR_ARGUMENT, "the graph has no operators");
    plan->tokens = at_most(ash_graph_tokens(graph), plan->tokens);
    plan->outputs = at_most(ash_graph_outputs(graph), plan->tokens);
    plan->summary.nodes = ash_graph_nodes(graph);
    ASH_TRY(import_values(plan, graph));
    return import_nodes(plan, graph, options->placement);
}

/* ---- Steps and segments ---- */

/* One step a node, with all but the places of states and weights. */
static enum ash_status make_steps(struct ash_plan *plan)
{
    plan->step = ash_alloc_array(plan->nodes, sizeof *plan->step);
    if (!plan->step)
        return ash_fail_memory(plan->nodes * sizeof *plan->step, "steps");
    plan->summary.steps = (int32_t)plan->nodes;
    for (size_t n = 0; n < plan->nodes; n++) {
        const struct plan_node *node = &plan->node[n];
        struct ash_step *step = &plan->step[n];
        *step = (struct ash_step){ .name = node->name,
            .op = node->op,
            .loaded = node->loaded,
            .args = plan_args(plan, node),
            .phase = node->phase };
        for (int i = 0; i < ASH_MAX_INPUTS; i++)
            if (node->in[i] != ASH_NO_VALUE && plan->value[node->in[i]].kind == ASH_VALUE_RESULT) {
                step->in[i] = plan->value[node->in[i]].place;
                step->args.in[i].data = plan->value[node->in[i]].tensor.data;
            }
        if (node->out != ASH_NO_VALUE) {
            step->out = plan->value[node->out].place;
            step->args.out.data = plan->value[node->out].tensor.data;
        }
    }
    return ASH_OK;
}

static enum ash_status compile_segment(struct ash_plan *plan, struct plan_segment *segment)
{
    struct ash_device *device = plan->device[segment->device].device;
    if (!device->driver->compile || segment->from >= 0)
        return ASH_OK;
    return plan_note(plan, segment->device,
        device->driver->compile(device, &plan->step[segment->first], segment->end - segment->first,
            plan->trace, &segment->program));
}

/* Host memory for a copy between two devices that neither the host reaches nor their driver joins. */
static enum ash_status stage(struct ash_plan *plan, struct plan_segment *segment)
{
    if (segment->from < 0)
        return ASH_OK;
    const struct ash_step *step = &plan->step[segment->first];
    size_t bytes = ash_tensor_bytes(&step->args.out);
    const struct ash_device *source = step->in[0].buffer->device,
                            *target = step->out.buffer->device;
    if (step->in[0].buffer->host || step->out.buffer->host ||
        (source->driver == target->driver && source->driver->copies_to_peers))
        return ASH_OK;
    segment->staging = (struct ash_buffer){ .size_bytes = bytes, .host = ash_alloc_pages(bytes) };
    return segment->staging.host ? ASH_OK : ash_fail_memory(bytes, "a copy between devices");
}

/* A copy is a segment of its own. */
bool plan_begins_segment(const struct ash_plan *plan, int32_t step)
{
    const struct plan_node *node = &plan->node[step];
    return step == 0 || node->device != node[-1].device || plan_is_copy(node) ||
           plan_is_copy(&node[-1]);
}

static void add_segment(struct ash_plan *plan, int32_t step)
{
    const struct plan_node *node = &plan->node[step];
    plan->segment[plan->segments++] = (struct plan_segment){ .device = node->device,
        .from = plan_is_copy(node) ? plan->value[node->in[0]].device : -1,
        .first = step };
}

static enum ash_status make_segments(struct ash_plan *plan)
{
    int32_t count = 0, steps = plan->summary.steps;
    for (int32_t i = 0; i < steps; i++)
        count += plan_begins_segment(plan, i);
    plan->segment = ash_alloc_array((size_t)count, sizeof *plan->segment);
    if (!plan->segment)
        return ash_fail_memory((size_t)count * sizeof *plan->segment, "segments");
    for (int32_t i = 0; i < steps; i++) {
        if (plan_begins_segment(plan, i))
            add_segment(plan, i);
        plan->segment[plan->segments - 1].end = i + 1;
    }
    for (int32_t i = 0; i < plan->segments; i++) {
        ASH_TRY(stage(plan, &plan->segment[i]));
        ASH_TRY(compile_segment(plan, &plan->segment[i]));
    }
    return ASH_OK;
}

/* ---- Outputs ---- */

/* Outputs are read where they are made; where the host cannot, in a copy: of parts of a batch, in the whole plan's. */
static enum ash_status add_output(struct ash_plan *plan, ash_value index)
{
    const struct plan_value *value = &plan->value[index];
    struct plan_output *output = &plan->output[plan->output_count++];
    *output = (struct plan_output){ .value = index, .tensor = value->tensor };
    if (output->tensor.data)
        return ASH_OK;
    output->place = value->place;
    if (plan->whole)
        return ASH_OK;
    size_t bytes = ash_tensor_bytes(&output->tensor);
    output->copy = (struct ash_buffer){ .size_bytes = bytes, .host = ash_alloc_pages(bytes) };
    if (!output->copy.host)
        return ash_fail_memory(bytes, "an output");
    output->tensor.data = output->copy.host;
    return ASH_OK;
}

static enum ash_status add_outputs(struct ash_plan *plan)
{
    size_t count = 0;
    for (size_t i = 0; i < plan->values; i++)
        count += plan->value[i].output;
    plan->output = ash_alloc_array(count, sizeof *plan->output);
    if (!plan->output)
        return ash_fail_memory(count * sizeof *plan->output, "outputs");
    for (size_t i = 0; i < plan->values; i++)
        if (plan->value[i].output)
            ASH_TRY(add_output(plan, (ash_value)i));
    return ASH_OK;
}

const struct ash_tensor *ash_plan_output(const struct ash_plan *plan, ash_value value)
{
    for (int32_t i = 0; i < plan->output_count; i++)
        if (plan->output[i].value == value)
            return &plan->output[i].tensor;
    return NULL;
}

struct ash_place ash_plan_state(const struct ash_plan *plan, ash_value value)
{
    if (value < 0 || (size_t)value >= plan->values || plan->value[value].kind != ASH_VALUE_STATE)
        return (struct ash_place){ 0 };
    return plan->value[value].place;
}

bool ash_plan_is_same(const struct ash_plan *a, const struct ash_plan *b)
{
    bool same = a->nodes == b->nodes;
    for (size_t i = 0; same && i < a->nodes; i++)
        same = a->node[i].op == b->node[i].op &&
               strcmp(a->node[i].loaded->kernel, b->node[i].loaded->kernel) == 0;
    return same;
}

/* ---- The life of a plan ---- */

static enum ash_status take_devices(struct ash_plan *plan, const struct ash_plan_options *options)
{
    plan->base = plan->whole ? plan->whole : options->answers;
    plan->prompts = plan->whole ? plan->whole->prompts : options->answers != NULL;
    if (options->device_count < 1)
        return ash_fail(ASH_ERR_ARGUMENT, "a plan needs a device to run on");
    plan->device = ash_alloc_array((size_t)options->device_count, sizeof *plan->device);
    if (!plan->device)
        return ash_fail_memory((size_t)options->device_count * sizeof *plan->device, "devices");
    plan->devices = options->device_count;
    for (int32_t i = 0; i < plan->devices; i++) {
        plan->device[i].device = options->devices[i];
        plan->device[i].used_bytes = plan->base ? plan->base->device[i].used_bytes : 0;
    }
    plan->trace = options->trace;
    return ASH_OK;
}

/* A row of the trace for each device that does not record its own. */
static enum ash_status add_lanes(struct ash_plan *plan)
{
    for (int32_t i = 0; i < plan->devices && plan->trace; i++) {
        const struct ash_device *device = plan->device[i].device;
        char name[128];
        int group;
        if (device->driver->compile)
            continue;
        snprintf(name, sizeof name, "%s:%d %s", device->driver->name, device->info.index,
            device->info.name);
        ASH_TRY(ash_trace_add_device(plan->trace, name, &group));
        ASH_TRY(ash_trace_add_lane(plan->trace, group, "queue", &plan->device[i].lane));
    }
    return ASH_OK;
}

static enum ash_status make(
    struct ash_plan *plan, const struct ash_graph *graph, const struct ash_plan_options *options)
{
    ASH_TRY(take_devices(plan, options));
    ASH_TRY(import(plan, graph, options));
    if (!options->no_fusion)
        plan_absorb(plan);
    ASH_TRY(plan_place(plan, !options->no_fusion));
    ASH_TRY(plan_add_copies(plan));
    ASH_TRY(plan_set_phases(plan));
    ASH_TRY(plan_lay_out(plan, !options->no_sharing));
    ASH_TRY(make_steps(plan));
    ASH_TRY(add_outputs(plan));
    ASH_TRY(plan_add_states(plan));
    ASH_TRY(plan_add_weights(plan, options));
    ASH_TRY(add_lanes(plan));
    ASH_TRY(make_segments(plan));
    return plan_pin_host(plan);
}

enum ash_status plan_create(const struct ash_graph *graph, const struct ash_plan_options *options,
    struct ash_plan *whole, int32_t tokens, struct ash_plan **out)
{
    struct ash_plan *plan = ash_alloc_zero(sizeof *plan);
    if (!plan)
        return ash_fail_memory(sizeof *plan, "a plan");
    plan->failed = -1;
    plan->whole = whole;
    plan->tokens = tokens;
    enum ash_status status = make(plan, graph, options);
    if (status != ASH_OK) {
        if (options->failed_out)
            *options->failed_out = plan->failed;
        ash_plan_destroy(plan);
        return status;
    }
    *out = plan;
    return ASH_OK;
}

enum ash_status ash_plan_create(
    const struct ash_graph *graph, const struct ash_plan_options *options, struct ash_plan **out)
{
    return plan_create(graph, options, NULL, INT32_MAX, out);
}

void ash_plan_destroy(struct ash_plan *plan)
{
    if (!plan)
        return;
    plan_micro_destroy(plan->micro);
    plan_unpin_host(plan);
    for (int32_t i = 0; i < plan->segments; i++) {
        struct ash_device *device = plan->device[plan->segment[i].device].device;
        if (plan->segment[i].program)
            device->driver->discard(device, plan->segment[i].program);
        ash_free(plan->segment[i].staging.host);
    }
    for (size_t i = 0; i < plan->nodes; i++)
        plan_node_finish(plan, &plan->node[i]);
    for (int32_t i = 0; i < plan->devices; i++) {
        const struct ash_driver *driver = plan->device[i].device->driver;
        driver->free(plan->device[i].arena);
        driver->free(plan->device[i].states);
        driver->free(plan->device[i].weights);
    }
    for (int32_t i = 0; i < plan->output_count; i++)
        ash_free(plan->output[i].copy.host);
    ash_free(plan->upload);
    ash_free(plan->pin);
    ash_free(plan->segment);
    ash_free(plan->output);
    ash_free(plan->step);
    ash_free(plan->node);
    ash_free(plan->value);
    ash_free(plan->device);
    ash_free(plan);
}

int32_t ash_plan_failed(const struct ash_plan *plan)
{
    return plan->failed;
}

/* ---- What it holds ---- */

void ash_plan_summary(const struct ash_plan *plan, struct ash_plan_summary *out)
{
    *out = plan->summary;
}

enum ash_status ash_plan_step_at(const struct ash_plan *plan, int32_t index,
    const struct ash_batch *batch, struct ash_plan_step *out)
{
    if (index < 0 || index >= plan->summary.steps)
        return ash_fail(
            ASH_ERR_ARGUMENT, "a plan of %d steps has no step %d", plan->summary.steps, index);
    const struct ash_step *step = &plan->step[index];
    const struct plan_node *node = &plan->node[index];
    *out = (struct ash_plan_step){ .name = node->name,
        .step = step,
        .device = node->device,
        .arena_offset = -1,
        .last_phase = node->phase };
    struct ash_args args = step->args;
    if (batch)
        ash_args_bind(&args, batch);
    step->op->cost(&args, &out->cost);
    if (node->out != ASH_NO_VALUE) {
        out->arena_offset = (int64_t)plan->value[node->out].place.offset_bytes;
        out->last_phase = plan->value[node->out].last_phase;
    }
    return ASH_OK;
}

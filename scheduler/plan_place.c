/* SPDX-License-Identifier: Apache-2.0 */
#include "scheduler/plan_internal.h"

#include "kernels/convert/convert.h"
#include "runtime/memory.h"

#include <string.h>

/* A kernel on the device that the node was given to; where that has none, the error names both. */
static enum ash_status load_node(struct ash_plan *plan, struct plan_node *node)
{
    struct ash_args args = plan_args(plan, node);
    struct ash_device *device = plan->device[node->device].device;
    return plan_note(plan, node->device,
        ash_fail_in(device->driver->load(device, node->op, &args, &node->loaded), "%s on %s:%d",
            node->name, device->driver->name, device->info.index));
}

static void unload(struct ash_plan *plan, int32_t device, struct ash_loaded *loaded)
{
    plan->device[device].device->driver->unload(plan->device[device].device, loaded);
}

/* Whether the kernel wants in[0] in another type than it has. */
static bool wants_conversion(const struct ash_plan *plan, const struct plan_node *node)
{
    return node->in[0] != ASH_NO_VALUE &&
           node->loaded->activation != plan->value[node->in[0]].tensor.type;
}

/*
 * Where every reader wants a value in one other type, and a kernel of its maker can write that, it is
 * made in that type. The maker's kernel may change with it.
 */
static enum ash_status try_retype(struct ash_plan *plan, struct plan_value *value)
{
    if (value->node < 0 || value->output || value->wanted == 0 || value->wanted != value->uses)
        return ASH_OK;
    enum ash_type before = value->tensor.type;
    struct plan_node *maker = &plan->node[value->node], tried = *maker;
    value->tensor.type = value->wanted_type;
    tried.loaded = NULL;
    enum ash_status status = load_node(plan, &tried);
    bool works = status == ASH_OK && tried.loaded->activation == maker->loaded->activation;
    unload(plan, maker->device, works ? maker->loaded : tried.loaded);
    if (works)
        maker->loaded = tried.loaded;
    else
        value->tensor.type = before;
    return status == ASH_ERR_UNSUPPORTED ? ASH_OK : status;
}

static enum ash_status retype_results(struct ash_plan *plan)
{
    for (size_t i = 0; i < plan->nodes; i++) {
        const struct plan_node *node = &plan->node[i];
        if (!wants_conversion(plan, node))
            continue;
        struct plan_value *value = &plan->value[node->in[0]];
        if (value->wanted == 0)
            value->wanted_type = node->loaded->activation;
        value->wanted += value->wanted_type == node->loaded->activation;
    }
    for (size_t i = 0; i < plan->values; i++)
        ASH_TRY(try_retype(plan, &plan->value[i]));
    return ASH_OK;
}

/* Fills *out with a node that converts `from` for `user`. On failure the caller finishes it too. */
static enum ash_status make_conversion(
    struct ash_plan *plan, ash_value from, const struct plan_node *user, struct plan_node *out)
{
    struct ash_convert_params *params = ash_alloc(sizeof *params);
    *out = (struct plan_node){ .name = ash_format("%s.convert", user->name),
        .op = &ash_op_convert,
        .params = params,
        .in = { from, ASH_NO_VALUE, ASH_NO_VALUE, ASH_NO_VALUE, ASH_NO_VALUE, ASH_NO_VALUE },
        .device = user->device };
    if (!out->name || !params)
        return ash_fail_memory(sizeof *out, "a conversion");
    params->to = user->loaded->activation;
    struct ash_tensor tensor = plan->value[from].tensor;
    tensor.type = params->to;
    tensor.data = NULL;
    ASH_TRY(plan_add_value(plan, &tensor, &out->out));
    plan->value[from].uses++;
    return load_node(plan, out);
}

/* The value that `from` was converted to on `device` before node `end`, or ASH_NO_VALUE. */
static ash_value find_conversion(
    const struct ash_plan *plan, ash_value from, enum ash_type type, int32_t device, size_t end)
{
    if (plan->value[from].kind == ASH_VALUE_STATE)
        return ASH_NO_VALUE; /* it may have changed in between */
    for (size_t i = 0; i < end; i++) {
        const struct plan_node *node = &plan->node[i];
        if (node->op == &ash_op_convert && node->in[0] == from && node->device == device &&
            plan->value[node->out].tensor.type == type)
            return node->out;
    }
    return ASH_NO_VALUE;
}

/* Puts a conversion for node `index` before it. */
static enum ash_status insert_conversion(struct ash_plan *plan, size_t index, ash_value *out)
{
    struct plan_node conversion;
    ash_value from = plan->node[index].in[0];
    enum ash_status status = make_conversion(plan, from, &plan->node[index], &conversion);
    if (status == ASH_OK)
        status = ASH_GROW(plan->node, plan->node_capacity, plan->nodes);
    if (status != ASH_OK) {
        plan_node_finish(plan, &conversion);
        return status;
    }
    memmove(&plan->node[index + 1], &plan->node[index], (plan->nodes - index) * sizeof *plan->node);
    plan->node[index] = conversion;
    plan->nodes++;
    *out = conversion.out;
    return ASH_OK;
}

/* Gives every kernel its activations in the type it reads, one conversion for all that want the same. */
static enum ash_status convert_activations(struct ash_plan *plan)
{
    for (size_t i = 0; i < plan->nodes; i++) {
        if (!wants_conversion(plan, &plan->node[i]))
            continue;
        const struct plan_node *node = &plan->node[i];
        ash_value from = node->in[0];
        ash_value to = find_conversion(plan, from, node->loaded->activation, node->device, i);
        if (to == ASH_NO_VALUE)
            ASH_TRY(insert_conversion(plan, i++, &to));
        plan->node[i].in[0] = to;
        plan->value[from].uses--;
        plan->value[to].uses++;
    }
    for (size_t i = 0; i < plan->nodes; i++) {
        ash_value made = plan->node[i].out;
        if (made == ASH_NO_VALUE)
            continue;
        plan->value[made].node = (int32_t)i;
        plan->value[made].device = plan->node[i].device;
    }
    return ASH_OK;
}

enum ash_status plan_place(struct ash_plan *plan, bool fuse)
{
    for (size_t i = 0; i < plan->nodes; i++)
        ASH_TRY(load_node(plan, &plan->node[i]));
    if (fuse)
        ASH_TRY(retype_results(plan));
    return convert_activations(plan);
}

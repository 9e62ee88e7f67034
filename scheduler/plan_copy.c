/* SPDX-License-Identifier: Apache-2.0 */
#include "scheduler/plan_internal.h"

#include "runtime/memory.h"

#include <string.h>

/*
 * What is read on another device than the one that made it is copied there by a node of its own, on the
 * reader's device. Such a node is of the operator below, which no driver knows: the replay runs it
 * through the drivers' copy() (execute.c).
 */
static enum ash_status infer(const struct ash_args *args, struct ash_tensor *out)
{
    *out = args->in[0];
    return ASH_OK;
}

static void cost(const struct ash_args *args, struct ash_cost *out)
{
    double bytes = args->in[0].dim[0] ? (double)ash_tensor_bytes(&args->in[0]) : 0;
    *out = (struct ash_cost){ .bytes_read = bytes, .bytes_written = bytes };
}

static void reference(const struct ash_args *args)
{
    memcpy(args->out.data, args->in[0].data, ash_tensor_bytes(&args->out));
}

static const struct ash_kernel no_kernels[] = { { 0 } };

static const struct ash_op op_copy = {
    .name = "copy",
    .inputs = 1,
    .infer = infer,
    .cost = cost,
    .reference = reference,
    .kernels = no_kernels,
};

bool plan_is_copy(const struct plan_node *node)
{
    return node->op == &op_copy;
}

/* ---- Values ---- */

/* Appends the copy of a value for `device`. */
static enum ash_status add_copy(
    struct ash_plan *plan, ash_value from, int32_t device, ash_value *out)
{
    char name[PLAN_NAME_BYTES];
    const char *maker = plan->node[plan->value[from].node].name;
    ASH_TRY(ASH_GROW(plan->node, plan->node_capacity, plan->nodes));
    struct plan_node node = { .name = ash_format(
                                  "%s.to.%s", maker, plan_device_name(plan, device, name)),
        .op = &op_copy,
        .in = { from, ASH_NO_VALUE, ASH_NO_VALUE, ASH_NO_VALUE, ASH_NO_VALUE, ASH_NO_VALUE },
        .device = device,
        .loaded = &plan->copied };
    if (!node.name)
        return ash_fail_memory(sizeof node, "a copy");
    plan->copied = (struct ash_loaded){ .kernel = "copy", .activation = ASH_F32 };
    plan->node[plan->nodes] = node;
    struct ash_tensor tensor = plan->value[from].tensor;
    enum ash_status status = plan_add_value(plan, &tensor, out);
    plan->node[plan->nodes].out = status == ASH_OK ? *out : ASH_NO_VALUE;
    if (status == ASH_OK) {
        plan->value[*out].node = (int32_t)plan->nodes;
        plan->value[*out].device = device;
        plan->value[*out].uses = 0;
        plan->value[from].uses++;
    }
    plan->nodes++;
    return status;
}

/* The node that reads a value from another device reads its copy: one for all readers there. */
static enum ash_status redirect(
    struct ash_plan *plan, size_t node, int input, ash_value *copy_of, size_t values)
{
    ash_value from = plan->node[node].in[input];
    int32_t device = plan->node[node].device;
    ash_value *copy = &copy_of[(size_t)device * values + (size_t)from];
    if (*copy == ASH_NO_VALUE)
        ASH_TRY(add_copy(plan, from, device, copy));
    plan->node[node].in[input] = *copy;
    plan->value[from].uses--;
    plan->value[*copy].uses++;
    return ASH_OK;
}

/* Copies stand behind all other nodes; each is moved to where its value is made. */
static enum ash_status sort_copies(struct ash_plan *plan, size_t nodes)
{
    struct plan_node *sorted = ash_alloc_array(plan->nodes, sizeof *sorted);
    if (!sorted)
        return ash_fail_memory(plan->nodes * sizeof *sorted, "copies between devices");
    size_t count = 0;
    for (size_t n = 0; n < nodes; n++) {
        sorted[count++] = plan->node[n];
        for (size_t c = nodes; c < plan->nodes && plan->node[n].out != ASH_NO_VALUE; c++)
            if (plan->node[c].in[0] == plan->node[n].out)
                sorted[count++] = plan->node[c];
    }
    for (size_t n = 0; n < count; n++)
        if (sorted[n].out != ASH_NO_VALUE)
            plan->value[sorted[n].out].node = (int32_t)n;
    ash_free(plan->node);
    plan->node = sorted;
    plan->node_capacity = plan->nodes = count;
    return ASH_OK;
}

static enum ash_status add_copies(struct ash_plan *plan, ash_value *copy_of)
{
    size_t nodes = plan->nodes, values = plan->values;
    for (size_t i = 0; i < values * (size_t)plan->devices; i++)
        copy_of[i] = ASH_NO_VALUE;
    for (size_t n = 0; n < nodes; n++)
        for (int i = 0; i < ASH_MAX_INPUTS; i++) {
            ash_value in = plan->node[n].in[i];
            if (in != ASH_NO_VALUE && plan->value[in].kind == ASH_VALUE_RESULT &&
                plan->value[in].device != plan->node[n].device)
                ASH_TRY(redirect(plan, n, i, copy_of, values));
        }
    return plan->nodes > nodes ? sort_copies(plan, nodes) : ASH_OK;
}

enum ash_status plan_add_copies(struct ash_plan *plan)
{
    if (plan->devices == 1)
        return ASH_OK;
    size_t count = plan->values * (size_t)plan->devices;
    ash_value *copy_of = ash_alloc_array(count, sizeof *copy_of);
    if (!copy_of)
        return ash_fail_memory(count * sizeof *copy_of, "copies between devices");
    enum ash_status status = add_copies(plan, copy_of);
    ash_free(copy_of);
    return status;
}

/* ---- States ---- */

/* Whether it is scratch to every node that has it: its contents mean nothing between two of them. */
static bool is_scratch(const struct ash_plan *plan, ash_value state)
{
    for (size_t n = 0; n < plan->nodes; n++)
        for (int i = 0; i < ASH_MAX_INPUTS; i++)
            if (plan->node[n].in[i] == state && !(plan->node[n].op->scratch >> i & 1))
                return false;
    return true;
}

/* Nodes on `device` get a state of their own for one that is elsewhere. */
static enum ash_status give_own(struct ash_plan *plan, ash_value state, int32_t device)
{
    ash_value own = ASH_NO_VALUE;
    for (size_t n = 0; n < plan->nodes; n++)
        for (int i = 0; i < ASH_MAX_INPUTS; i++) {
            struct plan_node *node = &plan->node[n];
            if (node->in[i] != state || node->device != device)
                continue;
            struct ash_tensor tensor = plan->value[state].tensor;
            if (own == ASH_NO_VALUE)
                ASH_TRY(plan_add_value(plan, &tensor, &own));
            plan->value[own].kind = ASH_VALUE_STATE;
            plan->value[own].device = device;
            node->in[i] = own;
        }
    return ASH_OK;
}

/* The device of the first node that has it; the others must agree, or take one of their own. */
static enum ash_status settle_state(struct ash_plan *plan, ash_value state)
{
    const struct plan_node *first = NULL;
    for (size_t n = 0; n < plan->nodes; n++)
        for (int i = 0; i < ASH_MAX_INPUTS; i++) {
            const struct plan_node *node = &plan->node[n];
            if (node->in[i] != state)
                continue;
            if (!first)
                plan->value[state].device = (first = node)->device;
            if (node->device == first->device)
                continue;
            if (!is_scratch(plan, state))
                return ash_fail(ASH_ERR_ARGUMENT,
                    "%s and %s share a state (a cache): place them on the same device", first->name,
                    node->name);
            ASH_TRY(give_own(plan, state, node->device));
        }
    return ASH_OK;
}

enum ash_status plan_settle_states(struct ash_plan *plan)
{
    size_t values = plan->values; /* more may be added */
    for (size_t i = 0; i < values && plan->devices > 1; i++)
        if (plan->value[i].kind == ASH_VALUE_STATE)
            ASH_TRY(settle_state(plan, (ash_value)i));
    return ASH_OK;
}

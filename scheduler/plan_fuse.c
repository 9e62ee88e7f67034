/* SPDX-License-Identifier: Apache-2.0 */
#include "scheduler/plan_internal.h"

static bool touches_state(const struct ash_plan *plan, const struct plan_node *node)
{
    for (int i = 0; i < ASH_MAX_INPUTS; i++)
        if (node->in[i] != ASH_NO_VALUE && plan->value[node->in[i]].kind == ASH_VALUE_STATE)
            return true;
    return false;
}

/* Whether `maker` with `addend` as its input `input` makes what `user` makes. */
static bool makes_the_same(const struct ash_plan *plan, const struct plan_node *maker, int input,
    ash_value addend, const struct plan_node *user)
{
    struct ash_args args = plan_args(plan, maker);
    struct ash_tensor result;
    args.in[input] = plan->value[addend].tensor;
    args.in[input].data = NULL;
    if (ash_op_infer(maker->op, &args, &result) != ASH_OK)
        return false;
    const struct ash_tensor *wanted = &plan->value[user->out].tensor;
    if (result.extent != ASH_EXTENT_FIXED) /* infer() may have left the largest to the graph */
        result.dim[0] = wanted->dim[0];
    return plan_is_alike(&result, wanted);
}

/*
 * `user` takes over the work of the node that made its input `absorb->result`. It stays where it was in
 * the order, after whatever made the other input.
 */
static bool try_absorb(struct ash_plan *plan, struct plan_node *user,
    const struct ash_absorb *absorb, struct plan_node *maker)
{
    const struct plan_value *between = &plan->value[maker->out];
    ash_value other = user->in[1 - absorb->result];
    if (absorb->op != user->op || user->in[absorb->result] != maker->out || other == maker->out)
        return false;
    if (maker->device != user->device || between->uses != 1 || between->output ||
        maker->in[absorb->input] != ASH_NO_VALUE || touches_state(plan, maker) ||
        !makes_the_same(plan, maker, absorb->input, other, user))
        return false;
    struct plan_node fused = *maker;
    fused.in[absorb->input] = other;
    fused.out = user->out;
    plan->value[maker->out].uses = 0;
    plan->value[maker->out].node = -1;
    *maker = *user; /* which is dropped in its place */
    *user = fused;
    maker->op = NULL;
    return true;
}

static void absorb_into(struct ash_plan *plan, struct plan_node *user)
{
    for (int i = 0; i < 2; i++) {
        ash_value in = user->in[i];
        int32_t node = in == ASH_NO_VALUE ? -1 : plan->value[in].node;
        if (node < 0)
            continue;
        struct plan_node *maker = &plan->node[node];
        const struct ash_absorb *absorb = maker->op->absorbs;
        for (; absorb && absorb->op; absorb++)
            if (try_absorb(plan, user, absorb, maker))
                return;
    }
}

void plan_absorb(struct ash_plan *plan)
{
    for (size_t i = 0; i < plan->nodes; i++)
        if (plan->node[i].op->inputs == 2 && !plan->node[i].op->params_bytes &&
            plan->node[i].out != ASH_NO_VALUE)
            absorb_into(plan, &plan->node[i]);
    size_t kept = 0;
    for (size_t i = 0; i < plan->nodes; i++) {
        struct plan_node *node = &plan->node[i];
        if (!node->op) {
            plan_node_finish(plan, node);
            continue;
        }
        if (node->out != ASH_NO_VALUE)
            plan->value[node->out].node = (int32_t)kept;
        plan->node[kept++] = *node;
    }
    plan->nodes = kept;
}

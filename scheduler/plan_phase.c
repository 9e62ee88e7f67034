/* SPDX-License-Identifier: Apache-2.0 */
#include "scheduler/plan_internal.h"

#include "runtime/memory.h"

#include <string.h>

/*
 * Each node goes into the first phase after all it must wait for: the makers of what it reads, and for
 * a state the last node that updated it and, where it updates one itself, those that read it before.
 */
struct hazards {
    int32_t *written; /* by value: the phase it was last written in; -1 = before the replay */
    int32_t *read;    /* by state: the phase of its last reader since; -1 = none */
};

static int32_t first_phase(
    const struct ash_plan *plan, const struct plan_node *node, const struct hazards *hazards)
{
    int32_t phase = 0;
    for (int i = 0; i < ASH_MAX_INPUTS; i++) {
        ash_value in = node->in[i];
        if (in == ASH_NO_VALUE || plan->value[in].kind == ASH_VALUE_WEIGHT)
            continue;
        if (phase <= hazards->written[in])
            phase = hazards->written[in] + 1;
        if (plan_updates(node, i) && phase <= hazards->read[in])
            phase = hazards->read[in] + 1;
    }
    return phase;
}

/* Notes what a node in its phase does to its values, and how long those live. */
static void note(struct ash_plan *plan, const struct plan_node *node, struct hazards *hazards)
{
    for (int i = 0; i < ASH_MAX_INPUTS; i++) {
        ash_value in = node->in[i];
        if (in == ASH_NO_VALUE)
            continue;
        if (plan_updates(node, i))
            hazards->written[in] = node->phase;
        if (hazards->read[in] < node->phase)
            hazards->read[in] = node->phase;
        if (plan->value[in].last_phase < node->phase)
            plan->value[in].last_phase = node->phase;
    }
    if (node->out != ASH_NO_VALUE) {
        hazards->written[node->out] = node->phase;
        plan->value[node->out].first_phase = plan->value[node->out].last_phase = node->phase;
    }
}

static void assign(struct ash_plan *plan, struct hazards *hazards)
{
    for (size_t i = 0; i < plan->values; i++)
        hazards->written[i] = hazards->read[i] = -1;
    for (size_t i = 0; i < plan->nodes; i++) {
        struct plan_node *node = &plan->node[i];
        node->phase = first_phase(plan, node, hazards);
        note(plan, node, hazards);
        if (plan->summary.phases <= node->phase)
            plan->summary.phases = node->phase + 1;
    }
}

/* Sorts the nodes by phase, those of one phase as their author wrote them. */
static enum ash_status order(struct ash_plan *plan)
{
    size_t phases = (size_t)plan->summary.phases;
    size_t *next = ash_alloc_array(phases + 1, sizeof *next);
    struct plan_node *sorted = ash_alloc_array(plan->nodes, sizeof *sorted);
    if (!next || !sorted) {
        ash_free(next);
        ash_free(sorted);
        return ash_fail_memory(plan->nodes * sizeof *sorted, "the order of the steps");
    }
    for (size_t i = 0; i < plan->nodes; i++)
        next[plan->node[i].phase + 1]++;
    for (size_t i = 1; i <= phases; i++)
        next[i] += next[i - 1];
    for (size_t i = 0; i < plan->nodes; i++)
        sorted[next[plan->node[i].phase]++] = plan->node[i];
    ash_free(next);
    ash_free(plan->node);
    plan->node = sorted;
    plan->node_capacity = plan->nodes;
    for (size_t i = 0; i < plan->nodes; i++)
        if (sorted[i].out != ASH_NO_VALUE)
            plan->value[sorted[i].out].node = (int32_t)i;
    return ASH_OK;
}

enum ash_status plan_set_phases(struct ash_plan *plan)
{
    struct hazards hazards = { .written = ash_alloc_array(plan->values, sizeof(int32_t)),
        .read = ash_alloc_array(plan->values, sizeof(int32_t)) };
    enum ash_status status = ASH_OK;
    if (hazards.written && hazards.read)
        assign(plan, &hazards);
    else
        status = ash_fail_memory(plan->values * sizeof(int32_t), "phases");
    if (status == ASH_OK)
        status = order(plan);
    ash_free(hazards.written);
    ash_free(hazards.read);
    for (size_t i = 0; i < plan->values; i++)
        if (plan->value[i].output)
            plan->value[i].last_phase = plan->summary.phases - 1;
    return status;
}

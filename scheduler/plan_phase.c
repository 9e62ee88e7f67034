/* SPDX-License-Identifier: Apache-2.0 */
#include "scheduler/plan_internal.h"

#include "runtime/memory.h"

#include <string.h>

/*
 * Several devices work in stages: a stage is what they compute between two exchanges of values, and begins
 * with the copies. In a stage each device has its steps in one run, those first whose work is queued, so
 * that they compute while the host does its own; what is left open by that order is what a device alone
 * does, which has one stage.
 *
 * In its stage each node goes into the first phase after all it must wait for: the makers of what it reads,
 * and for a state the last node that updated it and, where it updates one itself, those that read it before.
 */
struct hazards {
    int32_t *stage;   /* by value: from which on it can be read; of a state: touched */
    int32_t *written; /* by value: the phase it was last written in; -1 = before the replay */
    int32_t *read;    /* by state: the phase of its last reader since; -1 = none */
};

/* ---- Stages ---- */

/* What computes in host memory does so in launch(), and the host nothing else meanwhile. */
static bool is_host(const struct plan_device *device)
{
    return device->device->info.host_memory;
}

static void set_stage(struct ash_plan *plan, struct plan_node *node, struct hazards *hazards)
{
    bool copy = plan_is_copy(node);
    for (int i = 0; i < ASH_MAX_INPUTS; i++)
        if (node->in[i] != ASH_NO_VALUE && node->stage < hazards->stage[node->in[i]] + copy)
            node->stage = hazards->stage[node->in[i]] + copy;
    for (int i = 0; i < ASH_MAX_INPUTS; i++)
        if (node->in[i] != ASH_NO_VALUE && plan->value[node->in[i]].kind == ASH_VALUE_STATE)
            hazards->stage[node->in[i]] = node->stage;
    if (node->out != ASH_NO_VALUE)
        hazards->stage[node->out] = node->stage;
    bool last = is_host(&plan->device[node->device]);
    node->turn = copy ? 0 : 1 + node->device + (last ? plan->devices : 0);
}

/* ---- Phases ---- */

static int32_t first_phase(const struct ash_plan *plan, const struct plan_node *node,
    const struct hazards *hazards, int32_t phase)
{
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

/* Nodes stand by stage: all phases of one come after all of the one before. */
static void assign(struct ash_plan *plan, struct hazards *hazards)
{
    int32_t first = 0;
    for (size_t i = 0; i < plan->values; i++)
        hazards->written[i] = hazards->read[i] = -1;
    for (size_t i = 0; i < plan->nodes; i++) {
        struct plan_node *node = &plan->node[i];
        if (i > 0 && node->stage != node[-1].stage)
            first = plan->summary.phases;
        node->phase = first_phase(plan, node, hazards, first);
        note(plan, node, hazards);
        if (plan->summary.phases <= node->phase)
            plan->summary.phases = node->phase + 1;
    }
}

/* ---- The order ---- */

static int32_t phase_of(const struct plan_node *node)
{
    return node->phase;
}

static int32_t turn_of(const struct plan_node *node)
{
    return node->turn;
}

static int32_t stage_of(const struct plan_node *node)
{
    return node->stage;
}

/* Sorts the nodes by a number; those where it is the same stay as they stand. */
static enum ash_status sort(struct ash_plan *plan, int32_t (*key)(const struct plan_node *node))
{
    int32_t most = 0;
    for (size_t i = 0; i < plan->nodes; i++)
        most = key(&plan->node[i]) > most ? key(&plan->node[i]) : most;
    size_t *next = ash_alloc_array((size_t)most + 2, sizeof *next);
    struct plan_node *sorted = ash_alloc_array(plan->nodes, sizeof *sorted);
    if (!next || !sorted) {
        ash_free(next);
        ash_free(sorted);
        return ash_fail_memory(plan->nodes * sizeof *sorted, "the order of the steps");
    }
    for (size_t i = 0; i < plan->nodes; i++)
        next[key(&plan->node[i]) + 1]++;
    for (int32_t i = 0; i < most; i++)
        next[i + 1] += next[i];
    for (size_t i = 0; i < plan->nodes; i++)
        sorted[next[key(&plan->node[i])]++] = plan->node[i];
    ash_free(next);
    ash_free(plan->node);
    plan->node = sorted;
    plan->node_capacity = plan->nodes;
    return ASH_OK;
}

static enum ash_status order(struct ash_plan *plan, struct hazards *hazards)
{
    for (size_t i = 0; i < plan->nodes; i++)
        set_stage(plan, &plan->node[i], hazards);
    ASH_TRY(sort(plan, stage_of));
    assign(plan, hazards);
    ASH_TRY(sort(plan, phase_of));
    ASH_TRY(sort(plan, turn_of));
    ASH_TRY(sort(plan, stage_of));
    for (size_t i = 0; i < plan->nodes; i++)
        if (plan->node[i].out != ASH_NO_VALUE)
            plan->value[plan->node[i].out].node = (int32_t)i;
    return ASH_OK;
}

enum ash_status plan_set_phases(struct ash_plan *plan)
{
    struct hazards hazards = { .stage = ash_alloc_array(plan->values, sizeof(int32_t)),
        .written = ash_alloc_array(plan->values, sizeof(int32_t)),
        .read = ash_alloc_array(plan->values, sizeof(int32_t)) };
    bool enough = hazards.stage && hazards.written && hazards.read;
    enum ash_status status =
        enough ? order(plan, &hazards) : ash_fail_memory(plan->values * sizeof(int32_t), "phases");
    ash_free(hazards.stage);
    ash_free(hazards.written);
    ash_free(hazards.read);
    for (size_t i = 0; i < plan->values; i++)
        if (plan->value[i].output)
            plan->value[i].last_phase = plan->summary.phases - 1;
    return status;
}

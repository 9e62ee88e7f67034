/* SPDX-License-Identifier: Apache-2.0 */
#include "scheduler/plan_internal.h"

#include "runtime/memory.h"

/*
 * Micro-batches: a batch is cut into parts of consecutive tokens, which two plans compute in turns, the slots, each
 * with activations of its own and the whole plan's weights and states. A device runs parts in their order, so
 * that each finds in the caches what those before it have written; and what the parts of one slot could do to
 * each other's activations, that plan's events keep apart from replay to replay.
 */

/* ---- Order ---- */

/* The last segment that has to do with a state (a cache). */
static int32_t last_of_state(const struct ash_plan *plan, ash_value state)
{
    int32_t last = 0;
    for (int32_t s = 0; s < plan->segments; s++)
        for (int32_t n = plan->segment[s].first; n < plan->segment[s].end; n++)
            for (int i = 0; i < ASH_MAX_INPUTS; i++)
                last = plan->node[n].in[i] == state ? s : last;
    return last;
}

/* How many segments of the part before a node comes behind: all that have to do with its states. Scratch
 * means nothing to others. */
static int32_t after_node(const struct ash_plan *plan, const struct plan_node *node)
{
    int32_t after = 0;
    for (int i = 0; i < ASH_MAX_INPUTS; i++) {
        ash_value in = node->in[i];
        if (in == ASH_NO_VALUE || plan->value[in].kind != ASH_VALUE_STATE ||
            node->op->scratch >> i & 1)
            continue;
        int32_t last = last_of_state(plan, in);
        after = after > last ? after : last + 1;
    }
    return after;
}

static int32_t after_segment(const struct ash_plan *plan, int32_t index)
{
    int32_t after = index + 1;
    for (int32_t n = plan->segment[index].first; n < plan->segment[index].end; n++) {
        int32_t most = after_node(plan, &plan->node[n]);
        after = after > most ? after : most;
    }
    return after;
}

/* Whether a segment has to do with activations on a device. */
static bool touches(const struct plan_segment *segment, int32_t device)
{
    return segment->device == device || segment->from == device;
}

/* How many segments there are up to the last that touches a device of this one. */
static int32_t reuses_segment(const struct ash_plan *plan, int32_t index)
{
    const struct plan_segment *segment = &plan->segment[index];
    int32_t last = plan->segments - 1;
    while (!touches(&plan->segment[last], segment->device) &&
           (segment->from < 0 || !touches(&plan->segment[last], segment->from)))
        last--;
    return last + 1;
}

/* The first segment that touches an output's device. */
static int32_t takes_output(const struct ash_plan *plan, const struct plan_output *output)
{
    int32_t first = 0;
    while (!touches(&plan->segment[first], plan->value[output->value].device))
        first++;
    return first;
}

static enum ash_status set_order(struct plan_micro *micro)
{
    const struct ash_plan *plan = micro->slot[0];
    size_t segments = (size_t)plan->segments, outputs = (size_t)plan->output_count;
    micro->after = ash_alloc_array(segments, sizeof *micro->after);
    micro->reuses = ash_alloc_array(segments, sizeof *micro->reuses);
    micro->takes = ash_alloc_array(outputs, sizeof *micro->takes);
    if (!micro->after || !micro->reuses || !micro->takes)
        return ash_fail_memory(segments * sizeof *micro->after, "micro-batches");
    for (int32_t s = 0; s < plan->segments; s++) {
        micro->after[s] = after_segment(plan, s);
        micro->reuses[s] = reuses_segment(plan, s);
    }
    for (int32_t i = 0; i < plan->output_count; i++)
        micro->takes[i] = takes_output(plan, &plan->output[i]);
    return ASH_OK;
}

/* ---- Its life ---- */

void plan_micro_destroy(struct plan_micro *micro)
{
    if (!micro)
        return;
    for (int i = 0; i < PLAN_SLOTS; i++)
        ash_plan_destroy(micro->slot[i]);
    ash_free(micro->after);
    ash_free(micro->reuses);
    ash_free(micro->takes);
    ash_free(micro->part);
    ash_free(micro->queued);
    ash_free(micro->span);
    ash_free(micro->token_span);
    ash_free(micro->output);
    ash_free(micro);
}

static enum ash_status make_room(struct plan_micro *micro, const struct ash_plan *plan, size_t each)
{
    size_t tokens = (size_t)plan->tokens, parts = (tokens + each - 1) / each;
    micro->part = ash_alloc_array(parts, sizeof *micro->part);
    micro->queued = ash_alloc_array(parts, sizeof *micro->queued);
    micro->span = ash_alloc_array(tokens + parts, sizeof *micro->span);
    micro->token_span = ash_alloc_array(tokens, sizeof *micro->token_span);
    micro->output = ash_alloc_array(tokens, sizeof *micro->output);
    if (!micro->part || !micro->queued || !micro->span || !micro->token_span || !micro->output)
        return ash_fail_memory((tokens + parts) * sizeof *micro->span, "micro-batches");
    return ASH_OK;
}

/* Each is based on the one before, whose memory it then counts. */
static enum ash_status make_slots(struct ash_plan *plan, const struct ash_graph *graph,
    const struct ash_plan_options *options, int32_t tokens, struct plan_micro *micro)
{
    struct ash_plan_options each = *options;
    each.progress = NULL;
    each.failed_out = &plan->failed;
    for (int i = 0; i < PLAN_SLOTS; i++)
        ASH_TRY(
            plan_create(graph, &each, i > 0 ? micro->slot[i - 1] : plan, tokens, &micro->slot[i]));
    return ASH_OK;
}

static enum ash_status make(struct ash_plan *plan, const struct ash_graph *graph,
    const struct ash_plan_options *options, int32_t tokens)
{
    plan->micro = ash_alloc_zero(sizeof *plan->micro);
    if (!plan->micro)
        return ash_fail_memory(sizeof *plan->micro, "micro-batches");
    ASH_TRY(make_room(plan->micro, plan, (size_t)tokens));
    ASH_TRY(make_slots(plan, graph, options, tokens, plan->micro));
    return set_order(plan->micro);
}

/* What they hold is the plan's from now on. */
static void count(struct ash_plan *plan, int32_t tokens)
{
    struct ash_plan *const *slot = plan->micro->slot;
    for (int i = 0; i < PLAN_SLOTS; i++)
        plan->summary.micro_bytes += slot[i]->summary.arena_bytes;
    for (int32_t d = 0; d < plan->devices; d++)
        plan->device[d].used_bytes = slot[PLAN_SLOTS - 1]->device[d].used_bytes;
    plan->summary.micro_tokens = tokens;
}

enum ash_status ash_plan_add_micro(struct ash_plan *plan, const struct ash_graph *graph,
    const struct ash_plan_options *options, int32_t tokens)
{
    if (tokens < 1 || tokens >= plan->tokens || plan->segments < 2 || plan->micro)
        return ASH_OK;
    enum ash_status status = make(plan, graph, options, tokens);
    if (status == ASH_OK) {
        count(plan, tokens);
        return ASH_OK;
    }
    if (options->failed_out)
        *options->failed_out = plan->failed;
    plan_micro_destroy(plan->micro);
    plan->micro = NULL;
    plan->failed = -1;
    return status == ASH_ERR_NO_MEMORY ? ASH_OK
                                       : status; /* whole batches need no more than there is */
}

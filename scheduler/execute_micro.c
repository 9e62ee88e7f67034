/* SPDX-License-Identifier: Apache-2.0 */
#include "scheduler/plan_internal.h"

#include <string.h>

/* The replay of a batch as micro-batches (plan_micro.c). It allocates nothing and takes no lock either. */

static int32_t least(int32_t a, int32_t b)
{
    return a < b ? a : b;
}

static int32_t most(int32_t a, int32_t b)
{
    return a > b ? a : b;
}

/* ---- The parts ---- */

/* Rows [first, end) of a span as span `index` of a part that begins with `first`. */
static struct ash_span cut_span(struct plan_micro *micro, const struct ash_span *span,
    int32_t first, int32_t end, int32_t index)
{
    int32_t from = most(span->first_token, first);
    int32_t to = least(span->first_token + span->tokens, end);
    for (int32_t t = from; t < to; t++)
        micro->token_span[t] = index;
    return (struct ash_span){ .first_token = from - first,
        .tokens = to - from,
        .first_position = span->first_position + from - span->first_token,
        .page = span->page };
}

/* What there is of a batch that the next part has not yet. */
struct rest {
    int32_t span, output; /* of the batch: the first */
    struct ash_span *to;  /* where the part's go */
};

/* Rows [first, end) of a batch. */
static void cut_part(struct plan_micro *micro, const struct ash_batch *batch, int32_t first,
    int32_t end, struct rest *rest)
{
    struct ash_batch *part = &micro->part[micro->parts];
    *part = (struct ash_batch){ .tokens = end - first,
        .token = batch->token + first,
        .token_span = micro->token_span + first,
        .output = micro->output + rest->output,
        .span = rest->to };
    for (; rest->span < batch->spans; rest->span++) {
        const struct ash_span *span = &batch->span[rest->span];
        if (span->first_token >= end)
            break;
        *rest->to++ = cut_span(micro, span, first, end, part->spans++);
        if (span->first_token + span->tokens > end)
            break; /* the next part begins with the rest of it */
    }
    for (; rest->output < batch->outputs && batch->output[rest->output] < end; rest->output++)
        micro->output[rest->output] = batch->output[rest->output] - first;
    part->outputs = (int32_t)(micro->output + rest->output - part->output);
    micro->queued[micro->parts++] = 0;
}

/* As few as there can be, of the same size. */
static void cut(struct plan_micro *micro, const struct ash_batch *batch)
{
    struct rest rest = { .to = micro->span };
    int32_t each = (int32_t)micro->slot[0]->tokens;
    int32_t parts = (batch->tokens + each - 1) / each;
    int32_t tokens = (batch->tokens + parts - 1) / parts;
    micro->parts = 0;
    for (int32_t first = 0; first < batch->tokens; first += tokens)
        cut_part(micro, batch, first, least(first + tokens, batch->tokens), &rest);
}

/* ---- Whose turn it is ---- */

enum { WINDOW = PLAN_SLOTS + 1 };

/* Whether a part's next segment may be queued. */
static bool may_go_on(const struct plan_micro *micro, int32_t index)
{
    int32_t next = micro->queued[index];
    return next < micro->slot[0]->segments &&
           (index < 1 || micro->queued[index - 1] >= micro->after[next]) &&
           (index < PLAN_SLOTS || micro->queued[index - PLAN_SLOTS] >= micro->reuses[next]);
}

/* Whether the call that queues a segment waits for other devices, or computes itself. */
static bool holds_up(const struct ash_plan *plan, int32_t index)
{
    const struct plan_segment *segment = &plan->segment[index];
    bool by_source = segment->from >= 0 && plan->step[segment->first].out.buffer->host;
    int32_t by = by_source ? segment->from : segment->device;
    return plan->device[by].device->info.host_memory;
}

/*
 * Which part goes on; `old` is the oldest that is not queued to its end. What devices can be given comes before what
 * holds the host up. Of that, a younger part follows one segment behind an older one: on each device its work
 * stands where the older one's waits for another. Of segments that hold the host up, the youngest part's
 * waits for the least.
 */
static int32_t choose(const struct plan_micro *micro, int32_t old)
{
    int32_t given = -1, held = old;
    for (int32_t i = old; i < least(old + WINDOW, micro->parts); i++) {
        if (!may_go_on(micro, i))
            continue;
        if (holds_up(micro->slot[0], micro->queued[i]))
            held = i;
        else if (given < 0 || micro->queued[i - 1] - micro->queued[i] == 1)
            given = i;
    }
    return given >= 0 ? given : held;
}

/* ---- Outputs ---- */

/* The row of a whole batch's tensor at which those of part `index` begin. */
static size_t first_row(const struct plan_micro *micro, int32_t index, enum ash_extent extent)
{
    const struct ash_batch *part = &micro->part[index];
    if (extent == ASH_EXTENT_TOKENS)
        return (size_t)(part->token - micro->part[0].token);
    return extent == ASH_EXTENT_OUTPUTS ? (size_t)(part->output - micro->output) : 0;
}

/* What part `index` has of output i goes to its rows of the whole. */
static enum ash_status take_output(struct ash_plan *plan, int32_t index, int32_t i)
{
    struct ash_plan *slot = plan->micro->slot[index % PLAN_SLOTS];
    const struct plan_output *from = &slot->output[i];
    struct plan_output *to = &plan->output[i];
    struct ash_tensor rows = from->tensor;
    size_t row_bytes = ash_tensor_bytes(&rows) / (size_t)rows.dim[0];
    size_t at = first_row(plan->micro, index, rows.extent) * row_bytes;
    if (from->place.buffer)
        return plan_queue_output(
            slot, i, &plan->micro->part[index], (struct ash_place){ &to->copy, at });
    int32_t by = slot->value[from->value].device;
    struct ash_event made = slot->device[by].last;
    ash_tensor_bind(&rows, &plan->micro->part[index]);
    if (made.device)
        ASH_TRY(plan_note(slot, by, made.device->driver->wait(made.device, made)));
    memcpy((char *)to->tensor.data + at, rows.data, (size_t)rows.dim[0] * row_bytes);
    return ASH_OK;
}

/* Fetches what the part before in the slot has made where a segment is the first to go: not earlier, as on
 * a queue of copies it would hold up those that wait for less. */
static enum ash_status make_way(struct ash_plan *plan, int32_t index, int32_t segment)
{
    for (int32_t i = 0; i < plan->output_count && index >= PLAN_SLOTS; i++)
        if (plan->micro->takes[i] == segment)
            ASH_TRY(take_output(plan, index - PLAN_SLOTS, i));
    return ASH_OK;
}

/* ---- The replay ---- */

/* Queues a segment; *old moves on once its part has all of them. */
static enum ash_status queue_next(struct ash_plan *plan, int32_t *old)
{
    struct plan_micro *micro = plan->micro;
    int32_t index = choose(micro, *old), segment = micro->queued[index]++;
    struct ash_plan *slot = micro->slot[index % PLAN_SLOTS];
    ASH_TRY(make_way(plan, index, segment));
    ASH_TRY(plan_queue_segment(slot, segment, &micro->part[index]));
    *old += micro->queued[*old] == slot->segments;
    return ASH_OK;
}

static enum ash_status queue_all(struct ash_plan *plan)
{
    const struct plan_micro *micro = plan->micro;
    for (int32_t old = 0; old < micro->parts;)
        ASH_TRY(queue_next(plan, &old));
    for (int32_t part = most(micro->parts - PLAN_SLOTS, 0); part < micro->parts; part++)
        for (int32_t i = 0; i < plan->output_count; i++)
            ASH_TRY(take_output(plan, part, i));
    return ASH_OK;
}

bool plan_micro_takes(const struct ash_plan *plan, const struct ash_batch *batch)
{
    return plan->micro && batch->tokens > plan->micro->slot[0]->tokens;
}

enum ash_status plan_micro_run(struct ash_plan *plan, const struct ash_batch *batch)
{
    struct plan_micro *micro = plan->micro;
    cut(micro, batch);
    for (int i = 0; i < PLAN_SLOTS; i++)
        plan_begin(micro->slot[i]);
    for (int32_t i = 0; i < plan->output_count; i++)
        ash_tensor_bind(&plan->output[i].tensor, batch);
    enum ash_status status = queue_all(plan);
    plan->failed = -1;
    for (int i = 0; i < PLAN_SLOTS; i++) {
        status = plan_finish(micro->slot[i], status);
        if (plan->failed < 0)
            plan->failed = micro->slot[i]->failed;
    }
    return status;
}

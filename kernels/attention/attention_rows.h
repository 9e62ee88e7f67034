/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "kernels/attention/attention_internal.h"
#include "kernels/kv_cache.h"

/*
 * How the rows of work become jobs, the same for every kernel.
 *
 * A sequence's positions are cut into parts of ASH_ATTENTION_PART, counted from its beginning. A kernel
 * sums within a part alone, and adds the parts up in their order: whoever computes a part, and when,
 * leaves no trace in the bits.
 *
 * A span whose queries fit one block (a decoding sequence) is shared by part: the sums of a part go to
 * a slot of the scratch, and who brings the last one of a KV head adds them all up. A longer span (a
 * prefill) is shared by token, and each of its queries' parts are added up as they are made. Both have
 * tokens * parts rows a KV head; a unit (a part of all tokens, or a token with all its parts) belongs
 * to the range that holds its first row. So ranges cost what their rows count.
 */
enum {
    ATTENTION_SHARED_QUERIES = 16,
    ATTENTION_SHARED_SUMS = 4096
}; /* the most of a shared span */

/* Tokens [token, token + tokens) of one span by the parts that they see, for one KV head. */
struct attention_job {
    const struct ash_span *span;
    int64_t kv_head;
    int64_t token, tokens;
    struct ash_attention_parts parts;
    float *slot;        /* of part parts.first; the others follow. NULL: keep the sums */
    size_t slot_floats; /* one part of all queries */
    uint32_t *arrived;  /* how many parts are in their slots */
    int32_t slots;      /* how many there will be */
    float *first_slot;
};

typedef void attention_run(const struct ash_args *args, const struct attention_job *job);

/* Floats that a query leaves of a part: D sums, the largest score, the sum of the weights. */
static inline size_t attention_slot_floats(const struct ash_args *args, int64_t queries)
{
    return (size_t)queries * (size_t)(args->in[1].dim[3] + 2);
}

/* What is left of the scratch while spans take their slots, in order. */
struct attention_scratch {
    uint32_t *arrived;
    float *slots;
    size_t counters, floats;
};

static inline struct attention_scratch attention_scratch(const struct ash_args *args)
{
    const struct ash_tensor *scratch = &args->in[3];
    if (scratch->rank == 0 || scratch->dim[0] <= ASH_ATTENTION_COUNTERS)
        return (struct attention_scratch){ 0 };
    return (struct attention_scratch){
        .arrived = scratch->data,
        .slots = (float *)scratch->data + ASH_ATTENTION_COUNTERS,
        .counters = ASH_ATTENTION_COUNTERS,
        .floats = (size_t)scratch->dim[0] - ASH_ATTENTION_COUNTERS,
    };
}

/* Gives `job`, of KV head 0, the span's slots, if it is to be shared by part and they are there. */
static inline bool attention_share(
    const struct ash_args *args, struct attention_scratch *scratch, struct attention_job *job)
{
    const struct ash_attention_params *params = args->params;
    int64_t heads = args->in[1].dim[1], queries = job->tokens * (params->heads / heads);
    int32_t parts = job->parts.last - job->parts.first;
    size_t slot_floats = attention_slot_floats(args, queries);
    size_t wanted = (size_t)heads * (size_t)parts * slot_floats;
    if (parts < 2 || queries > ATTENTION_SHARED_QUERIES ||
        queries * args->in[1].dim[3] > ATTENTION_SHARED_SUMS || scratch->counters < (size_t)heads ||
        scratch->floats < wanted)
        return false;
    job->slot_floats = slot_floats;
    job->slots = parts;
    job->first_slot = scratch->slots;
    job->arrived = scratch->arrived;
    scratch->arrived += heads;
    scratch->counters -= (size_t)heads;
    scratch->slots += wanted;
    scratch->floats -= wanted;
    return true;
}

/* The parts of the span that begin in rows [first, last) of one KV head. */
static inline void attention_run_shared(const struct ash_args *args,
    const struct attention_job *span, int64_t kv_head, int64_t first, int64_t last,
    attention_run *run)
{
    int64_t from = (first + span->tokens - 1) / span->tokens;
    int64_t to = (last + span->tokens - 1) / span->tokens;
    if (from >= to)
        return;
    struct attention_job job = *span;
    job.kv_head = kv_head;
    if (to - from < span->slots) { /* else all are here, and need no slots */
        job.parts.first = span->parts.first + (int32_t)from;
        job.parts.last = span->parts.first + (int32_t)to;
        job.first_slot += (size_t)(kv_head * span->slots) * span->slot_floats;
        job.slot = job.first_slot + (size_t)from * span->slot_floats;
        job.arrived += kv_head;
    }
    run(args, &job);
}

/* The tokens of the span that begin in rows [first, last) of one KV head. */
static inline void attention_run_tokens(const struct ash_args *args,
    const struct attention_job *span, int64_t kv_head, int64_t first, int64_t last,
    attention_run *run)
{
    int64_t parts = span->parts.last - span->parts.first;
    int64_t from = (first + parts - 1) / parts, to = (last + parts - 1) / parts;
    if (from >= to)
        return;
    struct attention_job job = *span;
    job.kv_head = kv_head;
    job.token += from;
    job.tokens = to - from;
    job.parts = ash_attention_parts(args->params, ash_batch_position(args->batch, job.token),
        ash_batch_position(args->batch, job.token + job.tokens - 1));
    run(args, &job);
}

static inline void attention_rows(
    const struct ash_args *args, int64_t first_row, int64_t last_row, attention_run *run)
{
    struct attention_scratch scratch = attention_scratch(args);
    const struct ash_batch *batch = args->batch;
    int64_t row = 0;
    for (int32_t s = 0; s < batch->spans && row < last_row; s++) {
        const struct ash_span *span = &batch->span[s];
        struct attention_job job = { .span = span,
            .token = span->first_token,
            .tokens = span->tokens,
            .parts = ash_attention_span_parts(args->params, span) };
        bool shared = attention_share(args, &scratch, &job);
        int64_t rows = span->tokens * (int64_t)(job.parts.last - job.parts.first);
        for (int64_t h = 0; h < args->in[1].dim[1]; h++, row += rows) {
            int64_t first = first_row > row ? first_row - row : 0;
            int64_t last = last_row < row + rows ? last_row - row : rows;
            if (first >= last)
                continue;
            if (shared)
                attention_run_shared(args, &job, h, first, last, run);
            else
                attention_run_tokens(args, &job, h, first, last, run);
        }
    }
}

/* Says that a job's parts are in their slots; true for the one that finds them all there. */
static inline bool attention_arrive(const struct attention_job *job)
{
    uint32_t parts = (uint32_t)(job->parts.last - job->parts.first);
    uint32_t before = __atomic_fetch_add(job->arrived, parts, __ATOMIC_ACQ_REL);
    if (before + parts < (uint32_t)job->slots)
        return false;
    __atomic_store_n(job->arrived, 0, __ATOMIC_RELAXED); /* as the next step expects it */
    return true;
}

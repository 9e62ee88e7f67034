/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "models/generate.h"
#include "models/speculate.h"
#include "models/stop.h"
#include "models/utf8.h"

#include <stdatomic.h>

struct ash_generation {
    struct ash_engine *engine;
    struct ash_sampler *sampler;
    struct ash_stop *stop;
    struct ash_kv_sequence kv;
    int32_t *token;               /* prompt, then answer; room for the whole context */
    int32_t count, prompt, limit; /* `limit`: count at which max_tokens is reached */
    int32_t computed;             /* positions in the cache; count - computed wait to run */
    int32_t taken;                /* tokens of this one in the batch at hand */
    int32_t drafted;              /* of those, the last so many were guessed */
    int32_t output;               /* its first row of logits; -1 = none this time */
    int32_t cached;
    struct ash_lookup *lookup; /* NULL = no speculation */
    bool ignore_end;
    atomic_bool canceled;

    struct ash_utf8_stream utf8;
    char *text; /* ready since the last take */
    size_t text_bytes, text_capacity;

    enum ash_finish finish;
    bool finished; /* with a finish or with a status */
    enum ash_status status;
    char message[256];
    double begin_s, first_s, last_s;
    struct {
        int32_t steps, drafted_tokens, accepted_tokens;
    } usage;
};

struct ash_engine {
    struct ash_engine_options options;
    struct ash_generation **running; /* (sequences), in the order in which they came */
    int32_t count;
    struct ash_batch batch; /* its arrays are the ones below */
    const float *logits;    /* of the last batch */
    int32_t *token, *token_span, *output;
    struct ash_span *span;
    struct ash_draft *draft; /* (sequences), in the order of running[] */
    struct ash_speculation speculation;
};

/* generate.c, for generate_step.c: */

double ash_generate_now_s(void);

/* The chosen token joins the sequence and its text the answer, which that may finish. */
enum ash_status ash_generation_accept(struct ash_generation *generation, int32_t token);

/* generate_recover.c: whether a step that failed with `status` can be taken again, on another plan. */
bool ash_engine_recover(struct ash_engine *engine, enum ash_status status);

/* Both take it out of the engine's list. */
enum ash_status ash_generation_close(struct ash_generation *generation, enum ash_finish how);
void ash_generation_fail(struct ash_generation *generation, enum ash_status status);

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "ashlar.h"
#include "models/kv_cache.h"
#include "models/sampler.h"
#include "models/tokenizer.h"
#include "scheduler/plan.h"

/*
 * Generation: many sequences over one plan, a batch a step (continuous batching; Orca, Yu et al.,
 * OSDI 2022).
 *
 * Each step takes one token of every sequence that is decoding and fills the rest of the batch with
 * the prompts that wait, in the order in which they came, cut into chunks as needed. What a sequence
 * says does not depend on who shares its batches.
 *
 * Where prompts have a plan of their own, with kernels made for many tokens, a step is two batches: of
 * answers, then of prompts. A token is computed by the one or the other for what it is, never for how many
 * there are, and the cache shares only pages of prompts: so what a sequence says still hangs on nothing but
 * its own tokens.
 *
 * Where all sequences are decoding, each may bring a few tokens more, guessed from its own text
 * (lookup.h), and gets the logits of all of them. The sampler draws every token from the logits of its
 * position, one after the other, as it would without; while it draws what was guessed, the next row is
 * what the next step would have computed, bit for bit, as batches do not change results. What was
 * guessed wrong leaves the cache with the step that computed it.
 *
 * Threads: one at a time per engine, but ash_generation_cancel().
 */
struct ash_engine;

/* What an engine runs on; borrowed, must outlive it. */
struct ash_engine_options {
    /*
     * Asked when a batch has failed with `status`, ASH_ERR_DEVICE or ASH_ERR_NO_MEMORY: whether it could
     * make other plans, which it then writes to *out in the place of the ones there. The engine computes
     * all sequences again from their tokens, and none notices. Where it could not, *out may have no plan
     * any more, and every later step fails. NULL = never.
     */
    bool (*recover)(void *context, enum ash_status status, struct ash_engine_options *out);
    void *recover_context;

    struct ash_plan *plan;    /* of answers */
    struct ash_plan *prompts; /* of prompts, sharing the former's weights and states; or the same */
    ash_value logits;         /* (O, V), marked as an output of the plan's graph */
    const struct ash_tokenizer *tokenizer;
    struct ash_kv_cache *cache;
    int32_t vocabulary;   /* V */
    int32_t context;      /* positions of a sequence */
    int32_t batch_tokens; /* the plan's largest T */
    int32_t sequences;    /* at once */
    int32_t outputs; /* the plan's largest O: at least `sequences`; what is beyond is for guesses */
    bool speculate;  /* guess tokens where it pays (speculate.h); changes nothing but the time */
};

enum ash_status ash_engine_create(
    const struct ash_engine_options *options, struct ash_engine **out);
void ash_engine_destroy(
    struct ash_engine *engine); /* takes NULL; its generations must have ended */

struct ash_generate_options {
    struct ash_sampler_options sampler;
    int32_t max_tokens; /* 0 = as many as the context holds */
    const char *const *stop;
    size_t stop_count;
    bool ignore_end; /* the model's end tokens do not end it */
};

struct ash_generation;

/*
 * Puts a prompt (count >= 1 ids, copied) in the queue. The caller ends *out with ash_generation_end().
 *
 * ASH_ERR_LIMIT     the prompt leaves no room in the context, or all sequences are taken
 * ASH_ERR_ARGUMENT  an id outside the vocabulary, or options out of range
 */
enum ash_status ash_engine_add(struct ash_engine *engine, const int32_t *token, int32_t count,
    const struct ash_generate_options *options, struct ash_generation **out);

/*
 * Runs one batch; *busy tells whether there was anything to run. A sequence that cannot go on fails by
 * itself (ash_generation_status); an error here is one of the device and concerns all.
 */
enum ash_status ash_engine_step(struct ash_engine *engine, bool *busy);

/* What has become of it. */
enum ash_finish ash_generation_finish(const struct ash_generation *generation);
enum ash_status ash_generation_status(
    const struct ash_generation *generation); /* sets ash_error() */
void ash_generation_usage(const struct ash_generation *generation, struct ash_usage *out);

/* Prompt and answer, one after the other; valid until the next step. */
const int32_t *ash_generation_tokens(const struct ash_generation *generation, int32_t *count);

/* The text that has become ready since the last call: whole UTF-8 characters that cannot be part of a
 * stop text. Valid until the next step. */
const char *ash_generation_take(struct ash_generation *generation, size_t *length);

/* It ends at the next step. Any thread, any signal handler. */
void ash_generation_cancel(struct ash_generation *generation);

/* Gives its pages back and frees it. Takes NULL. */
void ash_generation_end(struct ash_generation *generation);

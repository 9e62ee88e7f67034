/* SPDX-License-Identifier: Apache-2.0 */
#include "models/generate.h"

#include "models/stop.h"
#include "models/utf8.h"
#include "runtime/memory.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

struct ash_generation {
    struct ash_engine *engine;
    struct ash_sampler *sampler;
    struct ash_stop *stop;
    struct ash_kv_sequence kv;
    int32_t *token;               /* prompt, then answer; room for the whole context */
    int32_t count, prompt, limit; /* `limit`: count at which max_tokens is reached */
    int32_t computed;             /* positions in the cache; count - computed wait to run */
    int32_t taken;                /* tokens of this one in the batch at hand */
    int32_t output;               /* its row of logits; -1 = none this time */
    int32_t cached;
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
};

struct ash_engine {
    struct ash_engine_options options;
    struct ash_generation **running; /* (sequences), in the order in which they came */
    int32_t count;
    struct ash_batch batch; /* its arrays are the ones below */
    int32_t *token, *token_span, *output;
    struct ash_span *span;
};

static double now_s(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

enum ash_status ash_engine_create(const struct ash_engine_options *options, struct ash_engine **out)
{
    struct ash_engine *engine = ash_alloc_zero(sizeof *engine);
    if (!engine)
        return ash_fail_memory(sizeof *engine, "the engine");
    size_t tokens = (size_t)options->batch_tokens, sequences = (size_t)options->sequences;
    engine->options = *options;
    engine->running = ash_alloc_array(sequences, sizeof(struct ash_generation *));
    engine->token = ash_alloc_array(tokens, sizeof *engine->token);
    engine->token_span = ash_alloc_array(tokens, sizeof *engine->token_span);
    engine->output = ash_alloc_array(sequences, sizeof *engine->output);
    engine->span = ash_alloc_array(sequences, sizeof *engine->span);
    if (!engine->running || !engine->token || !engine->token_span || !engine->output ||
        !engine->span) {
        ash_engine_destroy(engine);
        return ash_fail_memory(tokens * 8 + sequences * 64, "the engine's batch");
    }
    engine->batch = (struct ash_batch){
        .token = engine->token,
        .token_span = engine->token_span,
        .output = engine->output,
        .span = engine->span,
    };
    *out = engine;
    return ASH_OK;
}

void ash_engine_destroy(struct ash_engine *engine)
{
    if (!engine)
        return;
    assert(engine->count == 0);
    ash_free(engine->running);
    ash_free(engine->token);
    ash_free(engine->token_span);
    ash_free(engine->output);
    ash_free(engine->span);
    ash_free(engine);
}

static enum ash_status check_prompt(
    const struct ash_engine *engine, const int32_t *token, int32_t count)
{
    const struct ash_engine_options *options = &engine->options;
    if (count < 1)
        return ash_fail(ASH_ERR_ARGUMENT, "the prompt is empty");
    if (count >= options->context)
        return ash_fail(ASH_ERR_LIMIT,
            "the prompt has %d tokens; the context holds %d, answer included: shorten the prompt, or "
            "raise --context",
            count, options->context);
    if (engine->count == options->sequences)
        return ash_fail(ASH_ERR_LIMIT, "%d sequences are being generated, the most there can be",
            engine->count);
    for (int32_t i = 0; i < count; i++)
        if (token[i] < 0 || token[i] >= options->vocabulary)
            return ash_fail(ASH_ERR_ARGUMENT, "token %d of the prompt is %d; the vocabulary has %d",
                i, token[i], options->vocabulary);
    return ASH_OK;
}

/* Everything that can fail; what was made so far is freed by ash_generation_end(). */
static enum ash_status prepare(struct ash_generation *generation, const int32_t *token,
    int32_t count, const struct ash_generate_options *options)
{
    const struct ash_engine_options *engine = &generation->engine->options;
    generation->token = ash_alloc_array((size_t)engine->context, sizeof *generation->token);
    if (!generation->token)
        return ash_fail_memory((size_t)engine->context * sizeof *generation->token, "the tokens");
    memcpy(generation->token, token, (size_t)count * sizeof *token);
    generation->count = generation->prompt = count;
    generation->limit = engine->context;
    if (options->max_tokens > 0 && options->max_tokens < engine->context - count)
        generation->limit = count + options->max_tokens;
    generation->ignore_end = options->ignore_end;
    ASH_TRY(ash_sampler_create(&options->sampler, engine->vocabulary, &generation->sampler));
    ASH_TRY(ash_stop_create(options->stop, options->stop_count, &generation->stop));
    for (int32_t i = 0; i < count; i++)
        ash_sampler_accept(generation->sampler, token[i]);
    ASH_TRY(ash_kv_begin(engine->cache, token, count, &generation->kv, &generation->cached));
    generation->computed = generation->cached;
    return ASH_OK;
}

enum ash_status ash_engine_add(struct ash_engine *engine, const int32_t *token, int32_t count,
    const struct ash_generate_options *options, struct ash_generation **out)
{
    ASH_TRY(check_prompt(engine, token, count));
    struct ash_generation *generation = ash_alloc_zero(sizeof *generation);
    if (!generation)
        return ash_fail_memory(sizeof *generation, "a sequence");
    generation->engine = engine;
    enum ash_status status = prepare(generation, token, count, options);
    if (status != ASH_OK) {
        ash_generation_end(generation);
        return status;
    }
    engine->running[engine->count++] = generation;
    *out = generation;
    return ASH_OK;
}

/* Takes it out of the queue and gives its pages back at once: their content stays findable. */
static void retire(struct ash_generation *generation)
{
    struct ash_engine *engine = generation->engine;
    for (int32_t i = 0; i < engine->count; i++)
        if (engine->running[i] == generation) {
            memmove(engine->running + i, engine->running + i + 1,
                (size_t)(engine->count - i - 1) * sizeof(struct ash_generation *));
            engine->count--;
            break;
        }
    ash_kv_end(engine->options.cache, &generation->kv);
}

void ash_generation_end(struct ash_generation *generation)
{
    if (!generation)
        return;
    retire(generation);
    ash_sampler_destroy(generation->sampler);
    ash_stop_destroy(generation->stop);
    ash_free(generation->token);
    ash_free(generation->text);
    ash_free(generation);
}

static void fail(struct ash_generation *generation, enum ash_status status)
{
    generation->status = status;
    generation->finished = true;
    snprintf(generation->message, sizeof generation->message, "%s", ash_error());
    retire(generation);
}

/* ---- The answer's text ---- */

static enum ash_status add_text(struct ash_generation *generation, const char *bytes, size_t length)
{
    size_t room = generation->text_bytes + ASH_UTF8_ROOM(length);
    while (generation->text_capacity < room)
        ASH_TRY(ASH_GROW(generation->text, generation->text_capacity, generation->text_capacity));
    generation->text_bytes +=
        ash_utf8_push(&generation->utf8, bytes, length, generation->text + generation->text_bytes);
    return ASH_OK;
}

static enum ash_status add_stop_text(
    struct ash_generation *generation, const struct ash_stop_text *text)
{
    ASH_TRY(add_text(generation, text->held, text->held_bytes));
    return add_text(generation, text->fresh, text->fresh_bytes);
}

static enum ash_status finish(struct ash_generation *generation, enum ash_finish how)
{
    struct ash_stop_text rest = ash_stop_finish(generation->stop);
    ASH_TRY(add_stop_text(generation, &rest));
    ASH_TRY(add_text(generation, NULL, 0)); /* room for what UTF-8 still holds */
    generation->text_bytes +=
        ash_utf8_finish(&generation->utf8, generation->text + generation->text_bytes);
    generation->finish = how;
    generation->finished = true;
    retire(generation);
    return ASH_OK;
}

/* The chosen token joins the sequence and its text the answer. */
static enum ash_status accept(struct ash_generation *generation, int32_t token)
{
    const struct ash_engine_options *options = &generation->engine->options;
    generation->last_s = now_s();
    if (generation->count == generation->prompt)
        generation->first_s = generation->last_s;
    ash_sampler_accept(generation->sampler, token);
    generation->token[generation->count++] = token;
    bool ends = ash_tokenizer_ends(options->tokenizer, token);
    if (ends && !generation->ignore_end)
        return finish(generation, ASH_FINISH_END);
    if (!ends) {
        size_t length;
        const char *piece = ash_tokenizer_piece(options->tokenizer, token, &length);
        struct ash_stop_text text = ash_stop_feed(generation->stop, piece, length);
        ASH_TRY(add_stop_text(generation, &text));
        if (text.matched >= 0)
            return finish(generation, ASH_FINISH_END);
    }
    if (generation->count == generation->limit)
        return finish(generation,
            generation->limit == options->context ? ASH_FINISH_CONTEXT : ASH_FINISH_LENGTH);
    return ASH_OK;
}

/* ---- One step ---- */

/* Puts up to `room` waiting tokens of a sequence in the batch. */
static enum ash_status take(struct ash_engine *engine, struct ash_generation *generation)
{
    struct ash_batch *batch = &engine->batch;
    int32_t waiting = generation->count - generation->computed;
    int32_t room = engine->options.batch_tokens - batch->tokens;
    int32_t tokens = waiting < room ? waiting : room;
    if (tokens == 0)
        return ASH_OK;
    ASH_TRY(ash_kv_reserve(engine->options.cache, &generation->kv, generation->computed + tokens));
    engine->span[batch->spans] = (struct ash_span){
        .first_token = batch->tokens,
        .tokens = tokens,
        .first_position = generation->computed,
        .page = generation->kv.page,
    };
    memcpy(engine->token + batch->tokens, generation->token + generation->computed,
        (size_t)tokens * sizeof *engine->token);
    for (int32_t i = 0; i < tokens; i++)
        engine->token_span[batch->tokens + i] = batch->spans;
    batch->spans++;
    batch->tokens += tokens;
    generation->taken = tokens;
    if (tokens == waiting) {
        generation->output = batch->outputs;
        engine->output[batch->outputs++] = batch->tokens - 1;
    }
    return ASH_OK;
}

/* Those that are decoding first: nobody's next word waits for another's long prompt. */
static void fill_batch(struct ash_engine *engine)
{
    struct ash_batch *batch = &engine->batch;
    batch->tokens = batch->spans = batch->outputs = 0;
    enum ash_status status = ASH_OK;
    for (int32_t i = 0; i < engine->count; i++) {
        engine->running[i]->taken = 0;
        engine->running[i]->output = -1;
    }
    for (int prefill = 0; prefill < 2; prefill++)
        for (int32_t i = 0; i < engine->count; i++) {
            struct ash_generation *generation = engine->running[i];
            bool decoding = generation->count - generation->computed == 1;
            if (decoding == !prefill) {
                enum ash_status taken = take(engine, generation);
                status = taken == ASH_OK ? status : taken;
            }
        }
    /* One without pages waits for others to end; if nobody can go on, the youngest gives way. */
    if (batch->tokens == 0 && engine->count > 0 && status != ASH_OK)
        fail(engine->running[engine->count - 1], status);
}

static void advance(struct ash_engine *engine, struct ash_generation *generation)
{
    const struct ash_engine_options *options = &engine->options;
    generation->computed += generation->taken;
    ash_kv_commit(options->cache, &generation->kv, generation->token, generation->computed);
    if (generation->output < 0)
        return;
    const float *logits = ash_plan_output(options->plan, options->logits)->data;
    int32_t token;
    enum ash_status status = ash_sampler_choose(
        generation->sampler, logits + (int64_t)generation->output * options->vocabulary, &token);
    if (status == ASH_ERR_ARGUMENT) /* no logit is a number: nothing that the user has said */
        status = ash_fail(ASH_ERR_FORMAT,
            "the model gives no finite number for any next token: its weights are damaged or beyond "
            "what the formats in use can hold; fetch the model again");
    if (status == ASH_OK)
        status = accept(generation, token);
    if (status != ASH_OK)
        fail(generation, status);
}

static void end_canceled(struct ash_engine *engine)
{
    for (int32_t i = engine->count - 1; i >= 0; i--) {
        struct ash_generation *generation = engine->running[i];
        if (!atomic_load(&generation->canceled))
            continue;
        enum ash_status status = finish(generation, ASH_FINISH_CANCELED);
        if (status != ASH_OK)
            fail(generation, status);
    }
}

enum ash_status ash_engine_step(struct ash_engine *engine, bool *busy)
{
    end_canceled(engine);
    for (int32_t i = 0; i < engine->count; i++)
        if (engine->running[i]->begin_s == 0)
            engine->running[i]->begin_s = now_s();
    fill_batch(engine);
    *busy = engine->count > 0;
    if (engine->batch.tokens == 0)
        return ASH_OK;
    enum ash_status status = ash_plan_run(engine->options.plan, &engine->batch);
    /* From the end: a sequence that finishes leaves the list. */
    for (int32_t i = engine->count - 1; i >= 0; i--) {
        struct ash_generation *generation = engine->running[i];
        if (generation->taken > 0 && status == ASH_OK)
            advance(engine, generation);
        else if (generation->taken > 0)
            fail(generation, status);
    }
    return status;
}

/* ---- What has become of it ---- */

enum ash_finish ash_generation_finish(const struct ash_generation *generation)
{
    return generation->finish;
}

enum ash_status ash_generation_status(const struct ash_generation *generation)
{
    if (generation->status == ASH_OK)
        return ASH_OK;
    return ash_fail(generation->status, "%s", generation->message);
}

void ash_generation_usage(const struct ash_generation *generation, struct ash_usage *out)
{
    *out = (struct ash_usage){
        .prompt_tokens = generation->prompt,
        .cached_tokens = generation->cached,
        .answer_tokens = generation->count - generation->prompt,
        .context = generation->engine->options.context,
        .prefill_s = generation->first_s > 0 ? generation->first_s - generation->begin_s : 0,
        .decode_s = generation->last_s - generation->first_s,
    };
}

const int32_t *ash_generation_tokens(const struct ash_generation *generation, int32_t *count)
{
    *count = generation->count;
    return generation->token;
}

const char *ash_generation_take(struct ash_generation *generation, size_t *length)
{
    *length = generation->text_bytes;
    generation->text_bytes = 0;
    return generation->text ? generation->text : "";
}

void ash_generation_cancel(struct ash_generation *generation)
{
    atomic_store(&generation->canceled, true);
}

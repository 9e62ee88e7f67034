/* SPDX-License-Identifier: Apache-2.0 */
#include "models/generate_internal.h"
#include "runtime/memory.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

double ash_generate_now_s(void)
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
    engine->output = ash_alloc_array((size_t)options->outputs, sizeof *engine->output);
    engine->span = ash_alloc_array(sequences, sizeof *engine->span);
    engine->draft = ash_alloc_array(sequences, sizeof *engine->draft);
    if (!engine->running || !engine->token || !engine->token_span || !engine->output ||
        !engine->span || !engine->draft) {
        ash_engine_destroy(engine);
        return ash_fail_memory(tokens * 8 + sequences * 256, "the engine's batch");
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
    ash_free(engine->draft);
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
    if (engine->speculate) {
        ASH_TRY(ash_lookup_create(generation->token, engine->context, &generation->lookup));
        ash_lookup_extend(generation->lookup, count);
    }
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
    ash_lookup_destroy(generation->lookup);
    ash_free(generation->token);
    ash_free(generation->text);
    ash_free(generation);
}

void ash_generation_fail(struct ash_generation *generation, enum ash_status status)
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

enum ash_status ash_generation_close(struct ash_generation *generation, enum ash_finish how)
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

enum ash_status ash_generation_accept(struct ash_generation *generation, int32_t token)
{
    const struct ash_engine_options *options = &generation->engine->options;
    generation->last_s = ash_generate_now_s();
    if (generation->count == generation->prompt)
        generation->first_s = generation->last_s;
    ash_sampler_accept(generation->sampler, token);
    generation->token[generation->count++] = token;
    if (generation->lookup)
        ash_lookup_extend(generation->lookup, generation->count);
    bool ends = ash_tokenizer_ends(options->tokenizer, token);
    if (ends && !generation->ignore_end)
        return ash_generation_close(generation, ASH_FINISH_END);
    if (!ends) {
        size_t length;
        const char *piece = ash_tokenizer_piece(options->tokenizer, token, &length);
        struct ash_stop_text text = ash_stop_feed(generation->stop, piece, length);
        ASH_TRY(add_stop_text(generation, &text));
        if (text.matched >= 0)
            return ash_generation_close(generation, ASH_FINISH_END);
    }
    if (generation->count == generation->limit)
        return ash_generation_close(generation,
            generation->limit == options->context ? ASH_FINISH_CONTEXT : ASH_FINISH_LENGTH);
    return ASH_OK;
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
        .steps = generation->usage.steps,
        .drafted_tokens = generation->usage.drafted_tokens,
        .accepted_tokens = generation->usage.accepted_tokens,
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

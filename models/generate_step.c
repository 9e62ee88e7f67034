/* SPDX-License-Identifier: Apache-2.0 */
/* One step of an engine: which tokens run together, and what becomes of the logits. */
#include "models/generate_internal.h"

#include <string.h>

/* ---- Guesses ---- */

/* The smaller one, but never below 0. */
static int32_t at_most(int64_t a, int64_t b)
{
    int64_t least = a < b ? a : b;
    return least > 0 ? (int32_t)least : 0;
}

/* The most tokens a guess of this sequence can have: one more than it must leave room for its answer,
 * and no page is forgotten for what may not come. */
static int32_t draft_room(const struct ash_engine *engine, const struct ash_generation *generation)
{
    struct ash_kv_usage pages;
    ash_kv_usage(engine->options.cache, &pages);
    int64_t unknown = pages.pages - pages.held - pages.cached;
    int64_t positions = (generation->kv.pages + unknown) * ASH_PAGE_POSITIONS - generation->count;
    int32_t left = generation->limit - generation->count - 1;
    return at_most(positions, at_most(left, ASH_DRAFT_TOKENS));
}

/* Which tokens a batch is of. */
enum { ANSWERS = 1, PROMPTS = 2, BOTH = ANSWERS | PROMPTS };

static int kind_of(const struct ash_generation *generation)
{
    return generation->computed < generation->prompt ? PROMPTS : ANSWERS;
}

/* Whether its next token is all that waits; after a device was lost, its whole answer may wait again. */
static bool is_decoding(const struct ash_generation *generation)
{
    return kind_of(generation) == ANSWERS && generation->count - generation->computed == 1;
}

/* A step with a prompt in it is bound by arithmetic: no guess pays there. And guesses have room beside one
 * token of each sequence only. */
static bool may_draft(const struct ash_engine *engine)
{
    const struct ash_engine_options *options = &engine->options;
    if (!options->speculate || engine->count > ASH_SPECULATE_ROWS)
        return false;
    for (int32_t i = 0; i < engine->count; i++)
        if (!is_decoding(engine->running[i]))
            return false;
    return true;
}

/* What each sequence guesses, as far as it pays. Pages for what is certain come first, so that nobody's
 * guess takes them. */
static void draft_all(struct ash_engine *engine)
{
    const struct ash_engine_options *options = &engine->options;
    int32_t rows = at_most(options->outputs, options->batch_tokens);
    for (int32_t i = 0; i < engine->count; i++) {
        struct ash_generation *generation = engine->running[i];
        enum ash_status status = ash_kv_reserve(options->cache, &generation->kv, generation->count);
        engine->draft[i].tokens = status == ASH_OK ? ASH_DRAFT_TOKENS : 0; /* take() says why */
    }
    for (int32_t i = 0; i < engine->count; i++) {
        const struct ash_generation *generation = engine->running[i];
        struct ash_draft *draft = &engine->draft[i];
        int32_t most = at_most(draft->tokens, draft_room(engine, generation));
        ash_lookup_draft(generation->lookup, most, draft);
    }
    ash_speculation_choose(
        &engine->speculation, engine->draft, engine->count, rows - engine->count);
}

/* ---- The batch ---- */

/* Puts a sequence's next `waiting` tokens in the batch, and the guess behind them. */
static void add_span(struct ash_engine *engine, struct ash_generation *generation, int32_t waiting,
    const struct ash_draft *draft)
{
    struct ash_batch *batch = &engine->batch;
    int32_t *token = engine->token + batch->tokens;
    generation->drafted = draft ? draft->tokens : 0;
    generation->taken = waiting + generation->drafted;
    memcpy(token, generation->token + generation->computed, (size_t)waiting * sizeof *token);
    if (draft)
        memcpy(token + waiting, draft->token, (size_t)draft->tokens * sizeof *token);
    engine->span[batch->spans] = (struct ash_span){
        .first_token = batch->tokens,
        .tokens = generation->taken,
        .first_position = generation->computed,
        .page = generation->kv.page,
    };
    for (int32_t i = 0; i < generation->taken; i++)
        engine->token_span[batch->tokens + i] = batch->spans;
    batch->spans++;
    batch->tokens += generation->taken;
}

/* Logits of the last of its `waiting` tokens and of every guessed one. */
static void add_outputs(struct ash_engine *engine, struct ash_generation *generation)
{
    struct ash_batch *batch = &engine->batch;
    generation->output = batch->outputs;
    for (int32_t i = generation->drafted; i >= 0; i--)
        engine->output[batch->outputs++] = batch->tokens - 1 - i;
}

/* How many of a sequence's tokens wait for a batch of its kind: where prompts have a plan of their own, an
 * answer that is computed again does not go through it with the prompt. */
static int32_t waiting_of(const struct ash_engine *engine, const struct ash_generation *generation)
{
    const bool apart = engine->options.plan != engine->options.prompts;
    const bool prompt = apart && kind_of(generation) == PROMPTS;
    return (prompt ? generation->prompt : generation->count) - generation->computed;
}

/* Puts up to as many waiting tokens of a sequence in the batch as there is room for. */
static enum ash_status take(
    struct ash_engine *engine, struct ash_generation *generation, struct ash_draft *draft)
{
    int32_t waiting = waiting_of(engine, generation);
    int32_t room = engine->options.batch_tokens - engine->batch.tokens;
    int32_t tokens = waiting < room ? waiting : room;
    if (tokens == 0)
        return ASH_OK;
    if (draft) /* other guesses have taken pages since it was made */
        draft->tokens = at_most(draft->tokens, draft_room(engine, generation));
    int32_t end = generation->computed + tokens + (draft ? draft->tokens : 0);
    ASH_TRY(ash_kv_reserve(engine->options.cache, &generation->kv, end));
    add_span(engine, generation, tokens, draft);
    if (generation->computed + tokens == generation->count)
        add_outputs(engine, generation);
    return ASH_OK;
}

/* Answers first: nobody's next word waits for another's long prompt. */
static enum ash_status take_all(struct ash_engine *engine, int kinds, bool drafting)
{
    enum ash_status status = ASH_OK;
    for (int kind = ANSWERS; kind <= PROMPTS; kind++)
        for (int32_t i = 0; i < engine->count; i++) {
            if (!(kind & kinds) || kind_of(engine->running[i]) != kind)
                continue;
            enum ash_status taken =
                take(engine, engine->running[i], drafting ? &engine->draft[i] : NULL);
            status = taken == ASH_OK ? status : taken;
        }
    return status;
}

static enum ash_status fill_batch(struct ash_engine *engine, int kinds)
{
    struct ash_batch *batch = &engine->batch;
    batch->tokens = batch->spans = batch->outputs = 0;
    for (int32_t i = 0; i < engine->count; i++) {
        engine->running[i]->taken = engine->running[i]->drafted = 0;
        engine->running[i]->output = -1;
    }
    bool drafting = kinds & ANSWERS && may_draft(engine);
    if (drafting)
        draft_all(engine);
    return take_all(engine, kinds, drafting);
}

/* ---- The logits ---- */

/* The token after batch row `engine->output[output]`, drawn as if nothing had been guessed. */
static enum ash_status choose(
    struct ash_engine *engine, struct ash_generation *generation, int32_t output, int32_t *token)
{
    const struct ash_engine_options *options = &engine->options;
    enum ash_status status = ash_sampler_choose(
        generation->sampler, engine->logits + (int64_t)output * options->vocabulary, token);
    if (status == ASH_ERR_ARGUMENT) /* no logit is a number: nothing that the user has said */
        status = ash_fail(ASH_ERR_FORMAT,
            "the model gives no finite number for any next token: its weights are damaged or beyond "
            "what the formats in use can hold; fetch the model again");
    return status;
}

/* Shares what has been computed; of an answer nothing, if another plan would have computed it as a prompt. */
static void commit(struct ash_engine *engine, struct ash_generation *generation)
{
    const struct ash_engine_options *options = &engine->options;
    int32_t positions = generation->computed;
    if (options->plan != options->prompts && positions > generation->prompt)
        positions = generation->prompt;
    ash_kv_commit(options->cache, &generation->kv, generation->token, positions);
}

/* Goes on for as long as the token that is chosen is the one that was guessed: its row is then what
 * the next step would have computed. */
static enum ash_status answer(struct ash_engine *engine, struct ash_generation *generation)
{
    for (int32_t i = 0;; i++) {
        int32_t token, row = engine->output[generation->output + i];
        ASH_TRY(choose(engine, generation, generation->output + i, &token));
        ASH_TRY(ash_generation_accept(generation, token));
        if (i == generation->drafted || generation->finished || engine->token[row + 1] != token)
            return ASH_OK;
        generation->usage.accepted_tokens++;
        generation->computed++;
        commit(engine, generation);
    }
}

static void advance(struct ash_engine *engine, struct ash_generation *generation)
{
    generation->computed += generation->taken - generation->drafted;
    commit(engine, generation);
    if (generation->output < 0)
        return;
    generation->usage.steps++;
    generation->usage.drafted_tokens += generation->drafted;
    enum ash_status status = answer(engine, generation);
    if (status != ASH_OK)
        ash_generation_fail(generation, status);
    else if (!generation->finished)
        ash_kv_truncate(engine->options.cache, &generation->kv, generation->computed);
}

/* ---- The step ---- */

static void end_canceled(struct ash_engine *engine)
{
    for (int32_t i = engine->count - 1; i >= 0; i--) {
        struct ash_generation *generation = engine->running[i];
        if (!atomic_load(&generation->canceled))
            continue;
        enum ash_status status = ash_generation_close(generation, ASH_FINISH_CANCELED);
        if (status != ASH_OK)
            ash_generation_fail(generation, status);
    }
}

static enum ash_status run_batch(struct ash_engine *engine, int kinds)
{
    const struct ash_engine_options *options = &engine->options;
    struct ash_plan *plan = kinds & ANSWERS ? options->plan : options->prompts;
    double begin_s = ash_generate_now_s();
    if (!plan)
        return ash_fail(ASH_ERR_DEVICE, "a device was lost, and the model does not run without it");
    ASH_TRY(ash_plan_run(plan, &engine->batch));
    engine->logits = ash_plan_output(plan, options->logits)->data;
    if (plan == options->plan && engine->batch.outputs == engine->batch.tokens)
        ash_speculation_note(
            &engine->speculation, engine->batch.tokens, ash_generate_now_s() - begin_s);
    return ASH_OK;
}

/* One batch. *waits: why a sequence was left out, if one was. */
static enum ash_status step(struct ash_engine *engine, int kinds, enum ash_status *waits)
{
    enum ash_status waiting = fill_batch(engine, kinds);
    *waits = waiting == ASH_OK ? *waits : waiting;
    if (engine->batch.tokens == 0)
        return ASH_OK;
    enum ash_status status = run_batch(engine, kinds);
    if (status != ASH_OK && ash_engine_recover(engine, status))
        return ASH_OK;
    /* From the end: a sequence that finishes leaves the list. */
    for (int32_t i = engine->count - 1; i >= 0; i--) {
        struct ash_generation *generation = engine->running[i];
        if (generation->taken > 0 && status == ASH_OK)
            advance(engine, generation);
        else if (generation->taken > 0)
            ash_generation_fail(generation, status);
    }
    return status;
}

enum ash_status ash_engine_step(struct ash_engine *engine, bool *busy)
{
    const bool apart = engine->options.plan != engine->options.prompts;
    enum ash_status status = ASH_OK, waits = ASH_OK;
    int32_t ran = 0;
    end_canceled(engine);
    *busy = engine->count > 0;
    for (int32_t i = 0; i < engine->count; i++)
        if (engine->running[i]->begin_s == 0)
            engine->running[i]->begin_s = ash_generate_now_s();
    for (int kind = ANSWERS; kind <= (apart ? PROMPTS : ANSWERS) && status == ASH_OK; kind++) {
        status = step(engine, apart ? kind : BOTH, &waits);
        ran += engine->batch.tokens;
    }
    /* One without pages waits for others to end; if nobody can go on, the youngest gives way. */
    if (ran == 0 && engine->count > 0 && waits != ASH_OK)
        ash_generation_fail(engine->running[engine->count - 1], waits);
    return status;
}

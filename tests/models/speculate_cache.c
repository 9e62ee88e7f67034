/* SPDX-License-Identifier: Apache-2.0 */

/* Drafts leave nothing behind: in the cache, in memory, and with a real model. */
#include "runtime/memory.h"
#include "tests/models/speculate.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

/* ---- The cache ---- */

/* How many positions of `token` (count) the cache knows. */
static int32_t known(struct ash_kv_cache *cache, const int32_t *token, int32_t count)
{
    struct ash_kv_sequence sequence;
    int32_t cached;
    cr_assert_eq(ash_kv_begin(cache, token, count, &sequence, &cached), ASH_OK);
    ash_kv_end(cache, &sequence);
    return cached;
}

/* After a step whose first row was position `begin`: the pages are those of the positions that count, and
 * whoever begins with what was drafted wrong finds nothing beyond what was said. Returns how many tokens
 * were wrong. */
static int32_t check_traces(
    struct ash_model *model, const struct ash_generation *generation, int32_t begin)
{
    const struct ash_engine *engine = model->engine;
    cr_assert_eq(generation->computed, generation->count - 1);
    cr_assert_eq(generation->kv.pages, (generation->computed + P - 1) / P);
    cr_assert_eq(generation->kv.committed, generation->computed / P);
    int32_t token[2 * CONTEXT] = { 0 }, count = begin + engine->batch.tokens, same = 0;
    memcpy(token, generation->token, (size_t)generation->count * sizeof *token);
    cr_assert_leq(known(model->cache, token, generation->count + P), generation->computed / P * P);
    memcpy(token + begin, engine->token, (size_t)engine->batch.tokens * sizeof *token);
    while (same < count && same < generation->count && token[same] == generation->token[same])
        same++;
    cr_assert_leq(known(model->cache, token, count + P), same / P * P);
    return count - same;
}

Test(speculate, a_wrong_draft_leaves_no_trace_in_the_cache)
{
    struct machine machine = load(&(struct setup){ .speculate = "auto" });
    int32_t wrong = 0, across = 0;
    for (int prompt = 0; prompt < PROMPTS; prompt++) {
        int32_t token[CONTEXT];
        make_prompt((enum prompt)prompt, token, 90);
        struct ash_generate_options options = sampled(100, 0.8);
        struct ash_generation *generation = add(machine.model, token, 90, &options);
        step(machine.model);
        for (int32_t begin = generation->computed; step(machine.model) && !generation->finished;) {
            int32_t more = check_traces(machine.model, generation, begin);
            wrong += more;
            across += more > 0 && (begin + machine.model->engine->batch.tokens) / P > begin / P;
            begin = generation->computed;
        }
        ash_generation_end(generation);
        struct ash_kv_usage usage;
        ash_kv_usage(machine.model->cache, &usage);
        cr_assert_eq(usage.held, 0);
    }
    cr_assert_gt(wrong, 100);
    cr_assert_gt(across, 3, "wrong drafts have filled pages: %d", across);
    unload(&machine);
}

/* A draft must not push a prefix out of the cache that would have stayed without it. */
Test(speculate, what_the_cache_knows_is_not_forgotten_for_a_draft)
{
    struct setup setup = { .speculate = "off" };
    struct machine plain = load(&setup);
    setup.speculate = "auto";
    struct machine drafting = load(&setup);
    uint32_t random = 1;
    for (int round = 0; round < 30; round++) { /* a few conversations, more than the cache holds */
        int32_t token[CONTEXT];
        random = random * 1664525 + 1013904223;
        make_prompt((enum prompt)(random >> 29) % PROMPTS, token, CONTEXT);
        token[0] = 40 + (int32_t)(random >> 20) % 3;
        int32_t count = 40 + (int32_t)(random >> 10) % 160;
        struct ash_generate_options options = sampled(20 + 2 * round, 0.3);
        struct outcome a = say(plain.model, token, count, &options);
        struct outcome b = say(drafting.model, token, count, &options);
        expect_same(&a, &b, "conversation");
        free(a.text);
        free(b.text);
    }
    unload(&plain);
    unload(&drafting);
}

/* ---- The setting, memory, a real model ---- */

Test(speculate, off_allocates_nothing_for_it)
{
    struct machine plain = load(&(struct setup){ .speculate = "off" });
    struct machine drafting = load(&(struct setup){ .speculate = "auto" });
    struct ash_generate_options options = greedy(4);
    int32_t token[] = { 1, 2, 3 };
    struct ash_generation *a = add(plain.model, token, 3, &options);
    struct ash_generation *b = add(drafting.model, token, 3, &options);
    cr_assert(!a->lookup && b->lookup);
    cr_assert_eq(plain.model->outputs, 1);
    cr_assert_gt(drafting.model->outputs, ASH_DRAFT_TOKENS);
    ash_generation_end(a);
    ash_generation_end(b);
    unload(&plain);
    unload(&drafting);
}

Test(speculate, every_failed_allocation_is_survived)
{
    struct machine machine = load(&(struct setup){ .speculate = "auto" });
    int32_t token[80];
    make_prompt(PERIOD, token, 80);
    struct ash_generate_options options = greedy(40);
    enum ash_status status = ASH_ERR_NO_MEMORY;
    int failures = 0;
    for (int n = 0; status != ASH_OK; n++, failures++) {
        struct ash_generation *generation = NULL;
        ash_memory_fail_from(n);
        status = ash_engine_add(machine.model->engine, token, 80, &options, &generation);
        while (status == ASH_OK && step(machine.model))
            ;
        if (status == ASH_OK)
            status = ash_generation_status(generation);
        ash_memory_fail_from(-1);
        cr_assert(status == ASH_OK || status == ASH_ERR_NO_MEMORY, "%s", ash_error());
        ash_generation_end(generation);
    }
    cr_assert_geq(failures, 8, "%d", failures);
    unload(&machine);
}

/* The text of a session, and what it cost. */
static char *answer(struct ash_model *model, const char *text, double temperature,
    double repeat_penalty, struct ash_usage *usage)
{
    struct ash_session_options options = ash_session_defaults();
    options.max_tokens = 40;
    options.seed = 3;
    options.temperature = temperature;
    options.repeat_penalty = repeat_penalty;
    struct ash_session *session;
    cr_assert_eq(ash_session_create(model, &options, &session), ASH_OK);
    cr_assert_eq(ash_session_prompt(session, text, strlen(text)), ASH_OK);
    char all[4096] = "";
    struct ash_piece piece = { 0 };
    while (!piece.done) {
        for (int32_t rows = 0; rows <= ASH_SPECULATE_ROWS; rows++)
            model->engine->speculation.step_s[rows] = 1;
        cr_assert_eq(ash_session_next(session, &piece), ASH_OK, "%s", ash_error());
        strncat(all, piece.text, piece.length);
    }
    ash_session_usage(session, usage);
    ash_session_destroy(session);
    return strdup(all);
}

Test(speculate, the_default_model_says_the_same_and_a_copy_is_accepted)
{
    const char *path = getenv("ASHLAR_TEST_MODEL");
    if (!path || !*path)
        cr_skip_test("ASHLAR_TEST_MODEL does not name a model file");
#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
    cr_skip_test("takes minutes under a sanitizer; the tiny checkpoint goes the same ways");
#endif
    static const char *const texts[] = {
        ("The old men sit along the wall and mend nets, and they judge the weather by the colour of "
         "the water under the bridge.\n\nThe old men sit along the wall"),
        "Once upon a time",
        "for (int i = 0; i < rows; i++)\n    total += row[i];\nfor (int i = 0; i < columns; i++)\n",
    };
    static const struct {
        double temperature, repeat_penalty;
    } samplers[] = { { 0, 1 }, { 0.8, 1 }, { 0.5, 1.1 } };
    struct machine plain = load(&(struct setup){ .path = path, .speculate = "off" });
    struct machine drafting = load(&(struct setup){ .path = path, .speculate = "auto" });
    for (size_t t = 0; t < sizeof texts / sizeof *texts; t++)
        for (size_t s = 0; s < sizeof samplers / sizeof *samplers; s++) {
            struct ash_usage a, b;
            double temperature = samplers[s].temperature, penalty = samplers[s].repeat_penalty;
            char *without = answer(plain.model, texts[t], temperature, penalty, &a);
            char *with = answer(drafting.model, texts[t], temperature, penalty, &b);
            cr_assert_str_eq(without, with, "text %zu, sampler %zu", t, s);
            cr_assert_eq(a.answer_tokens, b.answer_tokens);
            cr_assert_eq(a.steps, a.answer_tokens);
            if (t == 0 && s == 0)
                cr_assert_lt(b.steps, b.answer_tokens / 2, "%d steps", b.steps);
            free(without);
            free(with);
        }
    unload(&plain);
    unload(&drafting);
}

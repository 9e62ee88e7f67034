/* SPDX-License-Identifier: Apache-2.0 */

/* Drafts change nothing but the time: what sequences say, alone and together, is what it would be without. */
#include "tests/models/speculate.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct ash_generate_options penalised(int32_t max_tokens, double temperature)
{
    struct ash_generate_options options = sampled(max_tokens, temperature);
    options.sampler.repeat_penalty = 1.3;
    options.sampler.frequency_penalty = 0.2;
    options.sampler.presence_penalty = 0.1;
    options.sampler.penalty_last_n = 24;
    return options;
}

static const char *const never[] = { "never said, but always looked for" };

static struct ash_generate_options stopping(int32_t max_tokens)
{
    struct ash_generate_options options = sampled(max_tokens, 0.2);
    options.stop = never;
    options.stop_count = 1;
    options.ignore_end = false;
    return options;
}

struct totals {
    int64_t steps, answered, drafted, accepted;
};

static void add_usage(struct totals *totals, const struct ash_usage *usage)
{
    totals->steps += usage->steps;
    totals->answered += usage->answer_tokens;
    totals->drafted += usage->drafted_tokens;
    totals->accepted += usage->accepted_tokens;
    cr_assert_leq(usage->accepted_tokens, usage->drafted_tokens);
    cr_assert_geq(usage->steps + usage->accepted_tokens, usage->answer_tokens);
}

/* ---- One sequence ---- */

/* Every prompt at lengths around page borders, to the context's end and not, twice: the second time with
 * a cached prefix. */
static void compare_setup(struct setup setup, size_t length_count, struct totals *totals)
{
    static const int32_t lengths[] = { 64, 30, 1, 33, 101 };
    setup.speculate = "off";
    struct machine plain = load(&setup);
    setup.speculate = "auto";
    struct machine drafting = load(&setup);
    for (int prompt = 0; prompt < PROMPTS; prompt++)
        for (size_t l = 0; l < length_count; l++) {
            int32_t token[CONTEXT];
            make_prompt((enum prompt)prompt, token, lengths[l]);
            const struct ash_generate_options options[] = { greedy(0), greedy(40), sampled(70, 0.1),
                sampled(50, 0.8), penalised(50, 0), penalised(50, 0.7), stopping(60) };
            for (size_t o = 0; o < 2 * sizeof options / sizeof *options; o++) {
                char what[64];
                snprintf(what, sizeof what, "prompt %d of %d, options %zu", prompt, lengths[l], o);
                struct outcome a = say(plain.model, token, lengths[l], &options[o / 2]);
                struct outcome b = say(drafting.model, token, lengths[l], &options[o / 2]);
                expect_same(&a, &b, what);
                cr_assert_eq(a.usage.drafted_tokens, 0);
                add_usage(totals, &b.usage);
                free(a.text);
                free(b.text);
            }
        }
    struct ash_kv_usage a, b;
    ash_kv_usage(plain.model->cache, &a);
    ash_kv_usage(drafting.model->cache, &b);
    cr_assert_eq(b.held, 0);
    cr_assert_eq(a.cached, b.cached, "%d and %d pages are known", a.cached, b.cached);
    unload(&plain);
    unload(&drafting);
}

#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
enum { LENGTHS = 1 }; /* minutes otherwise */
#else
enum { LENGTHS = 5 };
#endif

Test(speculate, a_sequence_says_the_same_with_and_without)
{
    const struct setup setups[] = { { 0 }, { .tiny = "wide", .kv_type = "q8_0" },
        { .kv_type = "f32" }, { .batch_tokens = "5" }, { .batch_tokens = "1" } };
    for (size_t i = 0; i < sizeof setups / sizeof *setups; i++) {
        struct totals totals = { 0 };
        compare_setup(setups[i], i == 0 ? LENGTHS : 1, &totals);
        cr_log_info("setup %zu: %lld tokens in %lld steps, %lld of %lld drafted accepted", i,
            (long long)totals.answered, (long long)totals.steps, (long long)totals.accepted,
            (long long)totals.drafted);
        if (i == 4) {
            cr_assert_eq(totals.drafted, 0); /* a batch of one row has no room */
            continue;
        }
        cr_assert_gt(totals.accepted, totals.answered / 4, "drafts are accepted");
        cr_assert_gt(totals.drafted, totals.accepted, "and rejected");
        cr_assert_lt(totals.steps, totals.answered);
    }
}

/* The stop text is one of the answer's own, at every place: within an accepted draft, at its end. */
Test(speculate, a_stop_text_ends_an_answer_at_the_same_token)
{
    struct machine plain = load(&(struct setup){ .speculate = "off" });
    struct machine drafting = load(&(struct setup){ .speculate = "auto" });
    struct ash_generate_options options = greedy(60);
    int32_t token[40];
    make_prompt(PERIOD, token, 40);
    struct outcome whole = say(plain.model, token, 40, &options);
    free(say(drafting.model, token, 40, &options).text); /* both caches know the prompt */
    size_t length = strlen(whole.text);
    for (size_t at = 0; at + 3 <= length; at += 2) {
        char stop[4] = { whole.text[at], whole.text[at + 1], whole.text[at + 2], 0 };
        const char *stops[] = { stop };
        options.stop = stops;
        options.stop_count = 1;
        struct outcome a = say(plain.model, token, 40, &options);
        struct outcome b = say(drafting.model, token, 40, &options);
        cr_assert_eq(a.finish, ASH_FINISH_END);
        expect_same(&a, &b, stop);
        free(a.text);
        free(b.text);
    }
    free(whole.text);
    unload(&plain);
    unload(&drafting);
}

/* ---- Several ---- */

static void join_one_by_one(struct ash_model *model, struct outcome out[SEQUENCES])
{
    struct ash_generation *generation[SEQUENCES];
    for (int s = 0; s < SEQUENCES; s++) {
        int32_t token[CONTEXT], count = 20 + 13 * s;
        make_prompt((enum prompt)(s % PROMPTS), token, count);
        struct ash_generate_options options = s % 2 ? sampled(60 + s, 0.2) : penalised(0, 0.5);
        generation[s] = add(model, token, count, &options);
        for (int i = 0; i < 5 * s; i++)
            step(model);
    }
    while (step(model))
        ;
    for (int s = 0; s < SEQUENCES; s++) {
        out[s] = outcome_of(generation[s]);
        ash_generation_end(generation[s]);
    }
}

Test(speculate, sequences_that_decode_together_say_the_same_and_share_the_rows)
{
    static const char *const batches[] = { "64", "7", "4" };
    for (size_t i = 0; i < sizeof batches / sizeof *batches; i++) {
        struct setup setup = {
            .speculate = "off", .sequences = SEQUENCES, .batch_tokens = batches[i]
        };
        struct machine plain = load(&setup);
        setup.speculate = "auto";
        struct machine drafting = load(&setup);
        struct totals totals = { 0 };
        struct outcome a[SEQUENCES], b[SEQUENCES];
        for (int round = 0; round < 2; round++) { /* the second finds its prompts in the cache */
            join_one_by_one(plain.model, a);
            join_one_by_one(drafting.model, b);
            for (int s = 0; s < SEQUENCES; s++) {
                expect_same(&a[s], &b[s], batches[i]);
                add_usage(&totals, &b[s].usage);
                free(a[s].text);
                free(b[s].text);
            }
        }
        cr_assert_gt(totals.drafted, 0, "%s", batches[i]);
        cr_assert_gt(totals.accepted, 0, "%s", batches[i]);
        unload(&plain);
        unload(&drafting);
    }
}

Test(speculate, a_canceled_sequence_ends_and_its_neighbour_goes_on)
{
    struct machine machine = load(&(struct setup){ .speculate = "auto", .sequences = 2 });
    int32_t token[40];
    make_prompt(PERIOD, token, 40);
    struct ash_generate_options options = greedy(0);
    struct ash_generation *canceled = add(machine.model, token, 40, &options);
    struct ash_generation *other = add(machine.model, token, 39, &options);
    for (int i = 0; i < 6; i++)
        step(machine.model);
    int32_t count, after;
    ash_generation_tokens(canceled, &count);
    ash_generation_cancel(canceled);
    while (step(machine.model))
        ;
    ash_generation_tokens(canceled, &after);
    cr_assert_eq(after, count);
    cr_assert_eq(ash_generation_finish(canceled), ASH_FINISH_CANCELED);
    cr_assert_eq(ash_generation_finish(other), ASH_FINISH_CONTEXT);
    ash_generation_end(canceled);
    ash_generation_end(other);
    unload(&machine);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "models/sampler.h"

#include "models/sampler_internal.h"
#include "runtime/memory.h"

#include <criterion/criterion.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_VOCABULARY = 3000 };

static struct ash_sampler *create(struct ash_sampler_options options, int32_t vocabulary)
{
    struct ash_sampler *sampler = NULL;
    cr_assert_eq(ash_sampler_create(&options, vocabulary, &sampler), ASH_OK, "%s", ash_error());
    return sampler;
}

static int32_t choose(struct ash_sampler *sampler, const float *logits)
{
    int32_t token = -1;
    cr_assert_eq(ash_sampler_choose(sampler, logits, &token), ASH_OK, "%s", ash_error());
    return token;
}

/* Everything off but the temperature. */
static struct ash_sampler_options plain(void)
{
    return (struct ash_sampler_options){
        .temperature = 1, .typical_p = 1, .top_p = 1, .repeat_penalty = 1
    };
}

static void random_logits(struct ash_random *random, float *logits, int32_t vocabulary)
{
    for (int32_t i = 0; i < vocabulary; i++) {
        double sum = -6;
        for (int j = 0; j < 12; j++) /* near enough to a normal distribution */
            sum += ash_random_unit(random);
        logits[i] = (float)(sum * 3);
    }
}

/* ---- Arithmetic ---------------------------------------------------------------------------- */

Test(sampler, exp_and_log_are_within_two_ulp_of_the_truth)
{
    struct ash_random random;
    ash_random_seed(&random, 1);
    for (int i = 0; i < 200000; i++) {
        double x = -690 * ash_random_unit(&random) * (i % 2 ? 1 : 0.01);
        long double truth = expl((long double)x);
        cr_assert_lt(fabsl((long double)ash_exact_exp(x) / truth - 1), 2 * 2.3e-16L, "exp %a", x);
        double y =
            ldexp(1 + ash_random_unit(&random), (int)(ash_random_unit(&random) * 1000) - 500);
        truth = logl((long double)y);
        cr_assert_leq(fabsl((long double)ash_exact_log(y) - truth), 5e-16L * fabsl(truth) + 1e-17L,
            "log %a", y);
    }
    cr_assert_eq(ash_exact_exp(0), 1.0);
    cr_assert_eq(ash_exact_exp((double)-INFINITY), 0.0);
    cr_assert_eq(ash_exact_log(1), 0.0);
}

Test(sampler, random_numbers_are_the_published_ones)
{
    /* The published generator's first numbers from state 1, 2, 3, 4; splitmix64's from seed 0. */
    struct ash_random random = { { 1, 2, 3, 4 } };
    const uint64_t expected[] = { 11520, 0, 1509978240, 1215971899390074240 };
    for (size_t i = 0; i < 4; i++)
        cr_assert_eq(ash_random_next(&random), expected[i]);
    ash_random_seed(&random, 0);
    cr_assert_eq(random.state[0], 0xE220A8397B1DCDAF);
    cr_assert_eq(random.state[1], 0x6E789E6AA1B965F4);
}

/* ---- The chain, against a plain implementation with full sorts and libm --------------------- */

struct plain_item {
    double logit, p, key;
    int32_t token;
};

static int by_key(const void *left, const void *right)
{
    const struct plain_item *a = left, *b = right;
    return a->key != b->key ? (a->key < b->key) - (a->key > b->key)
                            : (a->token > b->token) - (a->token < b->token);
}

static void plain_softmax(struct plain_item *item, size_t count, double temperature)
{
    double largest = (double)-INFINITY, sum = 0;
    for (size_t i = 0; i < count; i++)
        largest = fmax(largest, item[i].logit);
    for (size_t i = 0; i < count; i++)
        sum += item[i].p = exp((item[i].logit - largest) / temperature);
    for (size_t i = 0; i < count; i++)
        item[i].p /= sum;
}

static size_t plain_sort_and_cut(struct plain_item *item, size_t count, double limit, bool beyond)
{
    double sum = 0;
    qsort(item, count, sizeof *item, by_key);
    for (size_t i = 0; i < count; i++) {
        sum += item[i].p;
        if (beyond ? sum > limit : sum >= limit)
            return i + 1;
    }
    return count;
}

static void plain_key_by_logit(struct plain_item *item, size_t count)
{
    for (size_t i = 0; i < count; i++)
        item[i].key = item[i].logit;
}

static size_t plain_chain(const struct ash_sampler_options *o, const float *logits,
    int32_t vocabulary, const int32_t *history, size_t history_count, struct plain_item *item)
{
    size_t count = 0;
    for (int32_t token = 0; token < vocabulary; token++) {
        double logit = (double)logits[token];
        for (size_t b = 0; b < o->bias_count; b++)
            if (o->bias[b].token == token)
                logit += (double)o->bias[b].bias;
        int seen = 0;
        for (size_t h = 0; h < history_count; h++)
            seen += history_count - h <= (size_t)o->penalty_last_n && history[h] == token;
        if (seen) {
            logit = logit > 0 ? logit / o->repeat_penalty : logit * o->repeat_penalty;
            logit -= seen * o->frequency_penalty + o->presence_penalty;
        }
        if (logit > (double)-INFINITY)
            item[count++] = (struct plain_item){ .logit = logit, .token = token };
    }
    plain_key_by_logit(item, count);
    qsort(item, count, sizeof *item, by_key);
    if (o->top_k && (size_t)o->top_k < count)
        count = (size_t)o->top_k;
    plain_softmax(item, count, 1);
    if (o->typical_p < 1) {
        double entropy = 0;
        for (size_t i = 0; i < count; i++)
            entropy -= item[i].p * log(item[i].p);
        for (size_t i = 0; i < count; i++)
            item[i].key = -fabs(-log(item[i].p) - entropy);
        count = plain_sort_and_cut(item, count, o->typical_p, true);
        plain_key_by_logit(item, count);
    }
    plain_softmax(item, count, 1);
    if (o->top_p < 1)
        count = plain_sort_and_cut(item, count, o->top_p, false);
    qsort(item, count, sizeof *item, by_key);
    plain_softmax(item, count, 1);
    while (count > 1 && item[count - 1].p < o->min_p * item[0].p)
        count--;
    plain_softmax(item, count, o->temperature);
    return count;
}

static struct ash_sampler_options random_options(
    struct ash_random *random, struct ash_logit_bias *bias, int32_t vocabulary)
{
    struct ash_sampler_options o = plain();
    o.temperature = 0.1 + 2 * ash_random_unit(random);
    if (ash_random_next(random) & 1)
        o.top_k = 1 + (int)(ash_random_next(random) % (uint64_t)vocabulary);
    if (ash_random_next(random) & 1)
        o.typical_p = 0.05 + 0.9 * ash_random_unit(random);
    if (ash_random_next(random) & 1)
        o.top_p = 0.05 + 0.9 * ash_random_unit(random);
    if (ash_random_next(random) & 1)
        o.min_p = 0.3 * ash_random_unit(random);
    if (ash_random_next(random) & 1)
        o.repeat_penalty = 0.8 + ash_random_unit(random);
    if (ash_random_next(random) & 1)
        o.frequency_penalty = ash_random_unit(random) - 0.3;
    if (ash_random_next(random) & 1)
        o.presence_penalty = ash_random_unit(random) - 0.3;
    o.penalty_last_n = (int)(ash_random_next(random) % 40);
    o.bias_count = ash_random_next(random) % 5;
    o.bias = bias;
    for (size_t i = 0; i < o.bias_count; i++) {
        bias[i].token = (int32_t)(ash_random_next(random) % (uint64_t)vocabulary);
        bias[i].bias = i == 3 ? -INFINITY : (float)(ash_random_unit(random) * 8 - 4);
    }
    return o;
}

Test(sampler, every_chain_agrees_with_the_plain_implementation)
{
    static float logits[MAX_VOCABULARY];
    static struct plain_item expected[MAX_VOCABULARY];
    static struct ash_candidate found[MAX_VOCABULARY];
    struct ash_random random;
    ash_random_seed(&random, 7);
    for (int round = 0; round < 1500; round++) {
        int32_t vocabulary = 8 + (int32_t)(ash_random_next(&random) % (round % 50 ? 150 : 2900));
        struct ash_logit_bias bias[4];
        struct ash_sampler_options options = random_options(&random, bias, vocabulary);
        random_logits(&random, logits, vocabulary);
        struct ash_sampler *sampler = create(options, vocabulary);
        int32_t history[60];
        size_t history_count = ash_random_next(&random) % 60;
        for (size_t i = 0; i < history_count; i++) {
            history[i] = (int32_t)(ash_random_next(&random) % 8);
            ash_sampler_accept(sampler, history[i]);
        }
        int32_t token = choose(sampler, logits);
        size_t count = plain_chain(&options, logits, vocabulary, history, history_count, expected);
        cr_assert_eq(ash_sampler_candidates(sampler, MAX_VOCABULARY, found), count,
            "round %d: expected %zu candidates", round, count);
        bool chosen = false;
        for (size_t i = 0; i < count; i++) {
            cr_assert_eq(found[i].token, expected[i].token, "round %d, candidate %zu", round, i);
            cr_assert_float_eq(found[i].probability, expected[i].p, 1e-12,
                "round %d, candidate %zu of %zu: %.17g, expected %.17g", round, i, count,
                found[i].probability, expected[i].p);
            chosen |= found[i].token == token;
        }
        cr_assert(chosen);
        ash_sampler_destroy(sampler);
    }
}

/* ---- Choices -------------------------------------------------------------------------------- */

Test(sampler, greedy_takes_the_largest_and_of_equals_the_lowest)
{
    struct ash_sampler_options options = plain();
    options.temperature = 0;
    const float logits[] = { 1, 7, -3, 7, 7, 2 };
    struct ash_sampler *sampler = create(options, 6);
    cr_assert_eq(choose(sampler, logits), 1);
    struct ash_candidate candidate[2];
    cr_assert_eq(ash_sampler_candidates(sampler, 2, candidate), 1u);
    cr_assert_eq(candidate[0].probability, 1.0);
    cr_assert_eq(candidate[0].log_probability, 0.0);
    ash_sampler_destroy(sampler);
}

Test(sampler, a_token_that_was_seen_is_penalised_until_it_leaves_the_window)
{
    struct ash_sampler_options options = plain();
    options.temperature = 0;
    options.presence_penalty = 5;
    options.penalty_last_n = 2;
    const float logits[] = { 3, 2, 1 };
    const int32_t expected[] = { 0, 1, 2, 0, 1, 2 };
    struct ash_sampler *sampler = create(options, 3);
    for (size_t i = 0; i < 6; i++) {
        cr_assert_eq(choose(sampler, logits), expected[i], "choice %zu", i);
        ash_sampler_accept(sampler, expected[i]);
    }
    ash_sampler_reset(sampler, 0);
    cr_assert_eq(choose(sampler, logits), 0);
    ash_sampler_destroy(sampler);
}

Test(sampler, the_same_seed_gives_the_same_tokens_on_every_machine)
{
    /* Recorded once; a machine or compiler where this differs breaks the promise of sampler.h. */
    const int32_t expected[] = { 171, 602, 882, 126, 459, 666, 366, 176, 722, 812, 430, 346, 997,
        364, 814, 109 };
    enum { COUNT = sizeof expected / sizeof expected[0] };
    static float logits[1000];
    struct ash_random random;
    struct ash_sampler_options options = ASH_SAMPLER_DEFAULTS;
    options.seed = 42;
    options.top_k = 0;
    options.temperature = 1.2;
    options.typical_p = 0.97;
    options.frequency_penalty = 0.1;
    struct ash_sampler *sampler = create(options, 1000);
    for (int again = 0; again < 2; again++) {
        ash_random_seed(&random, 3);
        for (size_t i = 0; i < COUNT; i++) {
            random_logits(&random, logits, 1000);
            int32_t token = choose(sampler, logits);
            cr_expect_eq(token, expected[i], "choice %zu: %d", i, token);
            ash_sampler_accept(sampler, token);
        }
        ash_sampler_reset(sampler, 42);
    }
    ash_sampler_destroy(sampler);
}

/* Pearson's statistic of `draws` choices against the exact distribution of the plain chain. */
static void check_frequencies(const char *name, struct ash_sampler_options options)
{
    enum { VOCABULARY = 40, DRAWS = 200000 };
    static float logits[VOCABULARY];
    static struct plain_item expected[VOCABULARY];
    struct ash_random random;
    ash_random_seed(&random, 11);
    random_logits(&random, logits, VOCABULARY);
    size_t count = plain_chain(&options, logits, VOCABULARY, NULL, 0, expected);
    int drawn[VOCABULARY] = { 0 };
    struct ash_sampler *sampler = create(options, VOCABULARY);
    for (int i = 0; i < DRAWS; i++)
        drawn[choose(sampler, logits)]++;
    ash_sampler_destroy(sampler);

    double statistic = 0, rest_expected = 0, rest_drawn = 0;
    int cells = 0, total = 0;
    for (size_t i = 0; i < count; i++) {
        double mean = expected[i].p * DRAWS, found = drawn[expected[i].token];
        total += drawn[expected[i].token];
        if (mean < 10) { /* too rare for a cell of its own */
            rest_expected += mean;
            rest_drawn += found;
            continue;
        }
        statistic += (found - mean) * (found - mean) / mean;
        cells++;
    }
    if (rest_expected >= 10) {
        statistic += (rest_drawn - rest_expected) * (rest_drawn - rest_expected) / rest_expected;
        cells++;
    }
    cr_assert_eq(total, DRAWS, "%s: a token outside the candidates was drawn", name);
    cr_assert_gt(cells, 2, "%s", name);
    /* Mean + 4 standard deviations of chi-square: one in some 10,000 seeds would exceed it. */
    double freedom = cells - 1;
    cr_assert_lt(statistic, freedom + 4 * sqrt(2 * freedom), "%s: chi-square %g of %g", name,
        statistic, freedom);
}

Test(sampler, tokens_are_drawn_as_often_as_they_should_be)
{
    struct ash_sampler_options options = plain();
    check_frequencies("softmax", options);
    options.temperature = 0.6;
    check_frequencies("temperature", options);
    options.top_p = 0.9;
    check_frequencies("top-p", options);
    options.min_p = 0.05;
    check_frequencies("min-p", options);
    options = plain();
    options.top_k = 7;
    check_frequencies("top-k", options);
    options = plain();
    options.typical_p = 0.8;
    check_frequencies("typical", options);
}

/* ---- Bad input ------------------------------------------------------------------------------ */

Test(sampler, nan_and_infinite_logits_have_a_meaning)
{
    struct ash_sampler_options options = plain();
    struct ash_candidate candidate[4];
    struct ash_sampler *sampler = create(options, 4);
    for (int i = 0; i < 100; i++)
        cr_assert_eq(choose(sampler, (float[]){ NAN, -INFINITY, -5, NAN }), 2);
    int drawn[4] = { 0 };
    for (int i = 0; i < 100; i++)
        drawn[choose(sampler, (float[]){ INFINITY, NAN, 3, INFINITY })]++;
    cr_assert(drawn[0] > 30 && drawn[3] > 30 && drawn[0] + drawn[3] == 100);
    cr_assert_eq(ash_sampler_candidates(sampler, 4, candidate), 3u);
    cr_assert_eq(candidate[0].probability, 0.5);
    int32_t token = -1;
    float hopeless[] = { NAN, -INFINITY, -INFINITY, NAN };
    cr_assert_eq(ash_sampler_choose(sampler, hopeless, &token), ASH_ERR_ARGUMENT);
    cr_assert_eq(token, -1);
    ash_sampler_destroy(sampler);
}

Test(sampler, a_forbidden_token_stays_forbidden)
{
    const struct ash_logit_bias bias[] = { { 0, -INFINITY }, { 0, INFINITY }, { 2, 100 } };
    struct ash_sampler_options options = plain();
    options.bias = bias;
    options.bias_count = 3;
    struct ash_sampler *sampler = create(options, 3);
    for (int i = 0; i < 100; i++)
        cr_assert_eq(choose(sampler, (float[]){ 90, 1, 1 }), 2);
    ash_sampler_destroy(sampler);
}

Test(sampler, options_outside_their_range_are_refused)
{
    const struct ash_logit_bias outside = { 10, 1 }, not_a_number = { 1, NAN };
    struct ash_sampler_options bad[14];
    for (size_t i = 0; i < 14; i++)
        bad[i] = plain();
    bad[0].temperature = -1;
    bad[1].temperature = (double)NAN;
    bad[2].temperature = (double)INFINITY;
    bad[3].top_k = -1;
    bad[4].typical_p = 0;
    bad[5].top_p = 0;
    bad[6].top_p = 1.01;
    bad[7].min_p = -0.1;
    bad[8].repeat_penalty = 0;
    bad[9].frequency_penalty = (double)INFINITY;
    bad[10].presence_penalty = (double)NAN;
    bad[11].penalty_last_n = -1;
    bad[12].bias = &outside;
    bad[12].bias_count = 1;
    bad[13].bias = &not_a_number;
    bad[13].bias_count = 1;
    struct ash_sampler *sampler = NULL;
    for (size_t i = 0; i < 14; i++)
        cr_assert_eq(ash_sampler_create(&bad[i], 10, &sampler), ASH_ERR_ARGUMENT, "case %zu", i);
    cr_assert_null(sampler);
}

Test(sampler, create_survives_every_failed_allocation_and_choosing_allocates_nothing)
{
    const struct ash_logit_bias bias = { 1, 1 };
    struct ash_sampler_options options = ASH_SAMPLER_DEFAULTS;
    options.presence_penalty = 1;
    options.bias = &bias;
    options.bias_count = 1;
    struct ash_sampler *sampler = NULL;
    int64_t nth = 0;
    for (;; nth++) {
        ash_memory_fail_from(nth);
        enum ash_status status = ash_sampler_create(&options, 100, &sampler);
        ash_memory_fail_from(-1);
        if (status == ASH_OK)
            break;
        cr_assert_eq(status, ASH_ERR_NO_MEMORY);
        cr_assert_null(sampler);
    }
    cr_assert_eq(nth, 6);
    static float logits[100];
    ash_memory_fail_from(0);
    for (int i = 0; i < 200; i++)
        ash_sampler_accept(sampler, choose(sampler, logits));
    cr_assert_eq(ash_memory_fail_from(-1), 0);
    ash_sampler_destroy(sampler);
}

/* ---- The model's own opinion ----------------------------------------------------------------- */

Test(sampler, the_most_probable_tokens_of_the_model_come_with_their_probabilities)
{
    static float logits[500];
    struct ash_random random;
    struct ash_candidate top[5];
    ash_random_seed(&random, 5);
    random_logits(&random, logits, 500);
    logits[3] = logits[400] = 20;
    logits[9] = NAN;
    double sum = 0;
    for (int i = 0; i < 500; i++)
        sum += i == 9 ? 0 : exp((double)logits[i]);
    cr_assert_eq(ash_logits_top(logits, 500, 5, top), 5u);
    cr_assert(top[0].token == 3 && top[1].token == 400, "ties go to the lower token");
    for (size_t i = 0; i < 5; i++) {
        int larger = 0;
        for (int t = 0; t < 500; t++)
            larger += logits[t] > logits[top[i].token];
        cr_assert_eq(larger, i < 2 ? 0 : (int)i);
        double expected = (double)logits[top[i].token] - log(sum);
        cr_assert_float_eq(top[i].log_probability, expected, 1e-12);
        cr_assert_float_eq(top[i].probability, exp(expected), 1e-12);
        cr_assert_float_eq(ash_logits_log_probability(logits, 500, top[i].token), expected, 1e-12);
    }
    cr_assert_eq(ash_logits_log_probability(logits, 500, 9), (double)-INFINITY);
    cr_assert_eq(ash_logits_top((float[]){ NAN, 1, -INFINITY }, 3, 5, top), 1u);
    cr_assert_eq(top[0].probability, 1.0);
}

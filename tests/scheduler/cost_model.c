/* SPDX-License-Identifier: Apache-2.0 */
#include "scheduler/cost_model.h"

#include "runtime/memory.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>

/* A device unlike its data sheet: a launch costs more than said, bandwidth and arithmetic reach a part of
 * their peak that depends on the size, and every measurement scatters by some percent. */
static uint64_t state = 88172645463325252U;

static double uniform(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (double)(state >> 11) / 9007199254740992.0;
}

static double really_takes(const struct ash_cost *cost, double part)
{
    double bytes = cost->bytes_read + cost->bytes_written;
    double move = bytes / (30e9 * part * bytes / (bytes + 2e5));
    double work = cost->flops / (2e12 * part * cost->flops / (cost->flops + 1e8));
    return (3e-6 + (move > work ? move : work)) * exp(0.05 * (uniform() + uniform() - 1));
}

/* A matmul of `tokens` tokens by one of five shapes. */
static struct ash_cost matmul(int shape, double tokens)
{
    static const double sizes[][2] = { { 576, 576 }, { 1536, 576 }, { 576, 1536 }, { 192, 576 },
        { 2048, 2048 } };
    double n = sizes[shape % 5][0], k = sizes[shape % 5][1];
    return (struct ash_cost){ .flops = 2 * n * k * tokens,
        .bytes_read = n * k * 0.5625 + tokens * k * 2,
        .bytes_written = tokens * n * 4 };
}

static const struct ash_rates rates = { 30e9, 2e12, 1e-6 };

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* The median error over shapes and token counts that were not all among the samples. */
static double median_error(const struct ash_cost_model *model, const char *key, double part)
{
    double error[200];
    for (int i = 0; i < 200; i++) {
        struct ash_cost cost = matmul(i, exp2(9 * uniform()));
        double truth = really_takes(&cost, part);
        error[i] = fabs(ash_cost_model_predict(model, key, &cost) - truth) / truth;
    }
    qsort(error, 200, sizeof *error, by_value);
    return error[100];
}

Test(cost_model, errs_by_less_than_15_percent_after_10_samples)
{
    for (int trial = 0; trial < 20; trial++) {
        double part = 0.1 + 0.8 * uniform();
        struct ash_cost_model *model;
        cr_assert_eq(ash_cost_model_create(&rates, &model), ASH_OK);
        double before = median_error(model, "matmul", part);
        for (int i = 0; i < 10; i++) {
            struct ash_cost cost = matmul(i, exp2(i));
            cr_assert_eq(
                ash_cost_model_learn(model, "matmul", &cost, really_takes(&cost, part)), ASH_OK);
        }
        double after = median_error(model, "matmul", part);
        cr_expect_leq(after, 0.15, "part %g: %g before, %g after", part, before, after);
        ash_cost_model_destroy(model);
    }
}

Test(cost_model, follows_a_device_that_changes)
{
    struct ash_cost_model *model;
    cr_assert_eq(ash_cost_model_create(&rates, &model), ASH_OK);
    struct ash_cost cost = matmul(1, 8);
    for (int i = 0; i < 20; i++)
        cr_assert_eq(ash_cost_model_learn(model, "matmul", &cost, 1e-4), ASH_OK);
    cr_expect_float_eq(ash_cost_model_predict(model, "matmul", &cost), 1e-4, 1e-6);
    for (int i = 0; i < 40; i++)
        cr_assert_eq(ash_cost_model_learn(model, "matmul", &cost, 3e-4), ASH_OK);
    cr_expect_float_eq(ash_cost_model_predict(model, "matmul", &cost), 3e-4, 1e-5);
    ash_cost_model_destroy(model);
}

Test(cost_model, guesses_an_unknown_operator_by_the_devices_others)
{
    struct ash_cost_model *model;
    cr_assert_eq(ash_cost_model_create(&rates, &model), ASH_OK);
    struct ash_cost cost = matmul(1, 8);
    double first = ash_cost_model_predict(model, "attention", &cost);
    cr_assert_eq(ash_cost_model_learn(model, "matmul", &cost, 4 * first), ASH_OK);
    cr_expect_float_eq(
        ash_cost_model_predict(model, "attention", &cost) / first, 4, 1e-6, "as slow as the other");
    ash_cost_model_destroy(model);
}

Test(cost_model, goes_by_the_wider_key_where_the_finer_has_no_samples)
{
    struct ash_cost_model *model;
    cr_assert_eq(ash_cost_model_create(&rates, &model), ASH_OK);
    struct ash_cost cost = matmul(1, 8);
    cr_assert_eq(ash_cost_model_learn(model, "matmul/Q4_0", &cost, 2e-3), ASH_OK);
    cr_assert_eq(ash_cost_model_learn(model, "matmul/Q4", &cost, 9e-3), ASH_OK);
    cr_expect_float_eq(ash_cost_model_predict(model, "matmul/Q4_0/prompts", &cost), 2e-3, 1e-9);
    cr_assert_eq(ash_cost_model_learn(model, "matmul/Q4_0/prompts", &cost, 5e-3), ASH_OK);
    cr_expect_float_eq(ash_cost_model_predict(model, "matmul/Q4_0/prompts", &cost), 5e-3, 1e-9);
    cr_expect_float_eq(ash_cost_model_predict(model, "matmul/Q4_0", &cost), 2e-3, 1e-9);
    ash_cost_model_destroy(model);
}

Test(cost_model, goes_by_the_ways_that_it_knows_where_one_has_no_samples)
{
    struct ash_cost_model *model;
    cr_assert_eq(ash_cost_model_create(&rates, &model), ASH_OK);
    struct ash_cost cost = matmul(1, 8);
    cr_assert_eq(ash_cost_model_learn(model, "matmul/Q4_0/few", &cost, 2e-3), ASH_OK);
    cr_assert_eq(ash_cost_model_learn(model, "matmul/Q4_0/tile", &cost, 8e-3), ASH_OK);
    cr_assert_eq(ash_cost_model_learn(model, "matmul/Q4_01/tile", &cost, 9), ASH_OK);
    cr_expect_float_eq(ash_cost_model_predict(model, "matmul/Q4_0/wide", &cost), 4e-3, 1e-9);
    cr_expect_float_eq(ash_cost_model_predict(model, "matmul/Q4_0", &cost), 4e-3, 1e-9);
    cr_expect_float_eq(ash_cost_model_predict(model, "matmul/Q4_0/few", &cost), 2e-3, 1e-9);
    double of_all = cbrt(2e-3 * 8e-3 * 9);
    cr_expect_float_eq(ash_cost_model_predict(model, "matmul/F32", &cost) / of_all, 1, 1e-9);
    cr_expect_float_eq(ash_cost_model_predict(model, "add/F32", &cost) / of_all, 1, 1e-9);
    ash_cost_model_destroy(model);
}

Test(cost_model, comes_back_from_json_and_refuses_what_is_none)
{
    struct ash_cost_model *model, *again;
    cr_assert_eq(ash_cost_model_create(&rates, &model), ASH_OK);
    cr_assert_eq(ash_cost_model_create(&rates, &again), ASH_OK);
    for (int i = 0; i < 60; i++) {
        struct ash_cost cost = matmul(i, exp2(9 * uniform()));
        cr_assert_eq(ash_cost_model_learn(model, "matmul", &cost, really_takes(&cost, 1)), ASH_OK);
    }
    json_t *json;
    cr_assert_eq(ash_cost_model_json(model, &json), ASH_OK);
    cr_assert_eq(ash_cost_model_read(again, json), ASH_OK, "%s", ash_error());
    struct ash_cost cost = matmul(2, 77);
    cr_expect_float_eq(ash_cost_model_predict(model, "matmul", &cost),
        ash_cost_model_predict(again, "matmul", &cost), 1e-12);
    cr_expect_eq(ash_cost_model_read(again, json), ASH_ERR_ARGUMENT, "it has samples already");
    json_decref(json);
    ash_cost_model_destroy(again);
    cr_assert_eq(ash_cost_model_create(&rates, &again), ASH_OK);
    static const char *const bad[] = { "[]", "{\"a\": 3}", "{\"a\": []}", "{\"a\": [[1, 2]]}",
        "{\"a\": [[1, 2, 1e9]]}", "{\"ok\": [[1, 2, 0]], \"a\": [[1, 2, \"x\"]]}" };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        json = json_loads(bad[i], 0, NULL);
        cr_expect_eq(ash_cost_model_read(again, json), ASH_ERR_FORMAT, "%s", bad[i]);
        json_decref(json);
    }
    cr_expect_eq(ash_cost_model_learn(model, "matmul", &cost, 0), ASH_ERR_ARGUMENT);
    cr_expect_eq(ash_cost_model_learn(model, "matmul", &cost, (double)NAN), ASH_ERR_ARGUMENT);
    ash_cost_model_destroy(model);
    ash_cost_model_destroy(again);
}

Test(cost_model, survives_every_failed_allocation)
{
    enum ash_status status = ASH_ERR_NO_MEMORY;
    for (int64_t nth = 0; status != ASH_OK; nth++) {
        struct ash_cost_model *model = NULL;
        struct ash_cost cost = matmul(1, 1);
        ash_memory_fail_from(nth);
        status = ash_cost_model_create(&rates, &model);
        if (status == ASH_OK)
            status = ash_cost_model_learn(model, "matmul", &cost, 1e-5);
        ash_memory_fail_from(-1);
        ash_cost_model_destroy(model);
        cr_assert_lt(nth, 20);
    }
}

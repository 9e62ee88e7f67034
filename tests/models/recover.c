/* SPDX-License-Identifier: Apache-2.0 */
/* Devices that fail under a model: it goes on on those that are left, and says the same. */
#include "models/generate_internal.h"
#include "models/model.h"
#include "tests/support/lazy_device.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SEQUENCES = 3, ANSWER = 24, LONG_ANSWER = 100, PLENTY = 1 << 30, LITTLE = 1200 << 10 };

/* Three layers over the reference and up to two lazy devices. */
struct bench {
    struct ash_runtime *runtime;
    struct ash_device *lazy[2];
    struct ash_model *model;
};

static void open_devices(struct bench *bench, const char *split, int lazy)
{
    struct ash_setting_value settings[] = { { "device", "null" }, { "context", "128" },
        { "batch_tokens", "24" }, { "micro_batch", "7" }, { "split", split },
        { "kv_type", "f32" } };
    cr_assert_eq(ash_runtime_create(settings, 6, &bench->runtime), ASH_OK, "%s", ash_error());
    struct ash_runtime *runtime = bench->runtime;
    for (int i = 0; i < lazy; i++)
        runtime->device[runtime->device_count++] = bench->lazy[i] = lazy_open(i, PLENTY);
}

static enum ash_status open_model(struct bench *bench)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/models/llama/parts.gguf", getenv("ASHLAR_TEST_DATA"));
    const struct ash_load_options options = { .sessions = SEQUENCES };
    bench->model = NULL;
    return ash_model_load(bench->runtime, path, &options, &bench->model);
}

static void close_all(struct bench *bench)
{
    ash_model_destroy(bench->model);
    ash_runtime_destroy(bench->runtime);
}

/* What sequences that come one after the other say; the tokens of all of them in a row. */
static enum ash_status generate(struct bench *bench, int32_t out[SEQUENCES * ANSWER])
{
    struct ash_generation *generation[SEQUENCES] = { NULL };
    struct ash_generate_options options = {
        .sampler = ASH_SAMPLER_DEFAULTS, .max_tokens = ANSWER, .ignore_end = true
    };
    enum ash_status status = ASH_OK;
    bool busy = true;
    for (int i = 0; i < SEQUENCES; i++) {
        int32_t prompt[48];
        for (int32_t k = 0; k < 40 + i; k++)
            prompt[k] = (k * 7 + i / 2) % 90;
        options.sampler.seed = (uint64_t)i;
        cr_assert_eq(ash_engine_add(bench->model->engine, prompt, 40 + i, &options, &generation[i]),
            ASH_OK, "%s", ash_error());
        if (status == ASH_OK)
            status = ash_engine_step(bench->model->engine, &busy);
    }
    while (status == ASH_OK && busy)
        status = ash_engine_step(bench->model->engine, &busy);
    for (int i = 0; i < SEQUENCES; i++) {
        int32_t count;
        const int32_t *token = ash_generation_tokens(generation[i], &count);
        if (status == ASH_OK) {
            cr_assert_eq(count, 40 + i + ANSWER);
            memcpy(out + i * ANSWER, token + 40 + i, ANSWER * sizeof *token);
        }
        ash_generation_end(generation[i]);
    }
    return status;
}

static void expect_answers(int32_t out[SEQUENCES * ANSWER])
{
    struct bench bench;
    open_devices(&bench, "auto", 0);
    cr_assert_eq(open_model(&bench), ASH_OK, "%s", ash_error());
    cr_assert_eq(generate(&bench, out), ASH_OK, "%s", ash_error());
    close_all(&bench);
}

/* A model that does not fit on the reference alone: an automatic placement must take a lazy device too. */
static void open_large_model(struct bench *bench)
{
    bench->runtime->device[0]->info.memory_bytes = LITTLE;
    cr_assert_eq(open_model(bench), ASH_OK, "%s", ash_error());
}

/* One of two devices fails at its nth call after loading, whichever that is. */
static void check_loss(
    const char *split, enum ash_status with, int64_t nth, const int32_t *expected)
{
    struct bench bench;
    int32_t answers[SEQUENCES * ANSWER];
    open_devices(&bench, split, 1);
    open_large_model(&bench);
    lazy_fail(bench.lazy[0], nth, with);
    cr_assert_eq(generate(&bench, answers), ASH_OK, "call %lld: %s", (long long)nth, ash_error());
    cr_assert_arr_eq(answers, expected, sizeof answers, "call %lld", (long long)nth);
    if (with == ASH_ERR_DEVICE) {
        cr_assert_eq(bench.model->devices.count, 1);
        cr_assert(
            strstr(bench.model->devices.lost, "lazy:0 was lost"), "%s", bench.model->devices.lost);
    } else
        cr_assert_gt(bench.model->devices.tries, 0, "nobody noticed");
    cr_assert_eq(generate(&bench, answers), ASH_OK, "%s", ash_error());
    cr_assert_arr_eq(answers, expected, sizeof answers, "afterwards");
    close_all(&bench);
}

Test(recover, what_is_being_said_goes_on_when_a_device_is_lost)
{
    int32_t expected[SEQUENCES * ANSWER];
    static const int64_t calls[] = { 0, 1, 17, 30, 61, 200, 333, 500, 801 };
    expect_answers(expected);
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        check_loss("1,2", ASH_ERR_DEVICE, calls[i], expected);
        check_loss("rows:1,2", ASH_ERR_DEVICE, calls[i], expected);
    }
}

Test(recover, one_that_is_out_of_memory_is_given_less)
{
    int32_t expected[SEQUENCES * ANSWER];
    expect_answers(expected);
    check_loss("auto", ASH_ERR_NO_MEMORY, 0, expected);
}

Test(recover, a_device_that_fails_while_loading_is_left_out)
{
    int32_t expected[SEQUENCES * ANSWER], answers[SEQUENCES * ANSWER];
    expect_answers(expected);
    for (int64_t nth = 0; nth < 60; nth += 7) {
        struct bench bench;
        open_devices(&bench, nth % 2 ? "1,1,1" : "rows:3,2,1", 2);
        lazy_fail(bench.lazy[nth % 2], nth, ASH_ERR_DEVICE);
        cr_assert_eq(open_model(&bench), ASH_OK, "call %lld: %s", (long long)nth, ash_error());
        cr_assert_eq(generate(&bench, answers), ASH_OK, "%s", ash_error());
        cr_assert_arr_eq(answers, expected, sizeof answers, "call %lld", (long long)nth);
        close_all(&bench);
    }
}

static void check_two_losses(const char *split, const int32_t *expected)
{
    int32_t answers[SEQUENCES * ANSWER];
    struct bench bench;
    open_devices(&bench, split, 2);
    open_large_model(&bench);
    lazy_fail(bench.lazy[1], 40, ASH_ERR_DEVICE);
    cr_assert_eq(generate(&bench, answers), ASH_OK, "%s", ash_error());
    cr_assert_arr_eq(answers, expected, sizeof answers, "%s", split);
    lazy_fail(bench.lazy[0], 0, ASH_ERR_DEVICE);
    cr_assert_eq(generate(&bench, answers), ASH_OK, "%s", ash_error());
    cr_assert_arr_eq(answers, expected, sizeof answers, "%s", split);
    cr_assert_eq(bench.model->devices.count, 1);
    close_all(&bench);
}

Test(recover, two_may_be_lost_one_after_the_other)
{
    int32_t expected[SEQUENCES * ANSWER];
    expect_answers(expected);
    check_two_losses("1,1,1", expected);
    check_two_losses("rows:1,1,1", expected);
}

Test(recover, the_last_device_that_is_lost_is_named)
{
    int32_t answers[SEQUENCES * ANSWER];
    struct bench bench;
    open_devices(&bench, "0,3", 1);
    bench.runtime->device[0]->driver->close(bench.runtime->device[0]);
    bench.runtime->device[0] = bench.lazy[1] = lazy_open(1, PLENTY);
    cr_assert_eq(open_model(&bench), ASH_OK, "%s", ash_error());
    lazy_fail(bench.lazy[0], 5, ASH_ERR_DEVICE);
    lazy_fail(bench.lazy[1], 900, ASH_ERR_DEVICE);
    cr_assert_eq(generate(&bench, answers), ASH_ERR_DEVICE);
    cr_assert(strstr(ash_error(), "lazy:1"), "%s", ash_error());
    close_all(&bench);
}

/* One sequence, greedy, with as many guesses as there are; a device is lost once `lose_at` tokens are there. */
static void say_with_guesses(struct bench *bench, int32_t lose_at, int32_t out[LONG_ANSWER])
{
    static const int32_t prompt[] = { 5, 6, 7, 5, 6, 7 };
    enum { PROMPT = sizeof prompt / sizeof *prompt };
    struct ash_engine *engine = bench->model->engine;
    struct ash_generate_options options = {
        .sampler = ASH_SAMPLER_DEFAULTS, .max_tokens = LONG_ANSWER, .ignore_end = true
    };
    struct ash_generation *generation;
    struct ash_usage usage;
    const int32_t *token;
    int32_t count;
    options.sampler.temperature = 0;
    cr_assert_eq(ash_engine_add(engine, prompt, PROMPT, &options, &generation), ASH_OK);
    for (bool busy = true, lost = false; busy;) {
        for (int rows = 0; rows <= ASH_SPECULATE_ROWS; rows++)
            engine->speculation.step_s[rows] = 1; /* a guess costs nothing */
        (void)ash_generation_tokens(generation, &count);
        if (count >= lose_at && !lost) {
            lazy_fail(bench->lazy[0], 0, ASH_ERR_DEVICE);
            lost = true;
        }
        cr_assert_eq(ash_engine_step(engine, &busy), ASH_OK, "%s", ash_error());
    }
    token = ash_generation_tokens(generation, &count);
    cr_assert_eq(count, PROMPT + LONG_ANSWER);
    memcpy(out, token + PROMPT, LONG_ANSWER * sizeof *token);
    ash_generation_usage(generation, &usage);
    cr_assert_gt(usage.accepted_tokens, 0);
    ash_generation_end(generation);
}

Test(recover, guesses_wait_until_an_answer_is_computed_again)
{
    int32_t expected[LONG_ANSWER], answer[LONG_ANSWER];
    for (int32_t lose_at = INT32_MAX; lose_at != 0; lose_at = lose_at > 90 ? 90 : lose_at - 10) {
        struct bench bench;
        open_devices(&bench, "1,2", 1);
        cr_assert_eq(open_model(&bench), ASH_OK, "%s", ash_error());
        say_with_guesses(&bench, lose_at, lose_at == INT32_MAX ? expected : answer);
        cr_assert_eq(bench.model->devices.count, lose_at == INT32_MAX ? 2 : 1);
        if (lose_at != INT32_MAX)
            cr_assert_arr_eq(answer, expected, sizeof answer, "lost at %d", lose_at);
        close_all(&bench);
    }
}

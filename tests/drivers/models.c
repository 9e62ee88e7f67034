/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whole models on every usable device but the processor: logits against a float64 reference
 * (tests/models/llama/make_tiny.py), the same bits however a prompt is cut into steps, and a real model
 * against the reference operators.
 */
#include "models/model.h"
#include "runtime/memory.h"
#include "tests/support/golden.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_TOKENS = GOLDEN_TOKENS, MAX_SPANS = 2, PAGES = 16, MAX_DEVICES = 16 };

/* Runs tokens [from, from + count) of `spans` sequences, all of the same tokens; logits of the last one's. */
static void run_batch(const struct ash_model *model, struct ash_plan *plan, int32_t spans,
    const int32_t *token, int32_t from, int32_t count, float *logits)
{
    static int32_t page[PAGES], of[MAX_TOKENS], output[MAX_TOKENS], all[MAX_TOKENS];
    struct ash_span span[MAX_SPANS];
    for (int32_t i = 0; i < PAGES; i++)
        page[i] = PAGES - 1 - i;
    for (int32_t s = 0; s < spans; s++)
        span[s] = (struct ash_span){ s * count, count, from, page + s * (PAGES / spans) };
    for (int32_t i = 0; i < spans * count; i++) {
        of[i] = i / count;
        output[i] = i;
        all[i] = token[from + i % count];
    }
    struct ash_batch batch = { spans * count, spans * count, spans, all, of, output, span };
    cr_assert_eq(ash_plan_run(plan, &batch), ASH_OK, "%s", ash_error());
    size_t size = (size_t)count * (size_t)model->shape.vocabulary;
    memcpy(logits, (float *)ash_plan_output(plan, model->logits)->data + (size_t)(spans - 1) * size,
        size * sizeof *logits);
}

static void run_span(
    struct ash_model *model, const int32_t *token, int32_t from, int32_t count, float *logits)
{
    run_batch(model, model->plan, 1, token, from, count, logits);
}

/* In steps of `step` tokens, `spans` times side by side. */
static float *run_all(
    struct ash_model *model, int32_t spans, const struct golden *golden, int32_t step)
{
    float *logits = malloc((size_t)golden->tokens * (size_t)golden->vocabulary * sizeof *logits);
    for (int32_t from = 0; from < golden->tokens; from += step) {
        int32_t count = from + step < golden->tokens ? step : golden->tokens - from;
        run_batch(model, model->plan, spans, golden->token, from, count,
            logits + (size_t)from * (size_t)golden->vocabulary);
    }
    return logits;
}

/* The same bits; with ASHLAR_TEST_ROUNDING, of devices whose maker's compiler gives other ones for other
 * numbers of tokens, as near as the reference is. */
static bool are_alike(const float *a, const float *b, size_t count, double tolerance)
{
    if (!getenv("ASHLAR_TEST_ROUNDING"))
        return memcmp(a, b, count * sizeof *a) == 0;
    for (size_t i = 0; i < count; i++)
        if (!(__builtin_fabs((double)a[i] - (double)b[i]) <= tolerance))
            return false;
    return true;
}

static struct ash_model *open_tiny(const char *device, const char *split, const char *name,
    const char *kv_type, const char *micro_batch)
{
    char file[64];
    struct ash_runtime *runtime;
    struct ash_model *model;
    snprintf(file, sizeof file, "%s.gguf", name);
    struct ash_setting_value settings[] = { { "device", device }, { "batch_tokens", "128" },
        { "kv_type", kv_type }, { "context", "512" }, { "split", split },
        { "micro_batch", micro_batch } };
    cr_assert_eq(ash_runtime_create(settings, 6, &runtime), ASH_OK, "%s", ash_error());
    struct ash_model_options options = { .load = { .sessions = 1 }, .outputs = MAX_TOKENS };
    cr_assert_eq(ash_model_open(runtime, golden_path(file), &options, &model), ASH_OK,
        "%s on %s, %s: %s", name, device, split, ash_error());
    return model;
}

/* And its runtime. */
static void close_tiny(struct ash_model *model)
{
    struct ash_runtime *runtime = model->runtime;
    ash_model_destroy(model);
    ash_runtime_destroy(runtime);
}

static void check_model(
    const char *device, const char *split, const char *name, const char *kv_type, double tolerance)
{
    struct ash_model *model = open_tiny(device, split, name, kv_type, "0");
    struct golden golden = golden_read(name);
    size_t count = (size_t)golden.tokens * (size_t)golden.vocabulary;
    float *whole = run_all(model, 1, &golden, 128), *one = run_all(model, 1, &golden, 1);
    float *pieces = run_all(model, 1, &golden, 7), *beside = run_all(model, 2, &golden, 50);
    double worst = 0;
    for (size_t i = 0; i < count; i++) {
        double difference = __builtin_fabs((double)whole[i] - (double)golden.logits[i]);
        worst = difference > worst || difference != difference ? difference : worst;
    }
    fprintf(
        stderr, "%s on %s, cache %s: logits off by %.3g at most\n", name, device, kv_type, worst);
    cr_assert(worst <= tolerance, "%s on %s, cache %s: %g", name, device, kv_type, worst);
    cr_assert(are_alike(whole, one, count, tolerance), "%s on %s: one by one", name, device);
    cr_assert(are_alike(whole, pieces, count, tolerance), "%s on %s: in sevens", name, device);
    cr_assert(are_alike(whole, beside, count, tolerance), "%s on %s: beside another", name, device);
    free(golden.logits);
    free(whole);
    free(one);
    free(pieces);
    free(beside);
    close_tiny(model);
}

static const struct {
    const char *name, *kv_type;
    double tolerance;
} cases[] = {
    { "tied", "f32", 1e-4 },
    { "wide", "f32", 1e-4 },
    { "window", "f32", 1e-4 },
    { "yarn", "f32", 1e-4 },
    { "wide", "f16", 1e-2 },
    { "wide", "q8_0", 1e-1 },
};

Test(models, logits_are_the_references_on_every_device)
{
    struct ash_device_info info[MAX_DEVICES];
    int count, ran = 0;
    cr_assert_eq(ash_devices_probe(NULL, info, MAX_DEVICES, &count), ASH_OK, "%s", ash_error());
    for (int i = 0; i < count; i++) {
        char device[32];
        snprintf(device, sizeof device, "%s:%d", info[i].driver->name, info[i].index);
        if (!info[i].usable || strcmp(info[i].driver->name, "cpu") == 0)
            continue; /* the processor: tests/models/llama.c */
        for (size_t k = 0; k < sizeof cases / sizeof *cases; k++, ran++)
            check_model(device, "auto", cases[k].name, cases[k].kv_type, cases[k].tolerance);
    }
    cr_assert_gt(ran, 0);
}

/* ---- Over several devices ---- */

static const struct {
    const char *device, *split;
} splits[] = {
    { "cpu,opencl:0", "1,2" },
    { "opencl:1,cpu", "2,1" },
    { "opencl:0,opencl:1", "1,2" },
    { "null,opencl:1,cpu", "1,0,2" },
    { "cpu,opencl:0,null", "auto" },
};

static const struct {
    const char *device, *split;
} row_splits[] = {
    { "opencl:1,cpu", "rows:1,2" },
    { "hip:0,hip:1", "rows:2,1" },
    { "opencl:1,cpu,null", "rows:3,1,9" },
    { "cpu,opencl:0,null", "rows" },
};

/* The reference's logits, and the same bits however the prompt is cut. */
Test(models, logits_are_the_references_in_every_split)
{
    for (size_t i = 0; i < sizeof splits / sizeof *splits; i++)
        check_model(splits[i].device, splits[i].split, "wide", "f32", 1e-4);
    for (size_t i = 0; i < sizeof row_splits / sizeof *row_splits; i++)
        check_model(row_splits[i].device, row_splits[i].split, "parts", "f32", 1e-4);
    check_model("opencl:0,cpu", "rows:1,1", "parts", "q8_0", 1e-1);
}

/* No sum is cut: on devices of one kind the bits are those of one of them, however rows are shared. */
Test(models, rows_on_devices_of_a_kind_have_the_bits_of_one)
{
    static const char *const pairs[][2] = { { "opencl:0", "opencl:0,opencl:1" },
        { "hip:0", "hip:0,hip:1" } };
    static const char *const names[] = { "parts", "tied", "window", "parts" };
    static const char *const kv_types[] = { "f32", "f32", "f16", "q8_0" };
    uint32_t seed = 1;
    for (size_t p = 0; p < sizeof pairs / sizeof *pairs; p++)
        for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
            struct golden golden = golden_read(names[i]);
            char split[64];
            seed = seed * 1664525u + 1013904223u;
            snprintf(split, sizeof split, "rows:%u,%u", 1 + (seed >> 16) % 9, 1 + (seed >> 24) % 9);
            struct ash_model *one = open_tiny(pairs[p][0], "auto", names[i], kv_types[i], "0");
            struct ash_model *two = open_tiny(pairs[p][1], split, names[i], kv_types[i], "0");
            float *expected = run_all(one, 1, &golden, 9), *found = run_all(two, 1, &golden, 9);
            size_t count = (size_t)golden.tokens * (size_t)golden.vocabulary;
            cr_assert_arr_eq(found, expected, count * sizeof *found, "%s on %s, %s", names[i],
                pairs[p][1], split);
            free(golden.logits);
            free(expected);
            free(found);
            close_tiny(one);
            close_tiny(two);
        }
}

/* The first device of each driver and the processor, by layers and by rows. */
Test(models, logits_are_the_references_beside_the_processor)
{
    struct ash_device_info info[MAX_DEVICES];
    int count;
    cr_assert_eq(ash_devices_probe(NULL, info, MAX_DEVICES, &count), ASH_OK, "%s", ash_error());
    for (int i = 0; i < count; i++) {
        char devices[64];
        if (!info[i].usable || info[i].index != 0 || strcmp(info[i].driver->name, "cpu") == 0)
            continue;
        snprintf(devices, sizeof devices, "cpu,%s:0", info[i].driver->name);
        check_model(devices, "layers:1,2", "parts", "f32", 1e-4);
        check_model(devices, "rows:1,2", "parts", "f32", 1e-4);
    }
}

/* The logits of a prompt as one batch, cut into micro-batches of so many tokens. */
static float *run_prompt(
    const char *device, const char *split, const char *name, const char *micro_batch, size_t *count)
{
    struct ash_model *model = open_tiny(device, split, name, "f32", micro_batch);
    struct golden golden = golden_read(name);
    struct ash_plan_summary summary;
    ash_plan_summary(model->prompts, &summary);
    cr_assert_eq(summary.micro_tokens, atoi(micro_batch) % 128, "%s, %s", device, split);
    *count = (size_t)golden.tokens * (size_t)golden.vocabulary;
    float *logits = malloc(*count * sizeof *logits);
    run_batch(model, model->prompts, 1, golden.token, 0, golden.tokens, logits);
    free(golden.logits);
    close_tiny(model);
    return logits;
}

static void check_micro_batches(const char *device, const char *split, const char *name)
{
    static const char *const sizes[] = { "64", "17", "5" };
    size_t count;
    float *whole = run_prompt(device, split, name, "128", &count);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        float *parts = run_prompt(device, split, name, sizes[i], &count);
        cr_assert(are_alike(whole, parts, count, 1e-4), "%s on %s, %s: micro-batches of %s", name,
            device, split, sizes[i]);
        free(parts);
    }
    free(whole);
}

Test(models, micro_batches_have_the_bits_of_whole_batches_in_every_split)
{
    for (size_t i = 0; i < sizeof splits / sizeof *splits; i++)
        if (strcmp(splits[i].split, "auto") != 0)
            check_micro_batches(splits[i].device, splits[i].split, "wide");
    for (size_t i = 0; i < sizeof row_splits / sizeof *row_splits; i++)
        check_micro_batches(row_splits[i].device, row_splits[i].split, "parts");
}

/* Drivers that copy from a device to another of theirs, without the host in between. */
Test(models, logits_are_the_references_over_two_devices_of_a_driver)
{
    struct ash_device_info info[MAX_DEVICES];
    int count;
    cr_assert_eq(ash_devices_probe(NULL, info, MAX_DEVICES, &count), ASH_OK, "%s", ash_error());
    for (int i = 0; i < count; i++) {
        char devices[64];
        const char *name = info[i].driver->name;
        if (!info[i].usable || info[i].index != 1 || !info[i].driver->copies_to_peers)
            continue;
        snprintf(devices, sizeof devices, "%s:0,%s:1", name, name);
        check_model(devices, "1,2", "wide", "f32", 1e-4);
        check_model(devices, "1,1", "tied", "f16", 1e-2);
    }
}

/* What a greedy session answers to the prompt of ids; `answer` has room for 64 KiB. */
static void answer(
    const char *device, const char *split, const char *memory, char *text, size_t *bytes)
{
    struct ash_setting_value settings[] = { { "device", device }, { "split", split },
        { "device_memory", memory }, { "kv_type", "f32" }, { "context", "256" },
        { "batch_tokens", "64" } };
    struct ash_runtime *runtime;
    struct ash_model *model;
    cr_assert_eq(ash_runtime_create(settings, 6, &runtime), ASH_OK, "%s", ash_error());
    cr_assert_eq(ash_model_open(runtime, golden_path("wide.gguf"), NULL, &model), ASH_OK, "%s: %s",
        device, ash_error());
    struct ash_session_options options = ash_session_defaults();
    options.temperature = 0;
    options.max_tokens = 48;
    options.ignore_end = true;
    struct ash_session *session;
    cr_assert_eq(ash_session_create(model, &options, &session), ASH_OK);
    cr_assert_eq(ash_session_prompt(session, "the sea", 7), ASH_OK);
    *bytes = 0;
    for (struct ash_piece piece = { 0 }; !piece.done;) {
        cr_assert_eq(ash_session_next(session, &piece), ASH_OK, "%s", ash_error());
        memcpy(text + *bytes, piece.text, piece.length);
        *bytes += piece.length;
    }
    ash_session_destroy(session);
    ash_model_destroy(model);
    ash_runtime_destroy(runtime);
}

Test(models, a_split_answers_as_one_device_does)
{
    static char one[1 << 16], many[1 << 16];
    size_t one_bytes, many_bytes;
    answer("cpu", "auto", "all", one, &one_bytes);
    cr_assert_gt(one_bytes, 0u);
    for (size_t i = 0; i < sizeof splits / sizeof *splits; i++) {
        answer(splits[i].device, splits[i].split, "all", many, &many_bytes);
        cr_assert_eq(many_bytes, one_bytes, "%s", splits[i].device);
        cr_assert_arr_eq(many, one, one_bytes, "%s", splits[i].device);
    }
}

Test(models, a_split_or_list_that_does_not_fit_is_refused)
{
    static const struct {
        struct ash_setting_value setting[2];
        const char *message;
    } bad[] = {
        { { { "device", "cpu,null" }, { "split", "1,2" } }, "--split 1,2: expected 2 numbers" },
        { { { "device", "cpu,null" }, { "split", "2" } }, "--split 2: expected 2 numbers" },
        { { { "device", "cpu,null" }, { "split", "1,1,0" } }, "--split 1,1,0: expected 2 numbers" },
        { { { "device", "cpu,null" }, { "split", "1,1," } }, "--split 1,1,: expected 2 numbers" },
        { { { "device", "cpu" }, { "split", "1,1" } }, "--split 1,1: expected 1 numbers" },
        { { { "device", "cpu,null" }, { "split", "x,1" } }, "--split" },
        { { { "device", "cpu,null" }, { "split", "layers:2,1" } }, "that together are" },
        { { { "device", "cpu,null" }, { "split", "rows:1" } }, "expected 2 numbers" },
        { { { "device", "cpu,null" }, { "split", "rows:1,0" } }, "--split" },
        { { { "device", "cpu,null" }, { "split", "rows,1" } }, "--split" },
        { { { "device", "cpu,null,opencl:0" }, { "split", "rows:1,1,1" } },
            "the model has 2 heads of keys and values, too few for 3 devices" },
        { { { "device", "cpu,null,opencl:0" }, { "split", "rows" } }, "too few for 3 devices" },
        { { { "device", "cpu,null,cpu:0" }, { "split", "auto" } }, "the list has already" },
        { { { "device", "cpu" }, { "device_memory", "1,2" } }, "more numbers than the 1" },
        { { { "device", "cpu" }, { "device_memory", "0" } }, "--device-memory" },
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct ash_runtime *runtime = NULL;
        struct ash_model *model;
        enum ash_status status = ash_runtime_create(bad[i].setting, 2, &runtime);
        if (status == ASH_OK)
            status = ash_model_open(runtime, golden_path("tied.gguf"), NULL, &model);
        cr_assert_eq(status, ASH_ERR_ARGUMENT, "case %zu: %s", i, ash_error());
        cr_assert(strstr(ash_error(), bad[i].message), "case %zu: %s", i, ash_error());
        ash_runtime_destroy(runtime);
    }
}

/* ---- A real model (ASHLAR_TEST_MODEL), greedy: as the reference operators have it ---- */

enum { PROMPT = 5, ANSWER = 5, LONGEST = PROMPT + ANSWER };

struct answer {
    int32_t token[LONGEST];
    float *logits; /* (ANSWER, V), each behind the token that it chooses */
    int32_t vocabulary;
};

static int32_t best_of(const float *logits, int32_t vocabulary)
{
    int32_t best = 0;
    for (int32_t v = 1; v < vocabulary; v++)
        best = logits[v] > logits[best] ? v : best;
    return best;
}

static void answer_greedily(const char *device, const char *path, struct answer *out)
{
    static const int32_t prompt[PROMPT] = { 504, 3575, 282, 4649, 314 };
    struct ash_runtime *runtime;
    struct ash_model *model;
    struct ash_setting_value settings[] = { { "device", device }, { "batch_tokens", "16" },
        { "kv_type", "f32" }, { "context", "512" } };
    cr_assert_eq(ash_runtime_create(settings, 4, &runtime), ASH_OK, "%s", ash_error());
    struct ash_model_options options = { .load = { .sessions = 1 }, .outputs = PROMPT };
    cr_assert_eq(ash_model_open(runtime, path, &options, &model), ASH_OK, "%s", ash_error());
    size_t row = (size_t)model->shape.vocabulary;
    float *step = malloc(PROMPT * row * sizeof *step);
    out->vocabulary = model->shape.vocabulary;
    out->logits = malloc(ANSWER * row * sizeof *out->logits);
    memcpy(out->token, prompt, sizeof prompt);
    for (int32_t i = 0; i < ANSWER; i++) {
        int32_t from = i ? PROMPT + i - 1 : 0, count = i ? 1 : PROMPT;
        run_span(model, out->token, from, count, step);
        memcpy(out->logits + (size_t)i * row, step + (size_t)(count - 1) * row, row * sizeof *step);
        out->token[PROMPT + i] = best_of(step + (size_t)(count - 1) * row, out->vocabulary);
    }
    free(step);
    ash_model_destroy(model);
    ash_runtime_destroy(runtime);
}

static void compare_answers(
    const char *device, const struct answer *found, const struct answer *expected)
{
    double worst = 0;
    for (size_t i = 0; i < ANSWER * (size_t)expected->vocabulary; i++) {
        double difference = __builtin_fabs((double)found->logits[i] - (double)expected->logits[i]);
        worst = difference > worst || difference != difference ? difference : worst;
    }
    fprintf(stderr, "%s: %d tokens, logits off by %.3g at most\n", device, ANSWER, worst);
    cr_assert_arr_eq(found->token, expected->token, sizeof found->token, "%s", device);
    cr_assert(worst <= 1e-3, "%s: logits off by %g", device, worst);
}

Test(models, a_real_model_answers_alike_on_every_driver)
{
    const char *path = getenv("ASHLAR_TEST_MODEL");
    if (!path || !path[0])
        cr_skip_test("ASHLAR_TEST_MODEL does not name a model file");
    struct ash_device_info info[MAX_DEVICES];
    struct answer expected, found;
    int count;
    cr_assert_eq(ash_devices_probe(NULL, info, MAX_DEVICES, &count), ASH_OK, "%s", ash_error());
    answer_greedily("null:0", path, &expected);
    for (int i = 0; i < count; i++) {
        char device[32];
        const char *driver = info[i].driver->name;
        snprintf(device, sizeof device, "%s:%d", driver, info[i].index);
        if (!info[i].usable || info[i].index > 0 || strcmp(driver, "null") == 0 ||
            strcmp(driver, "cpu") == 0) /* which rounds activations to 8 bits */
            continue;
        answer_greedily(device, path, &found);
        compare_answers(device, &found, &expected);
        free(found.logits);
    }
    free(expected.logits);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whole models on every usable device but the processor: logits against a float64 reference
 * (tests/models/llama/make_tiny.py), and the same bits however a prompt is cut into steps.
 */
#include "models/model.h"
#include "runtime/memory.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_TOKENS = 512, PAGES = 16, MAX_DEVICES = 16 };

struct golden {
    int32_t tokens, vocabulary;
    int32_t token[MAX_TOKENS];
    float *logits;
};

static const char *path_of(const char *name, const char *suffix)
{
    static char path[1024];
    snprintf(path, sizeof path, "%s/models/llama/%s.%s", getenv("ASHLAR_TEST_DATA"), name, suffix);
    return path;
}

static void read_golden(const char *name, struct golden *golden)
{
    FILE *file = fopen(path_of(name, "logits"), "rb");
    cr_assert(file, "%s is missing", path_of(name, "logits"));
    cr_assert_eq(fread(&golden->tokens, 4, 1, file), 1u);
    cr_assert_eq(fread(&golden->vocabulary, 4, 1, file), 1u);
    size_t count = (size_t)golden->tokens * (size_t)golden->vocabulary;
    cr_assert_leq(golden->tokens, MAX_TOKENS);
    cr_assert_eq(fread(golden->token, 4, (size_t)golden->tokens, file), (size_t)golden->tokens);
    golden->logits = malloc(count * sizeof *golden->logits);
    cr_assert_eq(fread(golden->logits, 4, count, file), count);
    fclose(file);
}

/* Runs tokens [from, from + count) of the one sequence; logits of all of them. */
static void run_span(
    struct ash_model *model, const int32_t *token, int32_t from, int32_t count, float *logits)
{
    static int32_t page[PAGES], span_of[MAX_TOKENS], output[MAX_TOKENS];
    for (int32_t i = 0; i < PAGES; i++)
        page[i] = PAGES - 1 - i;
    for (int32_t i = 0; i < count; i++)
        output[i] = i;
    struct ash_span span = { 0, count, from, page };
    struct ash_batch batch = { count, count, 1, token + from, span_of, output, &span };
    cr_assert_eq(ash_plan_run(model->plan, &batch), ASH_OK, "%s", ash_error());
    memcpy(logits, ash_plan_output(model->plan, model->logits)->data,
        (size_t)count * (size_t)model->shape.vocabulary * sizeof *logits);
}

/* In steps of `step` tokens. */
static float *run_all(struct ash_model *model, const struct golden *golden, int32_t step)
{
    float *logits = malloc((size_t)golden->tokens * (size_t)golden->vocabulary * sizeof *logits);
    for (int32_t from = 0; from < golden->tokens; from += step) {
        int32_t count = from + step < golden->tokens ? step : golden->tokens - from;
        run_span(
            model, golden->token, from, count, logits + (size_t)from * (size_t)golden->vocabulary);
    }
    return logits;
}

static void check_model(const char *device, const char *name, const char *kv_type, double tolerance)
{
    struct ash_runtime *runtime;
    struct ash_model *model;
    struct golden golden;
    struct ash_setting_value settings[] = { { "device", device }, { "batch_tokens", "128" },
        { "kv_type", kv_type }, { "context", "512" } };
    cr_assert_eq(ash_runtime_create(settings, 4, &runtime), ASH_OK, "%s", ash_error());
    struct ash_model_options options = { .load = { .sessions = 1 }, .outputs = MAX_TOKENS };
    cr_assert_eq(ash_model_open(runtime, path_of(name, "gguf"), &options, &model), ASH_OK, "%s",
        ash_error());
    read_golden(name, &golden);
    size_t count = (size_t)golden.tokens * (size_t)golden.vocabulary;
    float *whole = run_all(model, &golden, 128), *one = run_all(model, &golden, 1);
    float *pieces = run_all(model, &golden, 7);
    double worst = 0;
    for (size_t i = 0; i < count; i++) {
        double difference = __builtin_fabs((double)whole[i] - (double)golden.logits[i]);
        worst = difference > worst || difference != difference ? difference : worst;
    }
    fprintf(
        stderr, "%s on %s, cache %s: logits off by %.3g at most\n", name, device, kv_type, worst);
    cr_assert(worst <= tolerance, "%s on %s, cache %s: %g", name, device, kv_type, worst);
    cr_assert_arr_eq(whole, one, count * sizeof *whole, "%s on %s: one by one", name, device);
    cr_assert_arr_eq(whole, pieces, count * sizeof *whole, "%s on %s: in sevens", name, device);
    free(golden.logits);
    free(whole);
    free(one);
    free(pieces);
    ash_model_destroy(model);
    ash_runtime_destroy(runtime);
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
            check_model(device, cases[k].name, cases[k].kv_type, cases[k].tolerance);
    }
    cr_assert_gt(ran, 0);
}

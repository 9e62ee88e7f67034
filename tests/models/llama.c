/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The llama architecture against logits of a float64 reference (llama/make_tiny.py), and the promise of
 * batch invariance on every checkpoint at hand: the tiny ones always, the default model where it is
 * there (ASHLAR_TEST_MODEL).
 */
#include "models/model.h"
#include "runtime/memory.h"
#include "tests/support/golden.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_TOKENS = GOLDEN_TOKENS, CONTEXT = 512 };

struct machine {
    struct ash_runtime *runtime;
    struct ash_model *model;
};

static struct machine load(const char *path, const char *threads, const char *batch,
    const char *kv_type, int32_t sequences)
{
    struct machine machine;
    struct ash_setting_value settings[] = {
        { "device", "cpu" },
        { "threads", threads },
        { "batch_tokens", batch },
        { "kv_type", kv_type },
        { "context", "512" },
    };
    cr_assert_eq(ash_runtime_create(settings, 5, &machine.runtime), ASH_OK, "%s", ash_error());
    struct ash_model_options options = { .load = { .sessions = sequences }, .outputs = MAX_TOKENS };
    cr_assert_eq(
        ash_model_open(machine.runtime, path, &options, &machine.model), ASH_OK, "%s", ash_error());
    return machine;
}

static void unload(struct machine *machine)
{
    ash_model_destroy(machine->model);
    ash_runtime_destroy(machine->runtime);
}

/* Runs `count` tokens of one sequence from position `from`, alone in the batch, and copies the logits of
 * every one of them. Pages are 0, 1, 2 ... + first_page. */
static void run_span(struct ash_model *model, const int32_t *token, int32_t from, int32_t count,
    int32_t first_page, float *logits)
{
    static int32_t page[CONTEXT / ASH_PAGE_POSITIONS], span_of[MAX_TOKENS], output[MAX_TOKENS];
    for (int32_t i = 0; i < CONTEXT / ASH_PAGE_POSITIONS; i++)
        page[i] = first_page + i;
    for (int32_t i = 0; i < count; i++)
        output[i] = i;
    struct ash_span span = { 0, count, from, page };
    struct ash_batch batch = { count, count, 1, token + from, span_of, output, &span };
    cr_assert_eq(ash_plan_run(model->plan, &batch), ASH_OK, "%s", ash_error());
    memcpy(logits, ash_plan_output(model->plan, model->logits)->data,
        (size_t)count * (size_t)model->shape.vocabulary * sizeof *logits);
}

/* ---- Against the reference ---- */

static float largest_difference(const float *a, const float *b, size_t count)
{
    float worst = 0;
    for (size_t i = 0; i < count; i++) {
        float difference = a[i] > b[i] ? a[i] - b[i] : b[i] - a[i];
        worst = difference > worst ? difference : worst;
        cr_assert(a[i] == a[i], "logit %zu is not a number", i);
    }
    return worst;
}

static const struct {
    const char *name, *threads, *batch, *kv_type;
    float tolerance;
} reference_cases[] = {
    { "tied", "1", "128", "f32", 1e-4f },
    { "tied", "2", "16", "f32", 1e-4f },
    { "wide", "1", "128", "f32", 1e-4f },
    { "wide", "2", "7", "f32", 1e-4f },
    { "window", "1", "128", "f32", 1e-4f },
    { "window", "2", "7", "f32", 1e-4f },
    { "yarn", "1", "128", "f32", 1e-4f },
    { "yarn", "2", "7", "f32", 1e-4f },
    { "parts", "2", "128", "f32", 1e-4f },
    { "tied", "2", "128", "f16", 1e-2f },
    { "wide", "2", "128", "f16", 1e-2f },
    { "tied", "2", "128", "bf16", 1e-1f },
    { "wide", "2", "128", "q8_0", 1e-1f },
};

Test(llama, logits_are_those_of_a_float64_reference)
{
    for (size_t i = 0; i < sizeof reference_cases / sizeof *reference_cases; i++) {
        char name[64];
        struct golden golden = golden_read(reference_cases[i].name);
        snprintf(name, sizeof name, "%s.gguf", reference_cases[i].name);
        struct machine machine = load(golden_path(name), reference_cases[i].threads,
            reference_cases[i].batch, reference_cases[i].kv_type, 1);
        int32_t chunk = machine.model->batch_tokens;
        size_t row = (size_t)golden.vocabulary;
        float *logits = malloc((size_t)golden.tokens * row * sizeof *logits);
        for (int32_t at = 0; at < golden.tokens; at += chunk) {
            int32_t count = golden.tokens - at < chunk ? golden.tokens - at : chunk;
            run_span(machine.model, golden.token, at, count, 0, logits + (size_t)at * row);
        }
        float worst = largest_difference(logits, golden.logits, (size_t)golden.tokens * row);
        cr_assert_leq(worst, reference_cases[i].tolerance, "%s, cache %s: off by %g",
            reference_cases[i].name, reference_cases[i].kv_type, (double)worst);
        cr_log_info("%s, cache %s: largest difference %g", reference_cases[i].name,
            reference_cases[i].kv_type, (double)worst);
        free(logits);
        free(golden.logits);
        unload(&machine);
    }
}

/* ---- Batch invariance ---- */

enum { PROMPT = 75, SEQUENCES = 16 };

static void fill_prompt(int32_t *token, int32_t count, int64_t vocabulary, uint32_t seed)
{
    for (int32_t i = 0; i < count; i++) {
        seed = seed * 1664525u + 1013904223u;
        token[i] = (int32_t)((seed >> 8) % (uint32_t)vocabulary);
    }
}

/* The first sequence of `SEQUENCES` that share every batch, the rest with other tokens and lengths. */
static void run_crowd(struct ash_model *model, const int32_t *token, float *logits)
{
    enum { EACH = 16 };
    static int32_t tokens[SEQUENCES * EACH], span_of[SEQUENCES * EACH], output[EACH];
    static int32_t pages[SEQUENCES][CONTEXT / ASH_PAGE_POSITIONS];
    struct ash_span span[SEQUENCES];
    int32_t vocabulary = (int32_t)model->shape.vocabulary;
    for (int32_t s = 0; s < SEQUENCES; s++)
        for (int32_t p = 0; p < PROMPT / ASH_PAGE_POSITIONS + 1; p++)
            pages[s][p] = SEQUENCES * p + (s * 7 + 3) % SEQUENCES;
    for (int32_t from = 0, step = 1; from < PROMPT; from += step, step = step % EACH + 5) {
        int32_t mine = PROMPT - from < step ? PROMPT - from : step;
        int32_t count = 0;
        for (int32_t s = 0; s < SEQUENCES; s++) {
            int32_t each = s == SEQUENCES / 2 ? mine : 1 + (s * 5 + from) % mine;
            span[s] = (struct ash_span){ count, each, from, pages[s] };
            fill_prompt(tokens + count, each, vocabulary, (uint32_t)(s * 1000 + from));
            for (int32_t i = 0; i < each; i++)
                span_of[count + i] = s;
            if (s == SEQUENCES / 2) {
                memcpy(tokens + count, token + from, (size_t)mine * sizeof *token);
                for (int32_t i = 0; i < mine; i++)
                    output[i] = count + i;
            }
            count += each;
        }
        struct ash_batch batch = { count, mine, SEQUENCES, tokens, span_of, output, span };
        cr_assert_eq(ash_plan_run(model->plan, &batch), ASH_OK, "%s", ash_error());
        memcpy(logits + (int64_t)from * vocabulary,
            ash_plan_output(model->plan, model->logits)->data,
            (size_t)mine * (size_t)vocabulary * sizeof *logits);
    }
}

static void check_same(
    const char *what, const char *path, const float *a, const float *b, int64_t vocabulary)
{
    for (int64_t i = 0; i < PROMPT * vocabulary; i++)
        cr_assert_eq(memcmp(a + i, b + i, sizeof *a), 0,
            "%s, %s: position %lld, logit %lld is %a, not %a", path, what,
            (long long)(i / vocabulary), (long long)(i % vocabulary), (double)b[i], (double)a[i]);
}

static void check_invariance(const char *path, const char *kv_type)
{
    int32_t token[PROMPT];
    struct machine one = load(path, "1", "512", kv_type, SEQUENCES);
    int64_t vocabulary = one.model->shape.vocabulary;
    size_t bytes = (size_t)(PROMPT * vocabulary) * sizeof(float);
    float *alone = malloc(bytes), *other = malloc(bytes);
    fill_prompt(token, PROMPT, vocabulary, 42);
    run_span(one.model, token, 0, PROMPT, 0, alone);

    struct machine two = load(path, "2", "512", kv_type, SEQUENCES);
    run_span(two.model, token, 0, PROMPT, 3, other);
    check_same("2 threads", path, alone, other, vocabulary);
    static const int32_t chunks[] = { 1, 7, 32, 64 };
    for (size_t c = 0; c < sizeof chunks / sizeof *chunks; c++) {
        for (int32_t at = 0; at < PROMPT; at += chunks[c]) {
            int32_t count = PROMPT - at < chunks[c] ? PROMPT - at : chunks[c];
            run_span(two.model, token, at, count, 0, other + at * vocabulary);
        }
        check_same("prefill in chunks", path, alone, other, vocabulary);
    }
    run_crowd(two.model, token, other);
    check_same("among 16 sequences", path, alone, other, vocabulary);
    free(alone);
    free(other);
    unload(&two);
    unload(&one);
}

Test(llama, logits_do_not_depend_on_batch_threads_or_chunks)
{
    static const char *const kv_types[] = { "f32", "f16", "bf16", "q8_0" };
    for (int i = 0; i < 3; i++) {
        if (i < 2) { /* heads of 8 channels make no block of Q8_0 */
            check_invariance(golden_path("tied.gguf"), kv_types[i]);
            check_invariance(golden_path("window.gguf"), kv_types[i]);
        }
        check_invariance(golden_path("wide.gguf"), kv_types[i]);
    }
}

Test(llama, logits_of_the_default_model_do_not_depend_on_batch_threads_or_chunks, .timeout = 300)
{
    const char *path = getenv("ASHLAR_TEST_MODEL");
    if (!path || !*path)
        cr_skip_test("ASHLAR_TEST_MODEL does not name a model file");
#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
    cr_skip_test("takes minutes under a sanitizer; the tiny checkpoints go the same ways");
#endif
    check_invariance(path, "f16");
    check_invariance(path, "q8_0");
}

/* ---- Bad files ---- */

/* The tiny checkpoint with another context_length, in memory. */
static enum ash_status open_with_context(
    struct ash_runtime *runtime, uint32_t context, struct ash_model **out)
{
    static _Alignas(8) char bytes[1 << 17];
    static const char key[] = "llama.context_length";
    static const struct ash_model_options options = { .load = { .sessions = 4096 } };
    struct ash_gguf *file;
    FILE *in = fopen(golden_path("tied.gguf"), "rb");
    cr_assert(in);
    size_t size = fread(bytes, 1, sizeof bytes, in);
    fclose(in);
    char *at = memmem(bytes, size, key, strlen(key));
    cr_assert(at);
    memcpy(at + strlen(key) + 4, &context, sizeof context); /* behind the type */
    cr_assert_eq(ash_gguf_open_memory("tied", bytes, size, &file), ASH_OK, "%s", ash_error());
    return ash_model_open_file(runtime, file, &options, out);
}

Test(llama, more_pages_than_can_be_counted_are_refused)
{
    struct ash_setting_value settings[] = { { "threads", "1" }, { "context", "16777216" } };
    struct ash_runtime *runtime;
    struct ash_model *model;
    cr_assert_eq(ash_runtime_create(settings, 2, &runtime), ASH_OK, "%s", ash_error());
    cr_assert_eq(open_with_context(runtime, 1 << 28, &model), ASH_ERR_LIMIT);
    cr_assert(strstr(ash_error(), "pages"), "%s", ash_error());
    ash_runtime_destroy(runtime);
}

Test(llama, loading_survives_every_failed_allocation)
{
    enum ash_status status = ASH_ERR_NO_MEMORY;
    for (int n = 0; status != ASH_OK; n++) {
        struct ash_setting_value settings[] = { { "device", "cpu" }, { "threads", "2" },
            { "context", "128" } };
        struct ash_runtime *runtime = NULL;
        struct ash_model *model = NULL;
        ash_memory_fail_from(n);
        status = ash_runtime_create(settings, 3, &runtime);
        if (status == ASH_OK)
            status = ash_model_open(runtime, golden_path("tied.gguf"), NULL, &model);
        ash_memory_fail_from(-1);
        cr_assert(status == ASH_OK || status == ASH_ERR_NO_MEMORY, "allocation %d: %s: %s", n,
            ash_status_name(status), ash_error());
        ash_model_destroy(model);
        ash_runtime_destroy(runtime);
        cr_assert_lt(n, 100000);
    }
}

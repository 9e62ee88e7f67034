/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/models/speculate.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *tiny_path(const char *name)
{
    static char path[1024];
    snprintf(path, sizeof path, "%s/models/llama/%s.gguf", getenv("ASHLAR_TEST_DATA"), name);
    return path;
}

struct machine load(const struct setup *setup)
{
    struct machine machine;
    struct ash_setting_value settings[] = { { "device", "cpu" }, { "threads", "2" },
        { "context", "256" }, { "batch_tokens", setup->batch_tokens ? setup->batch_tokens : "64" },
        { "kv_type", setup->kv_type ? setup->kv_type : "f16" }, { "speculate", setup->speculate } };
    cr_assert_eq(ash_runtime_create(settings, 6, &machine.runtime), ASH_OK, "%s", ash_error());
    struct ash_load_options options = { .sessions = setup->sequences ? setup->sequences : 1 };
    const char *path = setup->path ? setup->path : tiny_path(setup->tiny ? setup->tiny : "tied");
    cr_assert_eq(
        ash_model_load(machine.runtime, path, &options, &machine.model), ASH_OK, "%s", ash_error());
    return machine;
}

void unload(struct machine *machine)
{
    ash_model_destroy(machine->model);
    ash_runtime_destroy(machine->runtime);
}

bool step(struct ash_model *model)
{
    bool busy;
    for (int32_t rows = 0; rows <= ASH_SPECULATE_ROWS; rows++)
        model->engine->speculation.step_s[rows] = 1;
    cr_assert_eq(ash_engine_step(model->engine, &busy), ASH_OK, "%s", ash_error());
    return busy;
}

/* ---- What a sequence said ---- */

struct outcome outcome_of(struct ash_generation *generation)
{
    struct outcome outcome = { .finish = ash_generation_finish(generation) };
    size_t length;
    const char *text = ash_generation_take(generation, &length);
    outcome.text = strndup(text, length);
    const int32_t *token = ash_generation_tokens(generation, &outcome.count);
    memcpy(outcome.token, token, (size_t)outcome.count * sizeof *token);
    ash_generation_usage(generation, &outcome.usage);
    cr_assert_eq(ash_generation_status(generation), ASH_OK);
    return outcome;
}

void expect_same(const struct outcome *a, const struct outcome *b, const char *what)
{
    cr_assert_eq(a->count, b->count, "%s: %d and %d tokens", what, a->count, b->count);
    for (int32_t i = 0; i < a->count; i++)
        cr_assert_eq(a->token[i], b->token[i], "%s: token %d", what, i);
    cr_assert_str_eq(a->text, b->text, "%s", what);
    cr_assert_eq(a->finish, b->finish, "%s", what);
    cr_assert_eq(a->usage.prompt_tokens, b->usage.prompt_tokens, "%s", what);
    cr_assert_eq(a->usage.cached_tokens, b->usage.cached_tokens, "%s", what);
    cr_assert_eq(a->usage.answer_tokens, b->usage.answer_tokens, "%s", what);
}

struct ash_generation *add(struct ash_model *model, const int32_t *token, int32_t count,
    const struct ash_generate_options *options)
{
    struct ash_generation *generation;
    cr_assert_eq(ash_engine_add(model->engine, token, count, options, &generation), ASH_OK, "%s",
        ash_error());
    return generation;
}

struct outcome say(struct ash_model *model, const int32_t *token, int32_t count,
    const struct ash_generate_options *options)
{
    struct ash_generation *generation = add(model, token, count, options);
    while (step(model))
        ;
    struct outcome outcome = outcome_of(generation);
    ash_generation_end(generation);
    return outcome;
}

/* ---- Prompts ---- */

void make_prompt(enum prompt prompt, int32_t *token, int32_t count)
{
    uint32_t random = 12345;
    for (int32_t i = 0, a = 1, b = 2; i < count; i++) {
        random = random * 1664525 + 1013904223;
        if (i ==
            b) { /* the Fibonacci word: its prefix of F(n) tokens goes on with that of F(n - 1) */
            b += a;
            a = b - a;
        }
        token[i] = prompt == SAME        ? 7
                   : prompt == PERIOD    ? 10 + i % 9
                   : prompt == FIBONACCI ? (i < 2 ? 20 + i : token[i - a])
                   : prompt == BITS      ? 30 + (int32_t)(random >> 31)
                                         : (int32_t)(random >> 16) % 90;
    }
}

struct ash_generate_options greedy(int32_t max_tokens)
{
    return (struct ash_generate_options){
        .sampler = { .typical_p = 1, .top_p = 1, .repeat_penalty = 1 },
        .max_tokens = max_tokens,
        .ignore_end = true,
    };
}

struct ash_generate_options sampled(int32_t max_tokens, double temperature)
{
    struct ash_generate_options options = greedy(max_tokens);
    options.sampler = ASH_SAMPLER_DEFAULTS;
    options.sampler.temperature = temperature;
    options.sampler.seed = 11;
    return options;
}

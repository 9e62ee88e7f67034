/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "models/generate_internal.h"
#include "models/model.h"

/*
 * Models with and without drafts, and what a sequence says on them. Rows are made free, so that every draft
 * is taken whatever this machine measures: most are wrong.
 */
enum { CONTEXT = 256, SEQUENCES = 4, P = ASH_PAGE_POSITIONS };

struct setup {
    const char *path; /* NULL = a tiny checkpoint: */
    const char *tiny; /* NULL = "tied" */
    const char *speculate, *kv_type, *batch_tokens;
    int32_t sequences;
};

struct machine {
    struct ash_runtime *runtime;
    struct ash_model *model;
};

/* What a sequence said. The caller frees the text. */
struct outcome {
    int32_t token[CONTEXT], count;
    char *text;
    enum ash_finish finish;
    struct ash_usage usage;
};

enum prompt { SAME, PERIOD, FIBONACCI, BITS, NOISE, PROMPTS };

struct machine load(const struct setup *setup);
void unload(struct machine *machine);
/* A step in which rows cost nothing; false when there is nothing left to run. */
bool step(struct ash_model *model);
struct outcome outcome_of(struct ash_generation *generation);
/* Tokens, text, finish and usage; `what` is for the message. */
void expect_same(const struct outcome *a, const struct outcome *b, const char *what);
struct ash_generation *add(struct ash_model *model, const int32_t *token, int32_t count,
    const struct ash_generate_options *options);
/* Alone, to its end. */
struct outcome say(struct ash_model *model, const int32_t *token, int32_t count,
    const struct ash_generate_options *options);
void make_prompt(enum prompt prompt, int32_t *token, int32_t count);
struct ash_generate_options greedy(int32_t max_tokens);
struct ash_generate_options sampled(int32_t max_tokens, double temperature);

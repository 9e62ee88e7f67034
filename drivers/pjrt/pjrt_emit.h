/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "drivers/pjrt/pjrt_internal.h"

/* A program on its way: what steps have written so far, by the memory it belongs to. */

/* A tensor as a program has it: the arrays of its form. */
struct pjrt_parts {
    struct pjrt_form form;
    struct pjrt_value value[PJRT_MOST_PARTS];
};

struct pjrt_known {
    struct ash_place place;
    size_t size_bytes; /* of the largest batch */
    struct pjrt_parts parts;
    int argument; /* it came in as; -1 = computed here */
    int32_t step; /* that wrote it last; -1 = none here */
    int input;    /* which it updated; -1 = its output */
};

struct pjrt_emit {
    struct pjrt_text body;
    struct pjrt_variant *variant;
    const struct ash_step *steps;
    int32_t step;            /* at work on */
    bool tiles;              /* matmuls go by PJRT_TILE rows, whatever the batch */
    int64_t rows[3];         /* by extent: what dim[0] is in this program */
    struct pjrt_value batch; /* (all numbers) */
    struct pjrt_value token, position, start, page, output; /* parts of it; (T), and (O) */
    struct pjrt_value pages;
    struct pjrt_known *known;
    size_t count, capacity;
    enum ash_status status;
};

/* On a processor the bits of a product hang on how many rows there are: there it is always so many. */
enum { PJRT_TILE = 16 };

/* The arguments of the step at work on, bound to the program's sizes. */
struct ash_args pjrt_emit_args(const struct pjrt_emit *emit);
/* An input of that step; the first step to want memory that nobody has written makes it an argument. */
struct pjrt_parts pjrt_emit_input(struct pjrt_emit *emit, int input);
/* What the step gives as its output, or as the new contents of an input that it updates. */
void pjrt_emit_result(struct pjrt_emit *emit, int input, struct pjrt_value value);
/* The table of cosines and sines (2, T, pairs) for the heads that the step turns. */
struct pjrt_value pjrt_emit_turns(struct pjrt_emit *emit, int64_t pairs);

/* An operator as StableHLO: whether it takes these types, and the writing of it. */
struct pjrt_op {
    const struct ash_op *op;
    bool (*accepts)(const struct ash_args *args);
    void (*emit)(struct pjrt_emit *emit, const struct ash_args *args);
};
const struct pjrt_op *pjrt_op_find(const struct ash_op *op); /* NULL if there is none */

/* pjrt_emit_weight.c, pjrt_emit_cache.c: the longer ones. */
void pjrt_emit_embedding(struct pjrt_emit *emit, const struct ash_args *args);
void pjrt_emit_matmul(struct pjrt_emit *emit, const struct ash_args *args);
void pjrt_emit_rope(struct pjrt_emit *emit, const struct ash_args *args);
void pjrt_emit_kv_write(struct pjrt_emit *emit, const struct ash_args *args);
void pjrt_emit_attention(struct pjrt_emit *emit, const struct ash_args *args);

/* Heads (T, H, D) turned by their positions. */
struct ash_rope_params;
struct pjrt_value pjrt_emit_turn(
    struct pjrt_emit *emit, const struct ash_rope_params *params, struct pjrt_value heads);

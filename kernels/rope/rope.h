/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "runtime/op.h"

/*
 * Rotary position embedding (Su et al. 2021, arXiv 2104.09864). In every head, pair i of the first
 * `dims` elements is turned by the angle
 *
 *   position * scale * base^(-2 i / dims) / factor[i],   i = 0 .. dims / 2 - 1
 *
 * (a, b) -> (a cos - b sin, a sin + b cos); the rest is copied. The angle is exact to a float's last
 * place at any position: it is computed and reduced in double.
 *
 * in[0] x (T, H D)
 * in[1] factor (dims / 2), optional: Llama 3's stretched wavelengths; greater than 0
 * out   as x. May take x's place.
 */
enum ash_rope_mode {
    ASH_ROPE_INTERLEAVED, /* pair i is elements 2 i and 2 i + 1: GGUF's llama */
    ASH_ROPE_HALF,        /* pair i is elements i and i + dims / 2: GPT-NeoX, safetensors' llama */
};

struct ash_rope_params {
    int heads;
    int head_size; /* D */
    int dims;      /* how many elements of a head turn; even, at most ASH_ROPE_MAX_DIMS and D */
    float base;    /* 10000 at first; greater than 1 */
    float scale;   /* 1; 1 / s stretches the positions s times (linear scaling) */
    enum ash_rope_mode mode;
};

enum { ASH_ROPE_MAX_DIMS = 512 };

extern const struct ash_op ash_op_rope;

/* The checks that infer() makes of params and factors, for operators that turn heads on their way.
 * `dims` may be 0: nothing turns. */
enum ash_status ash_rope_check(
    const struct ash_rope_params *params, const struct ash_tensor *factors);

/* The definition in double: turns one head in place. `factors` may be NULL. */
void ash_rope_ref_head(
    const struct ash_rope_params *params, const float *factors, int32_t position, double *head);

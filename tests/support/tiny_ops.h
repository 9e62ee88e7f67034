/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "runtime/op.h"

/*
 * The smallest operators that have every trait a planner or a driver must know, so that their tests
 * need none of the real ones. T tokens, O outputs, C columns, N rows of a weight; F32 unless said.
 *
 *   tiny_source  () -> (T, C)                  a function of token id, position and column
 *   tiny_pick    (T, C) -> (O, C)              the rows that the batch wants
 *   tiny_scale   (T, C), w (C) -> (T, C)       in place; its kernel can write A8
 *   tiny_add     (T, C), (T, C) -> (T, C)      in place on either
 *   tiny_reverse (T, C) -> (T, C)              each row backwards: wrong if done in place
 *   tiny_mix     (T, C), w (N, C), [addend (T, N)] -> (T, N)
 *                                              a matmul that wants w transposed; absorbs tiny_add
 *   tiny_mix_a8  the same, reading A8 where C is a multiple of 32; w as it is
 *   tiny_write   (T, C), state (S, C) -> -     row (position % S) of the state becomes the token's
 *   tiny_sum     state (S, C), (T, C) -> (T, C)  each row plus the sum of the state's rows
 */
extern const struct ash_op tiny_source, tiny_pick, tiny_scale, tiny_add, tiny_reverse, tiny_mix,
    tiny_mix_a8, tiny_write, tiny_sum;

struct tiny_source_params {
    int64_t columns;
};

/* A batch of `tokens` in one span at positions 0 ..., wanting the last `outputs` rows. */
enum { TINY_MAX_TOKENS = 64 };
struct tiny_batch {
    struct ash_batch batch;
    struct ash_span span;
    int32_t token[TINY_MAX_TOKENS], token_span[TINY_MAX_TOKENS], output[TINY_MAX_TOKENS];
    int32_t page[TINY_MAX_TOKENS];
};
void tiny_batch_init(struct tiny_batch *batch, int32_t tokens, int32_t outputs);

/* What a weight takes packed, for kernels whose layout has the plain one's size. */
size_t tiny_pack_bytes(const struct ash_tensor *weight);

/* Fixed numbers in [-1, 1), the same for the same seed. */
void tiny_fill(float *out, int64_t count, uint32_t seed);

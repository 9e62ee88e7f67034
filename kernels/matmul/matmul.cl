/* SPDX-License-Identifier: Apache-2.0 */
#ifndef __OPENCL_VERSION__
#include "kernels/device_weight.h"
#endif

/*
 * A linear layer, for few tokens and for many, with the same bits: K is cut into SLICES runs of steps
 * (by K alone); within a slice a sum goes through the elements in their order, one multiply-add each;
 * then the slices' sums are added in their order, and the addend last.
 *
 * Few tokens: a group has 16 rows of the weight and all slices of them, a slice and row an item.
 * Many: a group has a tile of 64 tokens by 64 rows, an item 4 by 4 of it; a step of both operands at a
 * time lies in local memory.
 */
#define SLICES 16
#define TILE   MATMUL_TILE
#define MINE   4 /* tokens, and rows, of an item: TILE / 16 */

DEV i32 slice_steps(i32 steps)
{
    return (steps + SLICES - 1) / SLICES;
}

DEV f32 finish(f32 sum, GLOBAL const f32 *addend, const struct ash_device_args *a, i32 token, i32 row)
{
    return a->has_addend ? sum + addend[(i64)token * a->stride + row] : sum;
}

/* Adds w . x of one step to `sum`; elements past the row's end count as 0. */
DEV f32 add_step(const f32 *w, GLOBAL const f32 *x, i32 count, f32 sum)
{
    if (count >= WEIGHT_STEP) {
        UNROLL for (i32 i = 0; i < WEIGHT_STEP; i++)
            sum = FMA(w[i], x[i], sum);
        return sum;
    }
    FIRST(i, count, WEIGHT_STEP)
    sum = FMA(w[i], x[i], sum);
    return sum;
}

/* The entry point for COUNT tokens at a time, of which the last group may have fewer. */
#define FEW(name, COUNT)                                                                           \
    KERNEL(name)                                                                                   \
    {                                                                                              \
        LOCAL f32 part[COUNT][SLICES][WEIGHT_GROUP];                                               \
        i32 groups = (a.rows + WEIGHT_GROUP - 1) / WEIGHT_GROUP;                                   \
        i32 group = GID % groups, token = GID / groups * COUNT;                                    \
        i32 count = a.tokens - token < COUNT ? a.tokens - token : COUNT;                           \
        i32 row = LID % WEIGHT_GROUP, slice = LID / WEIGHT_GROUP;                                  \
        i32 steps = WEIGHT_STEPS(a.columns), each = slice_steps(steps);                            \
        i32 first = slice * each, last = first + each < steps ? first + each : steps;              \
        GLOBAL const u8 *weight = IN(u8, 1) + group * WEIGHT_GROUP_BYTES(WEIGHT, a.columns);       \
        GLOBAL const f32 *x = IN(f32, 0) + (i64)token * a.columns;                                 \
        f32 sum[COUNT];                                                                            \
        UNROLL for (i32 t = 0; t < COUNT; t++)                                                     \
            sum[t] = 0;                                                                            \
        for (i32 step = first; step < last; step++) {                                              \
            f32 w[WEIGHT_STEP];                                                                    \
            weight_step(weight, steps, step, row, w);                                              \
            UNROLL for (i32 t = 0; t < COUNT; t++)                                                 \
                if (t < count)                                                                     \
                    sum[t] = add_step(w, x + (i64)t * a.columns + step * WEIGHT_STEP,              \
                        a.columns - step * WEIGHT_STEP, sum[t]);                                   \
        }                                                                                          \
        UNROLL for (i32 t = 0; t < COUNT; t++)                                                     \
            part[t][slice][row] = sum[t];                                                          \
        BARRIER();                                                                                 \
        i32 n = group * WEIGHT_GROUP + row;                                                        \
        if (slice < count && n < a.rows) { /* one token each for the first slices' items */        \
            f32 all = 0;                                                                           \
            for (i32 s = 0; s < SLICES; s++)                                                       \
                all += part[slice][s][row];                                                        \
            OUT(f32)[(i64)(token + slice) * a.rows + n] =                                          \
                finish(all, IN(f32, 2), &a, token + slice, n);                                     \
        }                                                                                          \
    }

FEW(matmul_1, 1)
FEW(matmul_4, 4)

KERNEL(matmul_tile)
{
    LOCAL f32 w[WEIGHT_STEP][TILE], x[WEIGHT_STEP][TILE + 1];
    i32 tiles = (a.rows + TILE - 1) / TILE;
    i32 row0 = GID % tiles * TILE, token0 = GID / tiles * TILE;
    i32 steps = WEIGHT_STEPS(a.columns), each = slice_steps(steps);
    i32 row = LID % 16, token = LID / 16 * MINE; /* rows are 16 apart, tokens neighbours */
    i32 load_row = LID % TILE, part = LID / TILE, load_k = LID % WEIGHT_STEP;
    i32 group = (row0 + load_row) / WEIGHT_GROUP, has_row = row0 + load_row < a.rows;
    GLOBAL const u8 *weight = IN(u8, 1) + group * WEIGHT_GROUP_BYTES(WEIGHT, a.columns);
    f32 all[MINE][MINE], sum[MINE][MINE];
    UNROLL for (i32 t = 0; t < MINE; t++)
        UNROLL for (i32 n = 0; n < MINE; n++)
            all[t][n] = sum[t][n] = 0;

    for (i32 step = 0; step < steps; step++) {
        f32 eight[8] = { 0, 0, 0, 0, 0, 0, 0, 0 };
        if (has_row)
            weight_eight(weight, steps, step, load_row % WEIGHT_GROUP, part, eight);
        UNROLL for (i32 i = 0; i < 8; i++)
            w[part * 8 + i][load_row] = eight[i];
        i32 k = step * WEIGHT_STEP + load_k;
        for (i32 t = LID / WEIGHT_STEP; t < TILE; t += DEVICE_GROUP / WEIGHT_STEP)
            x[load_k][t] = k < a.columns && token0 + t < a.tokens
                               ? IN(f32, 0)[(i64)(token0 + t) * a.columns + k]
                               : 0.0f;
        BARRIER();
        UNROLL for (i32 i = 0; i < WEIGHT_STEP; i++)
            UNROLL for (i32 t = 0; t < MINE; t++)
                UNROLL for (i32 n = 0; n < MINE; n++)
                    sum[t][n] = FMA(w[i][row + 16 * n], x[i][token + t], sum[t][n]);
        BARRIER();
        if ((step + 1) % each == 0 || step + 1 == steps)
            UNROLL for (i32 t = 0; t < MINE; t++)
                UNROLL for (i32 n = 0; n < MINE; n++) {
                    all[t][n] += sum[t][n];
                    sum[t][n] = 0;
                }
    }
    UNROLL for (i32 t = 0; t < MINE; t++)
        UNROLL for (i32 n = 0; n < MINE; n++) {
            i32 to = row0 + row + 16 * n;
            if (token0 + token + t < a.tokens && to < a.rows)
                OUT(f32)[(i64)(token0 + token + t) * a.rows + to] =
                    finish(all[t][n], IN(f32, 2), &a, token0 + token + t, to);
        }
}

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef __OPENCL_VERSION__
#include "kernels/device_matrix.h"
#endif

/*
 * A linear layer by matrix cores, for prompts: x and the weight are rounded to BF16 on their way into local
 * memory, a step of K at a time, and summed in F32. Each sum goes through the steps in their order, in
 * whatever tile it is. K is a multiple of 32.
 *
 * A group has a tile of SIZE tokens by SIZE rows. Two waves share its tokens, and half of the waves its rows;
 * the next step is read and rounded while this one is multiplied.
 */
#ifdef MATRIX_HAS

#define ITEM_ROWS     (DEVICE_GROUP / MATRIX_EIGHTS) /* an item loads eight elements of each 64th row */
#define ACROSS        (MATRIX_WAVES / 2)            /* waves that share rows */
#define TILES_T(SIZE) ((SIZE) / MATRIX_TILE / 2)    /* of a wave */
#define TILES_N(SIZE) ((SIZE) / MATRIX_TILE / ACROSS)

/* What an item brings into a slot of either operand, as it lies in memory. */
struct part {
    u32x4 x[2];
    struct weight_part w;
};

/* An item's slots of a step. Past the last token and row these stand once more: no branch, and nobody reads
 * what comes of it. */
DEV void read_step(GLOBAL const f32 *x, GLOBAL const u8 *weight, const struct ash_device_args *a,
    i32 step, i32 token, i32 row, i32 slots, struct part *part)
{
    i32 quarter = LID % MATRIX_EIGHTS;
    MATRIX_UNROLL for (i32 i = 0; i < slots; i++)
    {
        i32 t = token + i * ITEM_ROWS, n = row + i * ITEM_ROWS;
        t = t < a->tokens ? t : a->tokens - 1;
        n = n < a->rows ? n : a->rows - 1;
        GLOBAL const f32 *from = x + (i64)t * a->columns + step * WEIGHT_STEP + quarter * 8;
        part[i].x[0] = LOAD_U32X4(from, 0);
        part[i].x[1] = LOAD_U32X4(from, 1);
        weight_read(weight + n / WEIGHT_GROUP * WEIGHT_GROUP_BYTES(WEIGHT, a->columns),
            WEIGHT_STEPS(a->columns), step, n % WEIGHT_GROUP, quarter, &part[i].w);
    }
}

DEV u32x4 round_x(const u32x4 *x)
{
    f32 eight[8] = { AS_F32(x[0].x), AS_F32(x[0].y), AS_F32(x[0].z), AS_F32(x[0].w),
        AS_F32(x[1].x), AS_F32(x[1].y), AS_F32(x[1].z), AS_F32(x[1].w) };
    return matrix_round(eight);
}

DEV u32x4 round_weight(const struct weight_part *part)
{
    f32 eight[8];
    weight_part_decode(part, eight);
    return matrix_round(eight);
}

/* A wave's share of a step. */
DEV void multiply_step(IN_LOCAL const u32x4 *x, IN_LOCAL const u32x4 *w, i32 tiles_t, i32 tiles_n,
    f32 *sum, IN_LOCAL u16 *exchange)
{
    i32 lane = LID % MATRIX_LANES;
    struct matrix_fragment of_w[4];
    MATRIX_UNROLL for (i32 n = 0; n < tiles_n; n++)
        matrix_load(w + n * MATRIX_SLOTS, lane, &of_w[n]);
    MATRIX_UNROLL for (i32 t = 0; t < tiles_t; t++)
    {
        struct matrix_fragment of_x;
        matrix_load(x + t * MATRIX_SLOTS, lane, &of_x);
        MATRIX_UNROLL for (i32 n = 0; n < tiles_n; n++)
            matrix_multiply(&of_x, &of_w[n], sum + (t * tiles_n + n) * MATRIX_SUMS, exchange);
    }
}

/* Writes a wave's sums, the first of which belongs to `token` and `row`, with the addend. */
DEV void write_sums(GLOBAL f32 *out, GLOBAL const f32 *addend, const struct ash_device_args *a,
    i32 token, i32 row, i32 tiles_t, i32 tiles_n, const f32 *sum)
{
    i32 lane = LID % MATRIX_LANES;
    MATRIX_UNROLL for (i32 i = 0; i < tiles_t * tiles_n * MATRIX_SUMS; i++)
    {
        i32 tile = i / MATRIX_SUMS;
        i32 t = token + tile / tiles_n * MATRIX_TILE + MATRIX_TOKEN(lane, i % MATRIX_SUMS);
        i32 n = row + tile % tiles_n * MATRIX_TILE + MATRIX_ROW(lane, i % MATRIX_SUMS);
        if (t < a->tokens && n < a->rows)
            out[(i64)t * a->rows + n] =
                a->has_addend ? sum[i] + addend[(i64)t * a->stride + n] : sum[i];
    }
}

#define MATRIX_MATMUL(name, SIZE)                                                                  \
    KERNEL(name)                                                                                   \
    {                                                                                              \
        LOCAL u32x4 x[(SIZE)*MATRIX_EIGHTS], w[(SIZE)*MATRIX_EIGHTS];                              \
        LOCAL u16 exchange[MATRIX_EXCHANGE];                                                       \
        i32 tiles = (a.rows + (SIZE)-1) / (SIZE);                                                  \
        i32 row0 = GID % tiles * (SIZE), token0 = GID / tiles * (SIZE);                            \
        i32 steps = WEIGHT_STEPS(a.columns), mine = LID / MATRIX_EIGHTS;                           \
        i32 wave = LID / MATRIX_LANES;                                                             \
        i32 wave_t = wave / ACROSS * TILES_T(SIZE), wave_n = wave % ACROSS * TILES_N(SIZE);        \
        struct part part[(SIZE) / ITEM_ROWS];                                                      \
        f32 sum[TILES_T(SIZE) * TILES_N(SIZE) * MATRIX_SUMS];                                      \
        MATRIX_UNROLL for (i32 i = 0; i < TILES_T(SIZE) * TILES_N(SIZE) * MATRIX_SUMS; i++)               \
            sum[i] = 0;                                                                            \
        read_step(IN(f32, 0), IN(u8, 1), &a, 0, token0 + mine, row0 + mine, (SIZE) / ITEM_ROWS,    \
            part);                                                                                 \
        for (i32 step = 0; step < steps; step++) {                                                 \
            MATRIX_UNROLL for (i32 i = 0; i < (SIZE) / ITEM_ROWS; i++) {                                  \
                i32 slot = MATRIX_SLOT(mine + i * ITEM_ROWS, LID % MATRIX_EIGHTS);                 \
                x[slot] = round_x(part[i].x);                                                      \
                w[slot] = round_weight(&part[i].w);                                                \
            }                                                                                      \
            BARRIER();                                                                             \
            read_step(IN(f32, 0), IN(u8, 1), &a, step + 1 < steps ? step + 1 : step,               \
                token0 + mine, row0 + mine, (SIZE) / ITEM_ROWS, part);                             \
            MATRIX_ORDERED();                                                                      \
            multiply_step(x + wave_t * MATRIX_SLOTS, w + wave_n * MATRIX_SLOTS, TILES_T(SIZE),     \
                TILES_N(SIZE), sum, exchange);                                                     \
            BARRIER(); /* everybody has read this step */                                          \
        }                                                                                          \
        write_sums(OUT(f32), IN(f32, 2), &a, token0 + wave_t * MATRIX_TILE,                        \
            row0 + wave_n * MATRIX_TILE, TILES_T(SIZE), TILES_N(SIZE), sum);                       \
    }

MATRIX_MATMUL(matmul_matrix, MATMUL_TILE)
#if defined(KERNEL_GROUPS) /* it takes 170 registers on NVIDIA's cards, which have 128 if two groups share them */
#undef KERNEL_GROUPS
#define KERNEL_GROUPS 1
#endif
MATRIX_MATMUL(matmul_matrix_wide, MATMUL_WIDE_TILE)
#if defined(KERNEL_GROUPS)
#undef KERNEL_GROUPS
#define KERNEL_GROUPS 2
#endif

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ASH_KERNELS_DEVICE_WEIGHT_H
#define ASH_KERNELS_DEVICE_WEIGHT_H

#ifndef __OPENCL_VERSION__
#include "kernels/device_math.h"
#endif

/* Weights on a device (device_layout.h); WEIGHT is their type for a whole program. */
#ifdef WEIGHT

#define WEIGHT_WORDS (WEIGHT_SLABS(WEIGHT) * 4)   /* of a step and row */
#define WEIGHT_RUN   (WEIGHT_STEP / WEIGHT_WORDS) /* elements of a word */

struct weight_factors {
    f32 d, m;
};

DEV struct weight_factors weight_factors(GLOBAL const u8 *group, i32 steps, i32 step, i32 row)
{
    struct weight_factors factors = { 1.0f, 0.0f };
#if WEIGHT >= WEIGHT_Q8_0
    GLOBAL const u8 *from = group + (i64)steps * WEIGHT_SLABS(WEIGHT) * WEIGHT_SLAB_BYTES;
    factors.d = LOAD_HALF(from, step * WEIGHT_GROUP + row);
#if WEIGHT == WEIGHT_Q4_1
    factors.m = LOAD_HALF(from, (steps + step) * WEIGHT_GROUP + row);
#endif
#endif
    (void)group, (void)steps, (void)step, (void)row;
    return factors;
}

/* The WEIGHT_RUN elements of a word, exactly as ash_to_float() has them. */
DEV void weight_decode(u32 word, struct weight_factors factors, f32 *out)
{
#if WEIGHT == WEIGHT_Q4_0
    UNROLL for (i32 i = 0; i < 8; i++) out[i] = (f32)((i32)(word >> (4 * i) & 15u) - 8) * factors.d;
#elif WEIGHT == WEIGHT_Q4_1
    UNROLL for (i32 i = 0; i < 8; i++) out[i] =
        (f32)(i32)(word >> (4 * i) & 15u) * factors.d + factors.m;
#elif WEIGHT == WEIGHT_Q8_0
    UNROLL for (i32 i = 0; i < 4; i++) out[i] = (f32)(i8)(u8)(word >> (8 * i) & 255u) * factors.d;
#elif WEIGHT == WEIGHT_F16
    out[0] = half_to_float(word & 0xffffu);
    out[1] = half_to_float(word >> 16);
#elif WEIGHT == WEIGHT_BF16
    out[0] = AS_F32(word << 16);
    out[1] = AS_F32(word & 0xffff0000u);
#else
    out[0] = AS_F32(word);
#endif
    (void)factors;
}

/* All 32 elements of a step. */
DEV void weight_step(GLOBAL const u8 *group, i32 steps, i32 step, i32 row, f32 *out)
{
    struct weight_factors factors = weight_factors(group, steps, step, row);
    UNROLL for (i32 slab = 0; slab < WEIGHT_SLABS(WEIGHT); slab++)
    {
        u32x4 words = LOAD_U32X4(group, (step * WEIGHT_SLABS(WEIGHT) + slab) * WEIGHT_GROUP + row);
        f32 *to = out + slab * 4 * WEIGHT_RUN;
        weight_decode(words.x, factors, to);
        weight_decode(words.y, factors, to + WEIGHT_RUN);
        weight_decode(words.z, factors, to + 2 * WEIGHT_RUN);
        weight_decode(words.w, factors, to + 3 * WEIGHT_RUN);
    }
}

/* A quarter of a step and row as it lies: elements 8 part .. 8 part + 7, part 0 .. 3. */
struct weight_part {
    u32 word[WEIGHT_WORDS / 4];
    struct weight_factors factors;
};

DEV void weight_read(
    GLOBAL const u8 *group, i32 steps, i32 step, i32 row, i32 part, struct weight_part *out)
{
    out->factors = weight_factors(group, steps, step, row);
    UNROLL for (i32 i = 0; i < WEIGHT_WORDS / 4; i++)
    {
        i32 word = part * (WEIGHT_WORDS / 4) + i;
        i32 slab = (step * WEIGHT_SLABS(WEIGHT) + word / 4) * WEIGHT_GROUP + row;
        out->word[i] = ((GLOBAL const u32 *)(GLOBAL const void *)group)[slab * 4 + word % 4];
    }
}

DEV void weight_part_decode(const struct weight_part *part, f32 *out)
{
    UNROLL for (i32 i = 0; i < WEIGHT_WORDS / 4; i++)
        weight_decode(part->word[i], part->factors, out + i * WEIGHT_RUN);
}

DEV void weight_eight(GLOBAL const u8 *group, i32 steps, i32 step, i32 row, i32 part, f32 *out)
{
    struct weight_part read;
    weight_read(group, steps, step, row, part, &read);
    weight_part_decode(&read, out);
}

/* Element `column` of a row as a file has it. */
DEV f32 weight_plain(GLOBAL const u8 *from, i32 column)
{
#if WEIGHT == WEIGHT_F32
    return ((GLOBAL const f32 *)(GLOBAL const void *)from)[column];
#elif WEIGHT == WEIGHT_F16
    return LOAD_HALF(from, column);
#elif WEIGHT == WEIGHT_BF16
    return AS_F32((u32)((GLOBAL const u16 *)(GLOBAL const void *)from)[column] << 16);
#elif WEIGHT == WEIGHT_Q8_0
    GLOBAL const u8 *block = from + (i64)(column / 32) * 34;
    return (f32)(i8)block[2 + column % 32] * LOAD_HALF(block, 0);
#else
    i32 header = WEIGHT == WEIGHT_Q4_1 ? 4 : 2;
    GLOBAL const u8 *block = from + (i64)(column / 32) * (header + 16);
    i32 at = column % 32, byte = block[header + at % 16], quant = at < 16 ? byte & 15 : byte >> 4;
    f32 d = LOAD_HALF(block, 0);
    return WEIGHT == WEIGHT_Q4_1 ? (f32)quant * d + LOAD_HALF(block, header / 2 - 1)
                                 : (f32)(quant - 8) * d;
#endif
}

/* Bytes of a row as a file has it. */
DEV i64 weight_plain_bytes(i32 columns)
{
#if WEIGHT >= WEIGHT_Q8_0
    return (i64)(columns / 32) * (WEIGHT == WEIGHT_Q8_0 ? 34 : WEIGHT == WEIGHT_Q4_0 ? 18 : 20);
#else
    return (i64)columns * (WEIGHT == WEIGHT_F32 ? 4 : 2);
#endif
}

#endif
#endif

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ASH_KERNELS_DEVICE_MATRIX_H
#define ASH_KERNELS_DEVICE_MATRIX_H

#ifndef __OPENCL_VERSION__
#include "kernels/device_weight.h"
#endif

/*
 * Matrix cores: the product of two tiles of 16 rows by 32 elements of BF16, added to 16 by 16 sums in F32,
 * by the items of a wave together. MATRIX is the kind for a whole program, one of device_layout.h's.
 *
 * A tile lies in local memory in slots of eight elements. A lane reads MATRIX_PARTS slots of each of the
 * two and holds MATRIX_SUMS sums; which ones is up to the instruction:
 *
 *   MFMA    64 lanes   AMD's "Instinct MI200 / MI300 / CDNA 4 Instruction Set Architecture", and its
 *                      matrix instruction calculator
 *   WMMA    32 lanes   "RDNA 3 Instruction Set Architecture", 7.9; lanes 16 to 31 repeat 0 to 15
 *   WMMA12  32 lanes   "RDNA 4 Instruction Set Architecture", 7.12
 *   MMA     32 lanes   NVIDIA's "PTX ISA", mma.m16n8k16
 *
 * Both tiles give a lane the same elements of K, so a sum has all its products, each once, whatever order
 * the instruction has for them.
 *
 * Compiled for hardware that has no such instruction, a program of HIP or CUDA is empty. OpenCL (but with
 * MATRIX_NATIVE defined) and C of the host compute what the instruction is documented to, lane by lane
 * and element by element: slow, and for tests.
 */
#ifdef MATRIX

#if defined(__HIP__) || defined(__CUDA__) || defined(__CUDACC__)
#if (MATRIX == MATRIX_MFMA &&                                                                      \
     (defined(__gfx90a__) || defined(__gfx942__) || defined(__gfx950__))) ||                       \
    (MATRIX == MATRIX_WMMA && defined(__GFX11__)) ||                                               \
    (MATRIX == MATRIX_WMMA12 && (defined(__gfx1200__) || defined(__gfx1201__)))
#define MATRIX_NATIVE
#elif MATRIX == MATRIX_MMA && defined(__CUDA_ARCH__)
#if __CUDA_ARCH__ >= 800
#define MATRIX_NATIVE
#endif
#endif
#elif !defined(MATRIX_NATIVE)
#define MATRIX_EMULATED
#endif

#if defined(MATRIX_NATIVE) || defined(MATRIX_EMULATED)
#define MATRIX_HAS

#if defined(MATRIX_EMULATED)
#define MATRIX_UNROLL /* loops stay loops: there are barriers in them */
#else
#define MATRIX_UNROLL UNROLL
#endif
#define MATRIX_TILE   16
#define MATRIX_EIGHTS (WEIGHT_STEP / 8)             /* slots of a row */
#define MATRIX_SLOTS  (MATRIX_TILE * MATRIX_EIGHTS) /* of a tile */
#define MATRIX_SUMS   (256 / MATRIX_LANES)          /* of a lane */
#define MATRIX_WAVES  (DEVICE_GROUP / MATRIX_LANES)
#define MATRIX_WORDS  (4 * MATRIX_PARTS)

/*
 * MATRIX_READS: the row, and the eighth of it, that a lane reads as part `p`. MATRIX_TOKEN and MATRIX_ROW:
 * where in the tile of sums its sum i belongs, by the row of the first and of the second tile.
 */
#if MATRIX == MATRIX_MFMA
#define MATRIX_LANES             64
#define MATRIX_PARTS             1
#define MATRIX_READS_ROW(l, p)   ((l) % 16)
#define MATRIX_READS_EIGHT(l, p) ((l) / 16)
#define MATRIX_TOKEN(l, i)       ((l) / 16 * 4 + (i))
#define MATRIX_ROW(l, i)         ((l) % 16)
#elif MATRIX == MATRIX_WMMA
#define MATRIX_LANES             32
#define MATRIX_PARTS             4
#define MATRIX_READS_ROW(l, p)   ((l) % 16)
#define MATRIX_READS_EIGHT(l, p) (p)
#define MATRIX_TOKEN(l, i)       ((i)*2 + (l) / 16)
#define MATRIX_ROW(l, i)         ((l) % 16)
#elif MATRIX == MATRIX_WMMA12
#define MATRIX_LANES             32
#define MATRIX_PARTS             2
#define MATRIX_READS_ROW(l, p)   ((l) % 16)
#define MATRIX_READS_EIGHT(l, p) ((l) / 16 * 2 + (p))
#define MATRIX_TOKEN(l, i)       ((l) / 16 * 8 + (i))
#define MATRIX_ROW(l, i)         ((l) % 16)
#else
#define MATRIX_LANES             32
#define MATRIX_PARTS             2
#define MATRIX_READS_ROW(l, p)   ((l) / 4 + (p)*8)
#define MATRIX_READS_EIGHT(l, p) ((l) % 4)
#define MATRIX_TOKEN(l, i)       ((l) / 4 + (i) % 4 / 2 * 8)
#define MATRIX_ROW(l, i)         ((i) / 4 * 8 + (l) % 4 * 2 + (i) % 2)
#endif

/*
 * Where the slot of a row and eighth lies. Items that follow each other write the eighths of a row, and read
 * in the order of MATRIX_READS: either way eight of them touch each bank of local memory once.
 */
#if MATRIX == MATRIX_MMA
#define MATRIX_SLOT(row, eighth) ((row)*MATRIX_EIGHTS + (eighth))
#else
#define MATRIX_SLOT(row, eighth)                                                                   \
    ((row) / 16 * MATRIX_SLOTS + (eighth)*16 + ((row) % 16 ^ (eighth)*2))
#endif

/* ---- BF16 ---- */

/* Two neighbours in a word, the first in its lower half: to nearest, ties to even; a NaN stays one. */
#if defined(MATRIX_NATIVE) && MATRIX == MATRIX_MMA
DEV u32 matrix_pair(f32 first, f32 second)
{
    u32 pair;
    __asm__("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(second), "f"(first));
    return pair;
}
#elif defined(__HIP__)
typedef __bf16 matrix_bf16x2 __attribute__((ext_vector_type(2)));
DEV u32 matrix_pair(f32 first, f32 second)
{
    matrix_bf16x2 pair = { (__bf16)first, (__bf16)second };
    return __builtin_bit_cast(u32, pair);
}
#else
DEV u32 matrix_bf16(f32 value)
{
    u32 bits = AS_U32(value);
    return (bits & 0x7fffffffu) > 0x7f800000u ? bits >> 16 | 0x40u
                                              : (bits + 0x7fffu + (bits >> 16 & 1u)) >> 16;
}

DEV u32 matrix_pair(f32 first, f32 second)
{
    return matrix_bf16(first) | matrix_bf16(second) << 16;
}
#endif

DEV u32x4 matrix_round(const f32 *eight)
{
    u32x4 slot;
    slot.x = matrix_pair(eight[0], eight[1]);
    slot.y = matrix_pair(eight[2], eight[3]);
    slot.z = matrix_pair(eight[4], eight[5]);
    slot.w = matrix_pair(eight[6], eight[7]);
    return slot;
}

/* ---- The instruction ---- */

/* What a lane holds of a tile. */
struct matrix_fragment {
    u32 word[MATRIX_WORDS];
};

DEV void matrix_load(IN_LOCAL const u32x4 *tile, i32 lane, struct matrix_fragment *out)
{
    UNROLL for (i32 p = 0; p < MATRIX_PARTS; p++)
    {
        u32x4 slot = tile[MATRIX_SLOT(MATRIX_READS_ROW(lane, p), MATRIX_READS_EIGHT(lane, p))];
        out->word[4 * p] = slot.x;
        out->word[4 * p + 1] = slot.y;
        out->word[4 * p + 2] = slot.z;
        out->word[4 * p + 3] = slot.w;
    }
}

#if defined(MATRIX_EMULATED)

/* Which row and element of K is element e of a lane's first operand, and of its second; where its sum i is.
 * All of 16 elements of K. */
#if MATRIX == MATRIX_MFMA
#define EMULATED_ELEMENTS 4
#define EMULATED_SECOND   4
#define EMULATED_SUMS     4
#define FIRST_ROW(l, e)   ((l) % 16)
#define FIRST_K(l, e)     ((l) / 16 * 4 + (e))
#define SECOND_ROW(l, e)  FIRST_ROW(l, e)
#define SECOND_K(l, e)    FIRST_K(l, e)
#define SUM_FIRST(l, i)   ((l) / 16 * 4 + (i))
#define SUM_SECOND(l, i)  ((l) % 16)
#elif MATRIX == MATRIX_WMMA
#define EMULATED_ELEMENTS 16
#define EMULATED_SECOND   16
#define EMULATED_SUMS     8
#define FIRST_ROW(l, e)   ((l) % 16)
#define FIRST_K(l, e)     (e)
#define SECOND_ROW(l, e)  FIRST_ROW(l, e)
#define SECOND_K(l, e)    FIRST_K(l, e)
#define SUM_FIRST(l, i)   ((i)*2 + (l) / 16)
#define SUM_SECOND(l, i)  ((l) % 16)
#elif MATRIX == MATRIX_WMMA12
#define EMULATED_ELEMENTS 8
#define EMULATED_SECOND   8
#define EMULATED_SUMS     8
#define FIRST_ROW(l, e)   ((l) % 16)
#define FIRST_K(l, e)     ((l) / 16 * 8 + (e))
#define SECOND_ROW(l, e)  FIRST_ROW(l, e)
#define SECOND_K(l, e)    FIRST_K(l, e)
#define SUM_FIRST(l, i)   ((l) / 16 * 8 + (i))
#define SUM_SECOND(l, i)  ((l) % 16)
#else
#define EMULATED_ELEMENTS 8
#define EMULATED_SECOND   4
#define EMULATED_SUMS     4
#define FIRST_ROW(l, e)   ((l) / 4 + (e) / 2 % 2 * 8)
#define FIRST_K(l, e)     ((l) % 4 * 2 + (e) % 2 + (e) / 4 * 8)
#define SECOND_ROW(l, e)  ((l) / 4)
#define SECOND_K(l, e)    ((l) % 4 * 2 + (e) % 2 + (e) / 2 * 8)
#define SUM_FIRST(l, i)   ((l) / 4 + (i) / 2 * 8)
#define SUM_SECOND(l, i)  ((l) % 4 * 2 + (i) % 2)
#endif

/* Local memory in which the lanes of each wave show each other two operands. */
#define MATRIX_EXCHANGE (MATRIX_WAVES * 2 * 256)

DEV void matrix_instruction(const u32 *a, const u32 *b, f32 *sum, IN_LOCAL u16 *exchange)
{
    i32 lane = LID % MATRIX_LANES;
    IN_LOCAL u16 *first = exchange + LID / MATRIX_LANES * 512, *second = first + 256;
    if (MATRIX != MATRIX_WMMA || lane < 16) {
        for (i32 e = 0; e < EMULATED_ELEMENTS; e++)
            first[FIRST_ROW(lane, e) * 16 + FIRST_K(lane, e)] = (u16)(a[e / 2] >> 16 * (e % 2));
        for (i32 e = 0; e < EMULATED_SECOND; e++)
            second[SECOND_ROW(lane, e) * 16 + SECOND_K(lane, e)] = (u16)(b[e / 2] >> 16 * (e % 2));
    }
    BARRIER();
    for (i32 i = 0; i < EMULATED_SUMS; i++)
        for (i32 k = 0; k < 16; k++)
            sum[i] = FMA(AS_F32((u32)first[SUM_FIRST(lane, i) * 16 + k] << 16),
                AS_F32((u32)second[SUM_SECOND(lane, i) * 16 + k] << 16), sum[i]);
    BARRIER();
}

#else

#define MATRIX_EXCHANGE 1 /* none is needed */

#if MATRIX == MATRIX_MMA
DEV void matrix_instruction(const u32 *a, const u32 *b, f32 *sum, IN_LOCAL u16 *exchange)
{
    (void)exchange;
    __asm__ volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
                     "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
                     : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
                     : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
#else
typedef f32 matrix_sums __attribute__((ext_vector_type(MATRIX_SUMS)));
#if defined(__gfx950__)
typedef __bf16 matrix_operand __attribute__((ext_vector_type(8)));
#define MATRIX_BUILTIN(a, b, sum) __builtin_amdgcn_mfma_f32_16x16x32_bf16(a, b, sum, 0, 0, 0)
#elif MATRIX == MATRIX_MFMA
typedef short matrix_operand __attribute__((ext_vector_type(4)));
#define MATRIX_BUILTIN(a, b, sum) __builtin_amdgcn_mfma_f32_16x16x16bf16_1k(a, b, sum, 0, 0, 0)
#elif MATRIX == MATRIX_WMMA
typedef short matrix_operand __attribute__((ext_vector_type(16)));
#define MATRIX_BUILTIN __builtin_amdgcn_wmma_f32_16x16x16_bf16_w32
#else
typedef short matrix_operand __attribute__((ext_vector_type(8)));
#define MATRIX_BUILTIN __builtin_amdgcn_wmma_f32_16x16x16_bf16_w32_gfx12
#endif

DEV void matrix_instruction(const u32 *a, const u32 *b, f32 *sum, IN_LOCAL u16 *exchange)
{
    matrix_operand first, second;
    matrix_sums sums;
    (void)exchange;
    __builtin_memcpy(&first, a, sizeof first);
    __builtin_memcpy(&second, b, sizeof second);
    __builtin_memcpy(&sums, sum, sizeof sums);
    sums = MATRIX_BUILTIN(first, second, sums);
    __builtin_memcpy(sum, &sums, sizeof sums);
}
#endif
#endif

/* What is read before it is asked for before anything that stands behind it is done. */
#if defined(__HIP__)
#define MATRIX_ORDERED() __builtin_amdgcn_sched_barrier(0)
#else
#define MATRIX_ORDERED() (void)0
#endif

/* Adds the product of two tiles to the sums; every item of the group gets here. */
DEV void matrix_multiply(const struct matrix_fragment *a, const struct matrix_fragment *b, f32 *sum,
    IN_LOCAL u16 *exchange)
{
#if MATRIX == MATRIX_MMA
    MATRIX_UNROLL for (i32 i = 0; i < 4; i += 2) /* the halves of K */
    {
        u32 first[4] = { a->word[i], a->word[4 + i], a->word[i + 1], a->word[4 + i + 1] };
        matrix_instruction(first, b->word + i, sum, exchange);
        matrix_instruction(first, b->word + 4 + i, sum + 4, exchange);
    }
#elif defined(__gfx950__)
    matrix_instruction(a->word, b->word, sum, exchange);
#else
    matrix_instruction(a->word, b->word, sum, exchange);
    matrix_instruction(a->word + MATRIX_WORDS / 2, b->word + MATRIX_WORDS / 2, sum, exchange);
#endif
}

#endif
#endif
#endif

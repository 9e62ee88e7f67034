/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What the AMX matmul does to weights and activations before the tile unit sees them: blocks of 16
 * rows by 32 elements in BF16, either one row after the other (a first operand) or as 16 x 16 words of
 * two neighbouring elements, transposed (a second operand).
 */
#include <immintrin.h>
#include <string.h>

#include "kernels/matmul/matmul_internal.h"
#include "kernels/unroll.h"

enum { BLOCK = 32, GROUP = ASH_MATMUL_GROUP, BLOCK_WORDS = GROUP * GROUP };

/* Two vectors of floats to nearest even; denormals become 0. */
ASH_INLINE __m512i bf16_from(__m512 low, __m512 high)
{
    return (__m512i)_mm512_cvtne2ps_pbh(high, low);
}

ASH_INLINE __m512 floats_from_halves(const void *from)
{
    return _mm512_cvtph_ps(_mm256_loadu_si256(from));
}

/*
 * A row of a Q4 block has 16 values: these are rounded, and the nibbles look them up. A lookup takes the
 * lowest five bits of a word, so both halves of its table are the same.
 */
struct q4_tables {
    __m256i row[GROUP];
} __attribute__((aligned(64)));

ASH_INLINE void make_q4_tables(const bool minimum, const uint8_t *factors, struct q4_tables *out)
{
    const __m512 steps = _mm512_add_ps(_mm512_set1_ps(minimum ? 0 : -8),
        _mm512_setr_ps(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15));
    float d[GROUP], m[GROUP];
    _mm512_storeu_ps(d, floats_from_halves(factors));
    if (minimum)
        _mm512_storeu_ps(m, floats_from_halves(factors + 32));
    __asm__ volatile(""
                     : "+m"(d), "+m"(m)); /* broadcast from memory: shuffles are the bottleneck */
    ASH_UNROLL
    for (int r = 0; r < GROUP; r += 2) {
        __m512 low = _mm512_mul_ps(steps, _mm512_set1_ps(d[r]));
        __m512 high = _mm512_mul_ps(steps, _mm512_set1_ps(d[r + 1]));
        if (minimum) {
            low = _mm512_add_ps(low, _mm512_set1_ps(m[r]));
            high = _mm512_add_ps(high, _mm512_set1_ps(m[r + 1]));
        }
        _mm512_storeu_si512(&out->row[r], bf16_from(low, high));
    }
    __asm__ volatile("" : "+m"(*out));
}

ASH_INLINE void expand_q4(
    const bool minimum, const uint8_t *quants, const uint8_t *factors, __m512i out[GROUP])
{
    struct q4_tables tables;
    make_q4_tables(minimum, factors, &tables);
    ASH_UNROLL
    for (int i = 0; i < GROUP; i += 4) {
        __m512i q[4]; /* a byte further is a shift by 8: only the lowest bits of a word count */
        q[0] = _mm512_loadu_si512(quants + 16 * i);
        q[1] = _mm512_srli_epi16(q[0], 4);
        q[2] = _mm512_loadu_si512(quants + 16 * i + 1);
        q[3] = _mm512_srli_epi16(q[2], 4);
        ASH_UNROLL
        for (int j = 0; j < 4; j++)
            out[i + j] = _mm512_permutexvar_epi16(
                q[j], _mm512_broadcast_i64x4(_mm256_load_si256(&tables.row[i + j])));
    }
}

ASH_INLINE void expand_q8(const uint8_t *quants, const uint8_t *factors, __m512i out[GROUP])
{
    float d[GROUP];
    _mm512_storeu_ps(d, floats_from_halves(factors));
    __asm__ volatile("" : "+m"(d));
    ASH_UNROLL
    for (int r = 0; r < GROUP; r++) {
        const __m128i *half = (const __m128i *)(const void *)(quants + BLOCK * r);
        __m512 low = _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(half)));
        __m512 high = _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(half + 1)));
        out[r] = bf16_from(
            _mm512_mul_ps(low, _mm512_set1_ps(d[r])), _mm512_mul_ps(high, _mm512_set1_ps(d[r])));
    }
}

/* A group of weights: 16 rows in the layout of matmul_internal.h. */
struct group {
    const uint8_t *quants, *factors;
};

ASH_INLINE struct group group_at(const enum ash_type type, const uint8_t *at, int64_t blocks)
{
    return (struct group){ at, at + blocks * ash_matmul_rows_quant_bytes(type) };
}

/* One block of it as rows of BF16. */
ASH_INLINE void expand(
    const enum ash_type type, const struct group *group, int64_t block, __m512i out[GROUP])
{
    const uint8_t *quants = group->quants + block * ash_matmul_rows_quant_bytes(type);
    if (type == ASH_Q4_0)
        expand_q4(false, quants, group->factors + block * 32, out);
    else if (type == ASH_Q4_1)
        expand_q4(true, quants, group->factors + block * 64, out);
    else if (type == ASH_Q8_0)
        expand_q8(quants, group->factors + block * 32, out);
    else
        memcpy(out, quants, 64 * GROUP);
}

/* Words [4 column, 4 column + 4) of rows `row`, `row` + 4, + 8 and + 12. */
ASH_INLINE __m512i load_corner(const char *rows[GROUP], int row, int column)
{
    __m512i lanes = _mm512_castsi128_si512(
        _mm_loadu_si128((const __m128i *)(const void *)(rows[row] + 16 * column)));
    ASH_UNROLL
    for (int i = 1; i < 4; i++)
        lanes = _mm512_mask_broadcast_i32x4(lanes, (__mmask16)(15 << 4 * i),
            _mm_loadu_si128((const __m128i *)(const void *)(rows[row + 4 * i] + 16 * column)));
    return lanes;
}

/*
 * 16 rows of 16 words, transposed. Blocks of 4 by 4 words are loaded to where they go, which takes no
 * shuffle; shuffles turn them.
 */
ASH_INLINE void transpose(const char *rows[GROUP], uint32_t out[BLOCK_WORDS])
{
    ASH_UNROLL
    for (int column = 0; column < 4; column++) {
        __m512i a = load_corner(rows, 0, column), b = load_corner(rows, 1, column);
        __m512i c = load_corner(rows, 2, column), d = load_corner(rows, 3, column);
        __m512i ab_low = _mm512_unpacklo_epi32(a, b), ab_high = _mm512_unpackhi_epi32(a, b);
        __m512i cd_low = _mm512_unpacklo_epi32(c, d), cd_high = _mm512_unpackhi_epi32(c, d);
        uint32_t *to = out + 4 * GROUP * column;
        _mm512_storeu_si512(to, _mm512_unpacklo_epi64(ab_low, cd_low));
        _mm512_storeu_si512(to + GROUP, _mm512_unpackhi_epi64(ab_low, cd_low));
        _mm512_storeu_si512(to + 2 * GROUP, _mm512_unpacklo_epi64(ab_high, cd_high));
        _mm512_storeu_si512(to + 3 * GROUP, _mm512_unpackhi_epi64(ab_high, cd_high));
    }
}

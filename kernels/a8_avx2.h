/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "kernels/a8.h"

#include <float.h>
#include <immintrin.h>

/*
 * Writes block `block` of an A8 row from 32 floats in registers: the same bits as ash_from_float().
 * For operators that end in a row of activations (a norm, a gated product) and can write them
 * quantised at once. Compile with the flags of a *_avx2.c file.
 */
static inline void ash_a8_store_avx2(const __m256 x[4], struct ash_a8_row row, int64_t block)
{
    /* The maximum takes its second operand when the first is a NaN, as the definition does. */
    const __m256 sign = _mm256_set1_ps(-0.0F);
    __m256 most = _mm256_max_ps(_mm256_andnot_ps(sign, x[0]), _mm256_setzero_ps());
    for (int i = 1; i < 4; i++)
        most = _mm256_max_ps(_mm256_andnot_ps(sign, x[i]), most);
    __m128 half = _mm_max_ps(_mm256_castps256_ps128(most), _mm256_extractf128_ps(most, 1));
    half = _mm_max_ps(half, _mm_movehl_ps(half, half));
    float largest = _mm_cvtss_f32(_mm_max_ss(half, _mm_movehdup_ps(half)));
    float d = largest / 127.0F;
    d = d < FLT_MIN ? 0.0F : d;
    __m256 inverse = _mm256_set1_ps(d != 0.0F ? 1.0F / d : 0.0F);

    __m256i whole[4];
    for (int i = 0; i < 4; i++)
        whole[i] = _mm256_cvtps_epi32(_mm256_mul_ps(x[i], inverse));
    /* Packing works in 128-bit halves; the permutation puts the dwords back in order. */
    __m256i q = _mm256_packs_epi16(
        _mm256_packs_epi32(whole[0], whole[1]), _mm256_packs_epi32(whole[2], whole[3]));
    q = _mm256_permutevar8x32_epi32(q, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
    q = _mm256_max_epi8(q, _mm256_set1_epi8(-127)); /* -128 comes from a NaN only */
    _mm256_storeu_si256((__m256i *)(void *)(row.q + block * ASH_A8_BLOCK), q);

    /* Sums of eight bytes each, made unsigned by adding 128. */
    __m256i bytes = _mm256_xor_si256(q, _mm256_set1_epi8(-128));
    __m256i sums = _mm256_sad_epu8(bytes, _mm256_setzero_si256());
    __m128i sum = _mm_add_epi32(_mm256_castsi256_si128(sums), _mm256_extracti128_si256(sums, 1));
    sum = _mm_add_epi32(sum, _mm_unpackhi_epi64(sum, sum));
    row.scale[block] = d;
    row.sum[block] = _mm_cvtsi128_si32(sum) - 128 * ASH_A8_BLOCK;
}

/* A whole row of `columns` floats. */
static inline void ash_a8_store_row_avx2(const float *x, int64_t columns, struct ash_a8_row row)
{
    for (int64_t block = 0; block < columns / ASH_A8_BLOCK; block++, x += ASH_A8_BLOCK) {
        __m256 values[4];
        for (int i = 0; i < 4; i++)
            values[i] = _mm256_loadu_ps(x + 8 * i);
        ash_a8_store_avx2(values, row, block);
    }
}

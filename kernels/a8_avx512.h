/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "kernels/a8.h"

#include <float.h>
#include <immintrin.h>

/*
 * Writes block `block` of an A8 row from 32 floats in registers: the same bits as ash_from_float().
 * For operators that end in a row of activations (a norm, a gated product) and can write them
 * quantised at once. Compile with the flags of a *_avx512.c file.
 */
static inline void ash_a8_store_avx512(
    __m512 low, __m512 high, struct ash_a8_row row, int64_t block)
{
    /* The maximum takes its second operand when the first is a NaN, as the definition does. */
    __m512 most = _mm512_max_ps(_mm512_abs_ps(low), _mm512_setzero_ps());
    float largest = _mm512_reduce_max_ps(_mm512_max_ps(_mm512_abs_ps(high), most));
    float d = largest / 127.0F;
    d = d < FLT_MIN ? 0.0F : d;
    __m512 inverse = _mm512_set1_ps(d != 0.0F ? 1.0F / d : 0.0F);

    __m512i low_q = _mm512_cvtps_epi32(_mm512_mul_ps(low, inverse));
    __m512i high_q = _mm512_cvtps_epi32(_mm512_mul_ps(high, inverse));
    __m256i q = _mm256_set_m128i(_mm512_cvtsepi32_epi8(high_q), _mm512_cvtsepi32_epi8(low_q));
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
static inline void ash_a8_store_row_avx512(const float *x, int64_t columns, struct ash_a8_row row)
{
    for (int64_t block = 0; block < columns / ASH_A8_BLOCK; block++, x += ASH_A8_BLOCK)
        ash_a8_store_avx512(_mm512_loadu_ps(x), _mm512_loadu_ps(x + 16), row, block);
}

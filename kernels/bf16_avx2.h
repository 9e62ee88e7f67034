/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "kernels/math_avx2.h"

#include <string.h>

/* kernels/bf16_avx512.h in 256 bits: the first `count` (8 and more: all) lanes, the same bits. */
static inline void ash_bf16_store_avx2(uint16_t *to, int64_t count, __m256 value)
{
    __m256i bits = _mm256_castps_si256(value);
    __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
    __m256i rounded = _mm256_add_epi32(_mm256_add_epi32(bits, _mm256_set1_epi32(0x7fff)), odd);
    __m256i is_nan = _mm256_castps_si256(_mm256_cmp_ps(value, value, _CMP_UNORD_Q));
    __m256i quiet = _mm256_or_si256(bits, _mm256_set1_epi32(0x400000));
    rounded = _mm256_srli_epi32(_mm256_blendv_epi8(rounded, quiet, is_nan), 16);
    __m128i halves =
        _mm_packus_epi32(_mm256_castsi256_si128(rounded), _mm256_extracti128_si256(rounded, 1));
    if (count >= 8) {
        _mm_storeu_si128((__m128i *)(void *)to, halves);
        return;
    }
    uint16_t some[8];
    _mm_storeu_si128((__m128i *)(void *)some, halves);
    memcpy(to, some, (size_t)count * sizeof *to);
}

/* A whole row of `columns` floats. */
static inline void ash_bf16_store_row_avx2(const float *x, int64_t columns, uint16_t *to)
{
    for (int64_t c = 0; c < columns; c += 8)
        ash_bf16_store_avx2(to + c, columns - c, ash_load_avx2(x + c, columns - c));
}

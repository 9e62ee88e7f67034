/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "kernels/math_avx512.h"

/*
 * Writes the first `count` (16 and more: all) lanes as BF16: the same bits as ash_from_float(), on
 * machines without an instruction for it too, and with denormals, which that instruction drops. For
 * operators that end in a row of activations.
 */
static inline void ash_bf16_store_avx512(uint16_t *to, int64_t count, __m512 value)
{
    __m512i bits = _mm512_castps_si512(value);
    __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
    __m512i rounded = _mm512_add_epi32(_mm512_add_epi32(bits, _mm512_set1_epi32(0x7fff)), odd);
    __mmask16 is_nan = _mm512_cmp_ps_mask(value, value, _CMP_UNORD_Q);
    rounded = _mm512_mask_or_epi32(rounded, is_nan, bits, _mm512_set1_epi32(0x400000));
    __m256i halves = _mm512_cvtepi32_epi16(_mm512_srli_epi32(rounded, 16));
    _mm256_mask_storeu_epi16(to, ash_mask_avx512(count), halves);
}

/* A whole row of `columns` floats. */
static inline void ash_bf16_store_row_avx512(const float *x, int64_t columns, uint16_t *to)
{
    for (int64_t c = 0; c < columns; c += 16)
        ash_bf16_store_avx512(to + c, columns - c, ash_load_avx512(x + c, columns - c));
}

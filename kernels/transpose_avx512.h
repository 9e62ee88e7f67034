/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <immintrin.h>

/* 16 rows of 16 words become their columns: row[i] word j goes to row[j] word i. */
static inline __attribute__((always_inline)) void ash_transpose_avx512(__m512i row[16])
{
    __m512i pair[16], four[16]; /* within 128 bits: 2 x 2, then 4 x 4 words */
    for (int i = 0; i < 16; i += 2) {
        pair[i] = _mm512_unpacklo_epi32(row[i], row[i + 1]);
        pair[i + 1] = _mm512_unpackhi_epi32(row[i], row[i + 1]);
    }
    for (int i = 0; i < 16; i += 4) {
        four[i] = _mm512_unpacklo_epi64(pair[i], pair[i + 2]);
        four[i + 1] = _mm512_unpackhi_epi64(pair[i], pair[i + 2]);
        four[i + 2] = _mm512_unpacklo_epi64(pair[i + 1], pair[i + 3]);
        four[i + 3] = _mm512_unpackhi_epi64(pair[i + 1], pair[i + 3]);
    }
    for (int c = 0; c < 4;
         c++) { /* four[4 g + c] has columns c, 4 + c, 8 + c, 12 + c of rows 4 g .. */
        __m512i even = _mm512_shuffle_i32x4(four[c], four[4 + c], 0x88);
        __m512i odd = _mm512_shuffle_i32x4(four[c], four[4 + c], 0xdd);
        __m512i even_below = _mm512_shuffle_i32x4(four[8 + c], four[12 + c], 0x88);
        __m512i odd_below = _mm512_shuffle_i32x4(four[8 + c], four[12 + c], 0xdd);
        row[c] = _mm512_shuffle_i32x4(even, even_below, 0x88);
        row[8 + c] = _mm512_shuffle_i32x4(even, even_below, 0xdd);
        row[4 + c] = _mm512_shuffle_i32x4(odd, odd_below, 0x88);
        row[12 + c] = _mm512_shuffle_i32x4(odd, odd_below, 0xdd);
    }
}

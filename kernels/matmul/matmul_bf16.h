/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What the matmul in BF16 does to weights before the tile unit sees them: a block of 16 rows by 32 elements
 * becomes 16 vectors, each of two neighbouring elements of 16 rows, rounded to BF16.
 */
#include <immintrin.h>

#include "kernels/matmul/matmul_internal.h"
#include "kernels/unroll.h"

enum { BLOCK = 32, GROUP = ASH_MATMUL_GROUP, BLOCK_WORDS = GROUP * GROUP };

ASH_INLINE __m512 floats_from_halves(const void *from)
{
    return _mm512_cvtph_ps(_mm256_loadu_si256(from));
}

/* Words of one element of each operand: low halves and high ones. */
ASH_INLINE __m512i interleave(__m512i halves)
{
    const __m512i order = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9,
        24, 8, 23, 7, 22, 6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
    return _mm512_permutexvar_epi16(order, halves);
}

/* Pair `pair` of the block; to nearest even, denormals become 0. */
ASH_INLINE void store_pair(__m512 even, __m512 odd, int pair, uint32_t out[BLOCK_WORDS])
{
    __m512i halves = (__m512i)_mm512_cvtne2ps_pbh(odd, even);
    _mm512_storeu_si512(out + pair * GROUP, interleave(halves));
}

/* The nibbles from bit `shift` on, as numbers of their rows: a lookup takes the lowest four bits. */
ASH_INLINE __m512 nibbles(const bool minimum, __m512i quants, int shift, __m512 d, __m512 m)
{
    const __m512 from_0 = _mm512_setr_ps(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    const __m512 from_minus_8 =
        _mm512_setr_ps(-8, -7, -6, -5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5, 6, 7);
    __m512 q = _mm512_permutexvar_ps(
        _mm512_srli_epi32(quants, (unsigned)shift), minimum ? from_0 : from_minus_8);
    return minimum ? _mm512_fmadd_ps(q, d, m) : _mm512_mul_ps(q, d);
}

ASH_INLINE void expand_q4(
    const bool minimum, const uint8_t *quants, const uint8_t *factors, uint32_t out[BLOCK_WORDS])
{
    __m512 d = floats_from_halves(factors);
    __m512 m = minimum ? floats_from_halves(factors + 32) : d;
    ASH_UNROLL
    for (int j = 0; j < 4; j++) {
        __m512i q = _mm512_loadu_si512(quants + 64 * j);
        ASH_UNROLL
        for (int i = 0; i < 4; i++) { /* elements 4j, 4j + 2, 16 + 4j, 18 + 4j, and the next ones */
            int shift = i % 2 * 16 + i / 2 * 4;
            store_pair(nibbles(minimum, q, shift, d, m), nibbles(minimum, q, shift + 8, d, m),
                i / 2 * 8 + 2 * j + i % 2, out);
        }
    }
}

/* Byte `index` of every word as a number: 128 more than the quant was. */
ASH_INLINE __m512 bytes(__m512i quants, int index)
{
    __m512i low = _mm512_srli_epi32(quants, (unsigned)(8 * index));
    return _mm512_cvtepi32_ps(_mm512_and_si512(low, _mm512_set1_epi32(255)));
}

/* d * (q + 128) - 128 * d is exact: 11 bits by 8. */
ASH_INLINE void expand_q8(const uint8_t *quants, const uint8_t *factors, uint32_t out[BLOCK_WORDS])
{
    __m512 d = floats_from_halves(factors), m = _mm512_mul_ps(d, _mm512_set1_ps(-128));
    ASH_UNROLL
    for (int j = 0; j < 8; j++) {
        __m512i q = _mm512_loadu_si512(quants + 64 * j);
        ASH_UNROLL
        for (int i = 0; i < 2; i++)
            store_pair(_mm512_fmadd_ps(bytes(q, 2 * i), d, m),
                _mm512_fmadd_ps(bytes(q, 2 * i + 1), d, m), 2 * j + i, out);
    }
}

ASH_INLINE void expand_bf16(const uint8_t *weights, uint32_t out[BLOCK_WORDS])
{
    ASH_UNROLL
    for (int pair = 0; pair < BLOCK / 2; pair++)
        _mm512_storeu_si512(
            out + pair * GROUP, interleave(_mm512_loadu_si512(weights + 64 * pair)));
}

/* Block `block` of a group of 16 rows, which has `blocks` of them. */
ASH_INLINE void expand(const enum ash_type type, const uint8_t *group, int64_t blocks,
    int64_t block, uint32_t out[BLOCK_WORDS])
{
    const uint8_t *quants = group + block * ash_matmul_quant_bytes(type);
    const uint8_t *factors = group + blocks * ash_matmul_quant_bytes(type);
    if (type == ASH_Q4_0)
        expand_q4(false, quants, factors + block * 32, out);
    else if (type == ASH_Q4_1)
        expand_q4(true, quants, factors + block * 64, out);
    else if (type == ASH_Q8_0)
        expand_q8(quants, factors + block * 32, out);
    else
        expand_bf16(group + block * 2 * BLOCK * GROUP, out);
}

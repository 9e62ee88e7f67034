/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <immintrin.h>
#include <stdint.h>

/*
 * Vector arithmetic that kernels share; kernels/math_avx512.h is the same in 512 bits, to the bit.
 * Of our own and not libm's, so that results do not change with the C library.
 */

/* The first `count` (0..8) lanes set, for loads and stores at a row's end. */
static inline __m256i ash_mask_avx2(int64_t count)
{
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)count), lane);
}

/* The first `count` values at x, and zeros. A `count` of 8 and more loads all. */
static inline __m256 ash_load_avx2(const float *x, int64_t count)
{
    return count >= 8  ? _mm256_loadu_ps(x)
           : count > 0 ? _mm256_maskload_ps(x, ash_mask_avx2(count))
                       : _mm256_setzero_ps();
}

static inline void ash_store_avx2(float *x, int64_t count, __m256 value)
{
    if (count >= 8)
        _mm256_storeu_ps(x, value);
    else if (count > 0)
        _mm256_maskstore_ps(x, ash_mask_avx2(count), value);
}

/* The sum of 8 lanes, halves first. */
static inline float ash_sum_avx2(__m256 x)
{
    __m128 half = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    half = _mm_add_ps(half, _mm_movehl_ps(half, half));
    return _mm_cvtss_f32(_mm_add_ss(half, _mm_movehdup_ps(half)));
}

static inline float ash_max_avx2(__m256 x)
{
    __m128 half = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    half = _mm_max_ps(half, _mm_movehl_ps(half, half));
    return _mm_cvtss_f32(_mm_max_ss(half, _mm_movehdup_ps(half)));
}

/*
 * e^x within 2 units in the last place; 0 below -87.33 (the result would be denormal), infinity above
 * 88.72, exactly 1 at 0; a NaN stays one. x = n ln 2 + r with |r| <= ln 2 / 2 (Cody and Waite 1980,
 * the two-part ln 2 of Cephes' expf), and the Taylor polynomial of degree 7 in r, whose remainder is
 * below 2^-27.
 */
static inline __m256 ash_exp_avx2(__m256 x)
{
    const __m256 lowest = _mm256_set1_ps(-87.33F), highest = _mm256_set1_ps(88.722839F);
    __m256 cut = _mm256_min_ps(highest, _mm256_max_ps(lowest, x)); /* a NaN goes through */
    __m256 n = _mm256_round_ps(_mm256_mul_ps(cut, _mm256_set1_ps(1.44269504F)),
        _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    __m256 r = _mm256_fnmadd_ps(n, _mm256_set1_ps(0.693359375F), cut);
    r = _mm256_fnmadd_ps(n, _mm256_set1_ps(-2.12194440e-4F), r);
    __m256 p = _mm256_set1_ps(1.0F / 5040);
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0F / 720));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0F / 120));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0F / 24));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0F / 6));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(0.5F));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0F));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0F));
    /* Times 2^n in two steps: n = 128 has no float of its own. */
    __m256i whole = _mm256_cvtps_epi32(n), half = _mm256_srai_epi32(whole, 1);
    __m256i rest = _mm256_sub_epi32(whole, half), bias = _mm256_set1_epi32(127);
    __m256i first = _mm256_slli_epi32(_mm256_add_epi32(half, bias), 23);
    __m256i second = _mm256_slli_epi32(_mm256_add_epi32(rest, bias), 23);
    p = _mm256_mul_ps(p, _mm256_castsi256_ps(first));
    p = _mm256_mul_ps(p, _mm256_castsi256_ps(second));
    p = _mm256_andnot_ps(_mm256_cmp_ps(x, lowest, _CMP_LT_OQ), p);
    return _mm256_blendv_ps(
        p, _mm256_set1_ps(__builtin_inff()), _mm256_cmp_ps(x, highest, _CMP_GT_OQ));
}

/* 1 / (1 + e^-x) */
static inline __m256 ash_sigmoid_avx2(__m256 x)
{
    const __m256 one = _mm256_set1_ps(1.0F);
    __m256 e = ash_exp_avx2(_mm256_xor_ps(x, _mm256_set1_ps(-0.0F)));
    return _mm256_div_ps(one, _mm256_add_ps(one, e));
}

/* tanh x = 2 / (1 + e^-2x) - 1; absolute error below 2^-22. */
static inline __m256 ash_tanh_avx2(__m256 x)
{
    __m256 s = ash_sigmoid_avx2(_mm256_add_ps(x, x));
    return _mm256_fmsub_ps(_mm256_set1_ps(2.0F), s, _mm256_set1_ps(1.0F));
}

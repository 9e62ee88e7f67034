/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <immintrin.h>
#include <stdint.h>

/* kernels/math_avx2.h in 512 bits: the same steps, the same bits. */

/* The first `count` (0..16 and more) lanes. */
static inline __mmask16 ash_mask_avx512(int64_t count)
{
    return count >= 16 ? 0xffff : (__mmask16)((1U << (count > 0 ? count : 0)) - 1);
}

/* The first `count` values at x, and zeros. A `count` of 16 and more loads all. */
static inline __m512 ash_load_avx512(const float *x, int64_t count)
{
    return _mm512_maskz_loadu_ps(ash_mask_avx512(count), x);
}

static inline void ash_store_avx512(float *x, int64_t count, __m512 value)
{
    _mm512_mask_storeu_ps(x, ash_mask_avx512(count), value);
}

static inline __m256 ash_upper_avx512(__m512 x)
{
    return _mm512_extractf32x8_ps(x, 1);
}

/* The sum of 16 lanes, halves first. */
static inline float ash_sum_avx512(__m512 x)
{
    __m256 eight = _mm256_add_ps(_mm512_castps512_ps256(x), ash_upper_avx512(x));
    __m128 half = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    half = _mm_add_ps(half, _mm_movehl_ps(half, half));
    return _mm_cvtss_f32(_mm_add_ss(half, _mm_movehdup_ps(half)));
}

static inline float ash_max_avx512(__m512 x)
{
    __m256 eight = _mm256_max_ps(_mm512_castps512_ps256(x), ash_upper_avx512(x));
    __m128 half = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    half = _mm_max_ps(half, _mm_movehl_ps(half, half));
    return _mm_cvtss_f32(_mm_max_ss(half, _mm_movehdup_ps(half)));
}

/* e^x: see ash_exp_avx2(). */
static inline __m512 ash_exp_avx512(__m512 x)
{
    const __m512 lowest = _mm512_set1_ps(-87.33F), highest = _mm512_set1_ps(88.722839F);
    __m512 cut = _mm512_min_ps(highest, _mm512_max_ps(lowest, x)); /* a NaN goes through */
    __m512 n = _mm512_roundscale_ps(_mm512_mul_ps(cut, _mm512_set1_ps(1.44269504F)),
        _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    __m512 r = _mm512_fnmadd_ps(n, _mm512_set1_ps(0.693359375F), cut);
    r = _mm512_fnmadd_ps(n, _mm512_set1_ps(-2.12194440e-4F), r);
    __m512 p = _mm512_set1_ps(1.0F / 5040);
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0F / 720));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0F / 120));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0F / 24));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0F / 6));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(0.5F));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0F));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0F));
    p = _mm512_scalef_ps(p, n); /* exact here: the result is a normal number */
    p = _mm512_mask_mov_ps(p, _mm512_cmp_ps_mask(x, lowest, _CMP_LT_OQ), _mm512_setzero_ps());
    return _mm512_mask_mov_ps(
        p, _mm512_cmp_ps_mask(x, highest, _CMP_GT_OQ), _mm512_set1_ps(__builtin_inff()));
}

/* 1 / (1 + e^-x) */
static inline __m512 ash_sigmoid_avx512(__m512 x)
{
    const __m512 one = _mm512_set1_ps(1.0F);
    __m512 e = ash_exp_avx512(_mm512_xor_ps(x, _mm512_set1_ps(-0.0F)));
    return _mm512_div_ps(one, _mm512_add_ps(one, e));
}

/* tanh x = 2 / (1 + e^-2x) - 1; absolute error below 2^-22. */
static inline __m512 ash_tanh_avx512(__m512 x)
{
    __m512 s = ash_sigmoid_avx512(_mm512_add_ps(x, x));
    return _mm512_fmsub_ps(_mm512_set1_ps(2.0F), s, _mm512_set1_ps(1.0F));
}

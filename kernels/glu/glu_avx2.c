/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/a8_avx2.h"
#include "kernels/bf16_avx2.h"
#include "kernels/glu/glu_internal.h"
#include "kernels/math_avx2.h"

/* x sigmoid(2 sqrt(2 / pi) (x + 0.044715 x^3)): the same as with tanh, and exact far from 0. */
static inline __m256 gelu(__m256 x)
{
    const __m256 outer = _mm256_set1_ps(1.5957691216F), inner = _mm256_set1_ps(0.044715F);
    __m256 cubed = _mm256_mul_ps(_mm256_mul_ps(x, x), x);
    return _mm256_mul_ps(
        x, ash_sigmoid_avx2(_mm256_mul_ps(outer, _mm256_fmadd_ps(inner, cubed, x))));
}

/*
 * x - x / 2 erfc(x / sqrt 2) for x > 0, and the mirror image of it below: with erfc of a positive
 * number as t P(t) e^-z^2, t = 1 / (1 + p z), error below 1.5e-7 (Abramowitz and Stegun 7.1.26).
 */
static inline __m256 gelu_erf(__m256 x)
{
    const __m256 one = _mm256_set1_ps(1.0F), zero = _mm256_setzero_ps();
    __m256 positive = _mm256_max_ps(zero, x);
    __m256 z =
        _mm256_mul_ps(_mm256_andnot_ps(_mm256_set1_ps(-0.0F), x), _mm256_set1_ps(0.70710678F));
    __m256 t = _mm256_div_ps(one, _mm256_fmadd_ps(z, _mm256_set1_ps(0.3275911F), one));
    __m256 p = _mm256_set1_ps(1.061405429F);
    p = _mm256_fmadd_ps(p, t, _mm256_set1_ps(-1.453152027F));
    p = _mm256_fmadd_ps(p, t, _mm256_set1_ps(1.421413741F));
    p = _mm256_fmadd_ps(p, t, _mm256_set1_ps(-0.284496736F));
    p = _mm256_fmadd_ps(p, t, _mm256_set1_ps(0.254829592F));
    __m256 tail = ash_exp_avx2(_mm256_sub_ps(zero, _mm256_mul_ps(z, z)));
    __m256 erfc = _mm256_mul_ps(_mm256_mul_ps(p, t), tail);
    __m256 half = _mm256_mul_ps(z, _mm256_set1_ps(0.70710678F)); /* |x| / 2 */
    return _mm256_fnmadd_ps(half, erfc, positive);
}

static inline __m256 activate(__m256 x, enum ash_activation activation)
{
    if (activation == ASH_GELU)
        return gelu(x);
    if (activation == ASH_GELU_ERF)
        return gelu_erf(x);
    return _mm256_mul_ps(x, ash_sigmoid_avx2(x));
}

static inline __m256 gated(
    const float *gate, const float *up, int64_t left, enum ash_activation activation)
{
    return _mm256_mul_ps(activate(ash_load_avx2(gate, left), activation), ash_load_avx2(up, left));
}

static inline void write_row(
    const float *gate, const float *up, int64_t columns, enum ash_activation activation, float *out)
{
    for (int64_t c = 0; c < columns; c += 8)
        ash_store_avx2(out + c, columns - c, gated(gate + c, up + c, columns - c, activation));
}

static inline void write_row_bf16(const float *gate, const float *up, int64_t columns,
    enum ash_activation activation, uint16_t *out)
{
    for (int64_t c = 0; c < columns; c += 8)
        ash_bf16_store_avx2(out + c, columns - c, gated(gate + c, up + c, columns - c, activation));
}

static inline void write_row_a8(const float *gate, const float *up, int64_t columns,
    enum ash_activation activation, struct ash_a8_row out)
{
    for (int64_t block = 0; block < columns / 32; block++) {
        __m256 values[4];
        for (int i = 0; i < 4; i++) {
            int64_t c = 32 * block + 8 * i;
            values[i] = gated(gate + c, up + c, 8, activation);
        }
        ash_a8_store_avx2(values, out, block);
    }
}

#define GLU ash_glu_avx2
#include "kernels/glu/glu_rows.inc"

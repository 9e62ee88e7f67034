/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/a8_avx512.h"
#include "kernels/bf16_avx512.h"
#include "kernels/glu/glu_internal.h"
#include "kernels/math_avx512.h"

/* x sigmoid(2 sqrt(2 / pi) (x + 0.044715 x^3)): the same as with tanh, and exact far from 0. */
static inline __m512 gelu(__m512 x)
{
    const __m512 outer = _mm512_set1_ps(1.5957691216F), inner = _mm512_set1_ps(0.044715F);
    __m512 cubed = _mm512_mul_ps(_mm512_mul_ps(x, x), x);
    return _mm512_mul_ps(
        x, ash_sigmoid_avx512(_mm512_mul_ps(outer, _mm512_fmadd_ps(inner, cubed, x))));
}

/*
 * x - x / 2 erfc(x / sqrt 2) for x > 0, and the mirror image of it below: with erfc of a positive
 * number as t P(t) e^-z^2, t = 1 / (1 + p z), error below 1.5e-7 (Abramowitz and Stegun 7.1.26).
 */
static inline __m512 gelu_erf(__m512 x)
{
    const __m512 one = _mm512_set1_ps(1.0F), zero = _mm512_setzero_ps();
    __m512 positive = _mm512_max_ps(zero, x);
    __m512 z = _mm512_mul_ps(_mm512_abs_ps(x), _mm512_set1_ps(0.70710678F));
    __m512 t = _mm512_div_ps(one, _mm512_fmadd_ps(z, _mm512_set1_ps(0.3275911F), one));
    __m512 p = _mm512_set1_ps(1.061405429F);
    p = _mm512_fmadd_ps(p, t, _mm512_set1_ps(-1.453152027F));
    p = _mm512_fmadd_ps(p, t, _mm512_set1_ps(1.421413741F));
    p = _mm512_fmadd_ps(p, t, _mm512_set1_ps(-0.284496736F));
    p = _mm512_fmadd_ps(p, t, _mm512_set1_ps(0.254829592F));
    __m512 tail = ash_exp_avx512(_mm512_sub_ps(zero, _mm512_mul_ps(z, z)));
    __m512 erfc = _mm512_mul_ps(_mm512_mul_ps(p, t), tail);
    __m512 half = _mm512_mul_ps(z, _mm512_set1_ps(0.70710678F)); /* |x| / 2 */
    return _mm512_fnmadd_ps(half, erfc, positive);
}

static inline __m512 activate(__m512 x, enum ash_activation activation)
{
    if (activation == ASH_GELU)
        return gelu(x);
    if (activation == ASH_GELU_ERF)
        return gelu_erf(x);
    return _mm512_mul_ps(x, ash_sigmoid_avx512(x));
}

static inline __m512 gated(
    const float *gate, const float *up, int64_t left, enum ash_activation activation)
{
    return _mm512_mul_ps(
        activate(ash_load_avx512(gate, left), activation), ash_load_avx512(up, left));
}

static inline void write_row(
    const float *gate, const float *up, int64_t columns, enum ash_activation activation, float *out)
{
    for (int64_t c = 0; c < columns; c += 16)
        ash_store_avx512(out + c, columns - c, gated(gate + c, up + c, columns - c, activation));
}

static inline void write_row_bf16(const float *gate, const float *up, int64_t columns,
    enum ash_activation activation, uint16_t *out)
{
    for (int64_t c = 0; c < columns; c += 16)
        ash_bf16_store_avx512(
            out + c, columns - c, gated(gate + c, up + c, columns - c, activation));
}

static inline void write_row_a8(const float *gate, const float *up, int64_t columns,
    enum ash_activation activation, struct ash_a8_row out)
{
    for (int64_t block = 0; block < columns / 32; block++) {
        int64_t c = 32 * block;
        __m512 low = gated(gate + c, up + c, 16, activation);
        __m512 high = gated(gate + c + 16, up + c + 16, 16, activation);
        ash_a8_store_avx512(low, high, out, block);
    }
}

#define GLU ash_glu_avx512
#include "kernels/glu/glu_rows.inc"

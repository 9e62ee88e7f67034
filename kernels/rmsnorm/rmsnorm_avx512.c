/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/a8_avx512.h"
#include "kernels/bf16_avx512.h"
#include "kernels/math_avx512.h"
#include "kernels/rmsnorm/rmsnorm_internal.h"

#include <math.h>

static float row_scale(const float *x, int64_t columns, float eps)
{
    __m512 low = _mm512_setzero_ps(), high = _mm512_setzero_ps();
    int64_t c = 0;
    for (; c + 32 <= columns; c += 32) {
        __m512 a = _mm512_loadu_ps(x + c), b = _mm512_loadu_ps(x + c + 16);
        low = _mm512_fmadd_ps(a, a, low);
        high = _mm512_fmadd_ps(b, b, high);
    }
    __m512 a = ash_load_avx512(x + c, columns - c);
    __m512 b = ash_load_avx512(x + c + 16, columns - c - 16);
    low = _mm512_fmadd_ps(a, a, low);
    high = _mm512_fmadd_ps(b, b, high);
    return 1.0F / sqrtf(ash_sum_avx512(_mm512_add_ps(low, high)) / (float)columns + eps);
}

static inline __m512 normed(__m512 x, __m512 scale, __m512 weight)
{
    return _mm512_mul_ps(_mm512_mul_ps(x, scale), weight);
}

/* To F32 or BF16. */
static inline void write_plain(const float *x, const float *weight, __m512 scale, int64_t columns,
    enum ash_type type, void *out)
{
    for (int64_t c = 0; c < columns; c += 16) {
        int64_t left = columns - c;
        __m512 value =
            normed(ash_load_avx512(x + c, left), scale, ash_load_avx512(weight + c, left));
        if (type == ASH_BF16)
            ash_bf16_store_avx512((uint16_t *)out + c, left, value);
        else
            ash_store_avx512((float *)out + c, left, value);
    }
}

static void write_a8(
    const float *x, const float *weight, __m512 scale, int64_t columns, struct ash_a8_row out)
{
    for (int64_t block = 0; block < columns / 32; block++) {
        const float *from = x + 32 * block, *by = weight + 32 * block;
        __m512 low = normed(_mm512_loadu_ps(from), scale, _mm512_loadu_ps(by));
        __m512 high = normed(_mm512_loadu_ps(from + 16), scale, _mm512_loadu_ps(by + 16));
        ash_a8_store_avx512(low, high, out, block);
    }
}

void ash_rmsnorm_avx512(const struct ash_args *args, int64_t first_row, int64_t last_row)
{
    const struct ash_rmsnorm_params *params = args->params;
    const float *weight = args->in[1].data;
    int64_t columns = ash_tensor_columns(&args->in[0]);
    for (int64_t row = first_row; row < last_row; row++) {
        const float *x = (const float *)args->in[0].data + row * columns;
        __m512 scale = _mm512_set1_ps(row_scale(x, columns, params->eps));
        if (args->out.type == ASH_A8)
            write_a8(x, weight, scale, columns, ash_a8_row(args->out.data, columns, row));
        else if (args->out.type == ASH_BF16)
            write_plain(
                x, weight, scale, columns, ASH_BF16, (uint16_t *)args->out.data + row * columns);
        else
            write_plain(
                x, weight, scale, columns, ASH_F32, (float *)args->out.data + row * columns);
    }
}

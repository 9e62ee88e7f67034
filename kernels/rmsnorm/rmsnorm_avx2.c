/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/a8_avx2.h"
#include "kernels/bf16_avx2.h"
#include "kernels/math_avx2.h"
#include "kernels/rmsnorm/rmsnorm_internal.h"

#include <math.h>

/* Sums in 32 lanes, so that wider vectors can add in the same order. */
static float row_scale(const float *x, int64_t columns, float eps)
{
    __m256 lanes[4] = { _mm256_setzero_ps(), _mm256_setzero_ps(), _mm256_setzero_ps(),
        _mm256_setzero_ps() };
    int64_t c = 0;
    for (; c + 32 <= columns; c += 32)
        for (int i = 0; i < 4; i++) {
            __m256 value = _mm256_loadu_ps(x + c + 8 * i);
            lanes[i] = _mm256_fmadd_ps(value, value, lanes[i]);
        }
    for (int i = 0; c + 8 * i < columns; i++) {
        __m256 value = ash_load_avx2(x + c + 8 * i, columns - c - 8 * i);
        lanes[i] = _mm256_fmadd_ps(value, value, lanes[i]);
    }
    __m256 sum =
        _mm256_add_ps(_mm256_add_ps(lanes[0], lanes[2]), _mm256_add_ps(lanes[1], lanes[3]));
    return 1.0F / sqrtf(ash_sum_avx2(sum) / (float)columns + eps);
}

static inline __m256 normed(__m256 x, __m256 scale, __m256 weight)
{
    return _mm256_mul_ps(_mm256_mul_ps(x, scale), weight);
}

static void write_f32(
    const float *x, const float *weight, __m256 scale, int64_t columns, float *out)
{
    int64_t c = 0;
    for (; c + 8 <= columns; c += 8)
        _mm256_storeu_ps(
            out + c, normed(_mm256_loadu_ps(x + c), scale, _mm256_loadu_ps(weight + c)));
    __m256 last = ash_load_avx2(x + c, columns - c);
    ash_store_avx2(
        out + c, columns - c, normed(last, scale, ash_load_avx2(weight + c, columns - c)));
}

static void write_bf16(
    const float *x, const float *weight, __m256 scale, int64_t columns, uint16_t *out)
{
    for (int64_t c = 0; c < columns; c += 8) {
        int64_t left = columns - c;
        __m256 value = normed(ash_load_avx2(x + c, left), scale, ash_load_avx2(weight + c, left));
        ash_bf16_store_avx2(out + c, left, value);
    }
}

static void write_a8(
    const float *x, const float *weight, __m256 scale, int64_t columns, struct ash_a8_row out)
{
    for (int64_t block = 0; block < columns / 32; block++) {
        __m256 values[4];
        for (int i = 0; i < 4; i++) {
            int64_t c = 32 * block + 8 * i;
            values[i] = normed(_mm256_loadu_ps(x + c), scale, _mm256_loadu_ps(weight + c));
        }
        ash_a8_store_avx2(values, out, block);
    }
}

void ash_rmsnorm_avx2(const struct ash_args *args, int64_t first_row, int64_t last_row)
{
    const struct ash_rmsnorm_params *params = args->params;
    const float *weight = args->in[1].data;
    int64_t columns = ash_tensor_columns(&args->in[0]);
    for (int64_t row = first_row; row < last_row; row++) {
        const float *x = (const float *)args->in[0].data + row * columns;
        __m256 scale = _mm256_set1_ps(row_scale(x, columns, params->eps));
        if (args->out.type == ASH_A8)
            write_a8(x, weight, scale, columns, ash_a8_row(args->out.data, columns, row));
        else if (args->out.type == ASH_BF16)
            write_bf16(x, weight, scale, columns, (uint16_t *)args->out.data + row * columns);
        else
            write_f32(x, weight, scale, columns, (float *)args->out.data + row * columns);
    }
}

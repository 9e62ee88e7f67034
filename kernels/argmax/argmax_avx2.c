/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/argmax/argmax_internal.h"

#include <immintrin.h>

/* The largest so far of eight lanes, and where each was first seen. */
struct lanes {
    __m256 most;
    __m256i id;
};

static inline struct lanes better(struct lanes lanes, __m256 x, __m256i id)
{
    __m256 greater = _mm256_cmp_ps(x, lanes.most, _CMP_GT_OQ); /* never true of a NaN */
    lanes.most = _mm256_blendv_ps(lanes.most, x, greater);
    lanes.id = _mm256_blendv_epi8(lanes.id, id, _mm256_castps_si256(greater));
    return lanes;
}

static int32_t best_of(const float *x, int64_t columns)
{
    const __m256i step = _mm256_set1_epi32(8);
    __m256i id = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    struct lanes lanes = { _mm256_set1_ps(-__builtin_inff()), _mm256_setzero_si256() };
    int64_t v = 0;
    for (; v + 8 <= columns; v += 8, id = _mm256_add_epi32(id, step))
        lanes = better(lanes, _mm256_loadu_ps(x + v), id);
    float most[8], best_value = -__builtin_inff();
    int32_t ids[8], best = 0;
    _mm256_storeu_ps(most, lanes.most);
    _mm256_storeu_si256((__m256i *)(void *)ids, lanes.id);
    for (int i = 0; i < 8; i++)
        if (most[i] > best_value || (most[i] == best_value && ids[i] < best)) {
            best_value = most[i];
            best = ids[i];
        }
    for (; v < columns; v++)
        if (x[v] > best_value) {
            best_value = x[v];
            best = (int32_t)v;
        }
    return best;
}

void ash_argmax_avx2(const struct ash_args *args, int64_t first_row, int64_t last_row)
{
    int64_t columns = args->in[0].dim[1];
    for (int64_t row = first_row; row < last_row; row++)
        ((int32_t *)args->out.data)[row] =
            best_of((const float *)args->in[0].data + row * columns, columns);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/argmax/argmax_internal.h"
#include "kernels/math_avx512.h"

static int32_t best_of(const float *x, int64_t columns)
{
    const __m512i step = _mm512_set1_epi32(16);
    __m512i id = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    __m512i best = _mm512_setzero_si512(); /* where each lane's largest was first seen */
    __m512 most = _mm512_set1_ps(-__builtin_inff());
    for (int64_t v = 0; v < columns; v += 16, id = _mm512_add_epi32(id, step)) {
        __mmask16 there = ash_mask_avx512(columns - v);
        __m512 value = _mm512_maskz_loadu_ps(there, x + v);
        /* Never true of a NaN. */
        __mmask16 greater = _mm512_mask_cmp_ps_mask(there, value, most, _CMP_GT_OQ);
        most = _mm512_mask_mov_ps(most, greater, value);
        best = _mm512_mask_mov_epi32(best, greater, id);
    }
    __m512 largest = _mm512_set1_ps(ash_max_avx512(most));
    return _mm512_mask_reduce_min_epi32(_mm512_cmp_ps_mask(most, largest, _CMP_EQ_OQ), best);
}

void ash_argmax_avx512(const struct ash_args *args, int64_t first_row, int64_t last_row)
{
    int64_t columns = args->in[0].dim[1];
    for (int64_t row = first_row; row < last_row; row++)
        ((int32_t *)args->out.data)[row] =
            best_of((const float *)args->in[0].data + row * columns, columns);
}

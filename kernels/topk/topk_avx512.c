/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/math_avx512.h"
#include "kernels/topk/topk_internal.h"

/* Most vectors hold nothing that is better than the least of the heap: those are passed over at once. */
static void scan(const float *x, int64_t columns, struct ash_topk_heap *heap)
{
    int64_t v = 0;
    for (; v < heap->k; v++)
        ash_topk_offer(heap, x[v], (int32_t)v);
    for (; v < columns; v += 16) {
        __m512 least = _mm512_set1_ps(heap->value[0]);
        __mmask16 there = ash_mask_avx512(columns - v);
        unsigned better =
            _mm512_mask_cmp_ps_mask(there, _mm512_maskz_loadu_ps(there, x + v), least, _CMP_GT_OQ);
        for (; better; better &= better - 1) {
            int64_t at = v + __builtin_ctz(better);
            ash_topk_offer(heap, x[at], (int32_t)at);
        }
    }
}

void ash_topk_avx512(const struct ash_args *args, int64_t first_row, int64_t last_row)
{
    int64_t columns = args->in[0].dim[1], k = args->out.dim[1];
    for (int64_t row = first_row; row < last_row; row++) {
        struct ash_topk_heap heap = { .k = (int)k, .id = (int32_t *)args->out.data + row * k };
        scan((const float *)args->in[0].data + row * columns, columns, &heap);
        ash_topk_sort(&heap);
    }
}

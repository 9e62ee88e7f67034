/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/topk/topk_internal.h"

#include <immintrin.h>

/* Most vectors hold nothing that is better than the least of the heap: those are passed over at once. */
static void scan(const float *x, int64_t columns, struct ash_topk_heap *heap)
{
    int64_t v = 0;
    for (; v < heap->k; v++)
        ash_topk_offer(heap, x[v], (int32_t)v);
    for (; v + 8 <= columns; v += 8) {
        __m256 least = _mm256_set1_ps(heap->value[0]);
        int better = _mm256_movemask_ps(_mm256_cmp_ps(_mm256_loadu_ps(x + v), least, _CMP_GT_OQ));
        for (; better; better &= better - 1) {
            int64_t at = v + __builtin_ctz((unsigned)better);
            ash_topk_offer(heap, x[at], (int32_t)at);
        }
    }
    for (; v < columns; v++)
        ash_topk_offer(heap, x[v], (int32_t)v);
}

void ash_topk_avx2(const struct ash_args *args, int64_t first_row, int64_t last_row)
{
    int64_t columns = args->in[0].dim[1], k = args->out.dim[1];
    for (int64_t row = first_row; row < last_row; row++) {
        struct ash_topk_heap heap = { .k = (int)k, .id = (int32_t *)args->out.data + row * k };
        scan((const float *)args->in[0].data + row * columns, columns, &heap);
        ash_topk_sort(&heap);
    }
}

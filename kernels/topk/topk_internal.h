/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "kernels/topk/topk.h"

/* The best so far of a row: a binary heap whose root is the one that would go first. */
struct ash_topk_heap {
    int k, count;
    float value[ASH_TOPK_MAX];
    int32_t *id; /* (k), the row of the output */
};

/* Takes the value of the next id, if it is among the best; ids come in ascending order. */
void ash_topk_offer(struct ash_topk_heap *heap, float value, int32_t id);

/* Puts the full heap's ids in order, the best first. */
void ash_topk_sort(struct ash_topk_heap *heap);

void ash_topk_ref(const struct ash_args *args);
void ash_topk_avx2(const struct ash_args *args, int64_t first_row, int64_t last_row);
void ash_topk_avx512(const struct ash_args *args, int64_t first_row, int64_t last_row);

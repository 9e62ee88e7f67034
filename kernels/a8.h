/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "runtime/tensor.h"

/*
 * Where things lie in a row of A8, the activations of an integer matmul (runtime/tensor.h defines
 * them). Rows follow each other without padding; a row is 8-byte aligned if the tensor is.
 * Vector code that makes blocks: kernels/a8_avx2.h, kernels/a8_avx512.h.
 */
enum { ASH_A8_BLOCK = 32 };

/* One row to write, and one to read. `block` b of it is q[32 b ..], scale[b], sum[b]. */
struct ash_a8_row {
    int8_t *q;    /* (K) */
    float *scale; /* (K / 32) */
    int32_t *sum; /* (K / 32) */
};
struct ash_a8_view {
    const int8_t *q;
    const float *scale;
    const int32_t *sum;
};

static inline int64_t ash_a8_row_bytes(int64_t columns)
{
    return columns + columns / ASH_A8_BLOCK * 8;
}

/* Row `row` of a tensor at `data` with `columns` elements a row. */
static inline struct ash_a8_row ash_a8_row(void *data, int64_t columns, int64_t row)
{
    char *base = (char *)data + row * ash_a8_row_bytes(columns);
    return (struct ash_a8_row){
        .q = (int8_t *)base,
        .scale = (float *)(void *)(base + columns),
        .sum = (int32_t *)(void *)(base + columns + columns / ASH_A8_BLOCK * 4),
    };
}

static inline struct ash_a8_view ash_a8_view(const void *data, int64_t columns, int64_t row)
{
    const char *base = (const char *)data + row * ash_a8_row_bytes(columns);
    return (struct ash_a8_view){
        .q = (const int8_t *)base,
        .scale = (const float *)(const void *)(base + columns),
        .sum = (const int32_t *)(const void *)(base + columns + columns / ASH_A8_BLOCK * 4),
    };
}

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "kernels/add/add.h"

/* How far b moves from one row to the next: 0 where it is one row for all. */
static inline int64_t ash_add_stride(const struct ash_args *args)
{
    const struct ash_tensor *a = &args->in[0], *b = &args->in[1];
    return b->rank == a->rank ? ash_tensor_columns(a) : 0;
}

void ash_add_ref(const struct ash_args *args);
void ash_add_avx2(const struct ash_args *args, int64_t first_row, int64_t last_row);
void ash_add_avx512(const struct ash_args *args, int64_t first_row, int64_t last_row);

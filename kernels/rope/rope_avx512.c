/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/rope/rope_internal.h"
#include "kernels/rope/rope_rows.h"

void ash_rope_avx512(const struct ash_args *args, int64_t first_row, int64_t last_row)
{
    rope_rows(args, first_row, last_row);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/kv_write/kv_write_internal.h"
#include "kernels/kv_write/kv_write_rows.h"

void ash_kv_write_avx512(const struct ash_args *args, int64_t first_row, int64_t last_row)
{
    kv_write_rows(args, first_row, last_row);
}

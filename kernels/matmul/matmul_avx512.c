/* SPDX-License-Identifier: Apache-2.0 */
/* F32, F16 and BF16 weights with AVX-512: one multiply-add for each of 16 rows. */
#include "kernels/matmul/matmul_zmm.inc"

#define BIG_VECTORS 2
#define BIG_TOKENS  8
#include "kernels/matmul/matmul_float.inc"

void ash_matmul_avx512_float(const struct ash_args *args, int64_t first_row, int64_t last_row)
{
    run_float(args, first_row, last_row);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The integer matmul with AVX-VNNI: one dot product of four bytes for each of 8 rows. */
#include "kernels/matmul/matmul_ymm.inc"

#define TOKENS      4
#define START(type) ((type) == ASH_Q8_0 ? -128 : -8)

ASH_INLINE void load_block(const enum ash_type type, const uint8_t *quants, integers w[8])
{
    if (type != ASH_Q8_0) {
        load_nibbles(quants, w);
        return;
    }
    ASH_UNROLL
    for (int i = 0; i < 8; i++)
        w[i] = load_quants(quants + 64 * i);
}

ASH_INLINE integers dot_block(
    const enum ash_type type, const integers w[8], const int8_t *q, int32_t start)
{
    (void)type;
    integers sum = _mm256_set1_epi32(start);
    ASH_UNROLL
    for (int i = 0; i < 8; i++)
        sum = _mm256_dpbusd_avx_epi32(sum, w[i], broadcast_four(q, i));
    return sum;
}

#include "kernels/matmul/matmul_tile.inc"

void ash_matmul_avxvnni(const struct ash_args *args, int64_t first_row, int64_t last_row)
{
    run_tiles(args, first_row, last_row);
}

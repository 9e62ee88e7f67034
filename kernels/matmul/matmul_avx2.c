/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The integer matmul without VNNI, by vpmaddubsw, whose sums of two products saturate at 16 bits:
 *   Q4_x  15 * 127 * 2 = 3,810, and eight of those, a whole block, 30,480: no widening within a block.
 *   Q8_0  |w| <= 128 by x with the sign of w: 128 * 127 * 2 = 32,512 fits; widened after each.
 * A8 never holds -128, and |-128| as an unsigned byte is 128: both are exact.
 */
#include "kernels/matmul/matmul_ymm.inc"

#define TOKENS      4
#define START(type) ((type) == ASH_Q8_0 ? 0 : -8)

ASH_INLINE void load_block(const enum ash_type type, const uint8_t *quants, integers w[8])
{
    if (type != ASH_Q8_0) {
        load_nibbles(quants, w);
        return;
    }
    ASH_UNROLL
    for (int i = 0; i < 8; i++) /* signed again: the layout adds 128 */
        w[i] = _mm256_xor_si256(load_quants(quants + 64 * i), _mm256_set1_epi8(-128));
}

ASH_INLINE integers dot_signed(const integers w[8], const int8_t *q)
{
    const __m256i ones = _mm256_set1_epi16(1);
    integers sum = _mm256_setzero_si256();
    ASH_UNROLL
    for (int i = 0; i < 8; i++) {
        __m256i x = _mm256_sign_epi8(broadcast_four(q, i), w[i]);
        __m256i pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(w[i]), x);
        sum = _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, ones));
    }
    return sum;
}

ASH_INLINE integers dot_nibbles(const integers w[8], const int8_t *q)
{
    integers sum = _mm256_maddubs_epi16(w[0], broadcast_four(q, 0));
    ASH_UNROLL
    for (int i = 1; i < 8; i++)
        sum = _mm256_add_epi16(sum, _mm256_maddubs_epi16(w[i], broadcast_four(q, i)));
    return _mm256_madd_epi16(sum, _mm256_set1_epi16(1));
}

ASH_INLINE integers dot_block(
    const enum ash_type type, const integers w[8], const int8_t *q, int32_t start)
{
    integers sum = type == ASH_Q8_0 ? dot_signed(w, q) : dot_nibbles(w, q);
    return _mm256_add_epi32(sum, _mm256_set1_epi32(start));
}

#include "kernels/matmul/matmul_tile.inc"

void ash_matmul_avx2(const struct ash_args *args, int64_t first_row, int64_t last_row)
{
    run_tiles(args, first_row, last_row);
}

#define BIG_VECTORS 2
#define BIG_TOKENS  4
#include "kernels/matmul/matmul_float.inc"

void ash_matmul_avx2_float(const struct ash_args *args, int64_t first_row, int64_t last_row)
{
    run_float(args, first_row, last_row);
}

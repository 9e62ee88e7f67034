/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/kv_write/kv_write_internal.h"
#include "kernels/kv_write/kv_write_rows.h"

#include <immintrin.h>

/* One position at a time. Halves are made by F16C, which rounds as ash_f16_from_float() does. */
static inline __m128i halves(const float *row)
{
    const __m256 most = _mm256_set1_ps(65504.0F), least = _mm256_set1_ps(-65504.0F);
    __m256 cut = _mm256_min_ps(most, _mm256_max_ps(least, _mm256_loadu_ps(row))); /* a NaN stays */
    return _mm256_cvtps_ph(cut, _MM_FROUND_TO_NEAREST_INT);
}

static void scatter_halves(const float *row, int64_t size, uint16_t *tile, int position)
{
    for (int64_t d = 0; d < size; d += 8) {
        uint16_t half[8];
        _mm_storeu_si128((__m128i *)(void *)half, halves(row + d));
        for (int i = 0; i < 8; i++)
            tile[(d + i) * ASH_PAGE_POSITIONS + position] = half[i];
    }
}

static void store_halves(const float *row, int64_t size, uint16_t *tile, int position)
{
    for (int64_t d = 0; d < size; d += 8)
        _mm_storeu_si128((__m128i *)(void *)(tile + position * size + d), halves(row + d));
}

static void put_position(enum ash_kv_side side, const struct ash_tensor *cache, void *tile,
    int position, const float *row)
{
    int64_t size = cache->dim[3];
    if (cache->type == ASH_F16 && side == ASH_KV_KEYS)
        scatter_halves(row, size, tile, position);
    else if (cache->type == ASH_F16)
        store_halves(row, size, tile, position);
    else if (cache->type == ASH_Q8_0)
        for (int64_t d = 0; d < size; d += 32)
            ash_kv_write_block(
                side, (unsigned char *)tile + d / 32 * ASH_KV_BLOCK_BYTES, position, row + d);
    else
        ash_kv_write(side, cache, tile, position, row);
}

static void put(
    enum ash_kv_side side, const struct ash_tensor *cache, void *tile, const struct kv_run *run)
{
    for (int i = 0; i < run->count; i++)
        put_position(side, cache, tile, run->at + i, run->row + i * run->stride);
}

void ash_kv_write_avx2(const struct ash_args *args, int64_t first_row, int64_t last_row)
{
    kv_write_rows(args, first_row, last_row, put);
}

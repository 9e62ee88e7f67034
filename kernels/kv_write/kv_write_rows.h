/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "kernels/kv_cache.h"
#include "kernels/kv_write/kv_write.h"
#include "kernels/rope/angles.h"

#include <immintrin.h>

/*
 * The kernel. What matters is where the bytes go, one position of a page at a time; each file of an
 * instruction set compiles it for its own. Halves are made by F16C, which rounds as
 * ash_f16_from_float() does.
 */
static inline __m256 kv_cut(__m256 x)
{
    const __m256 most = _mm256_set1_ps(65504.0F), least = _mm256_set1_ps(-65504.0F);
    return _mm256_min_ps(most, _mm256_max_ps(least, x)); /* a NaN stays */
}

static inline __m128i kv_halves(const float *row)
{
    return _mm256_cvtps_ph(kv_cut(_mm256_loadu_ps(row)), _MM_FROUND_TO_NEAREST_INT);
}

static inline void kv_scatter_halves(const float *row, int64_t size, uint16_t *tile, int position)
{
    for (int64_t d = 0; d < size; d += 8) {
        uint16_t half[8];
        _mm_storeu_si128((__m128i *)(void *)half, kv_halves(row + d));
        for (int i = 0; i < 8; i++)
            tile[(d + i) * ASH_PAGE_POSITIONS + position] = half[i];
    }
}

static inline void kv_store_halves(const float *row, int64_t size, uint16_t *tile, int position)
{
    for (int64_t d = 0; d < size; d += 8)
        _mm_storeu_si128((__m128i *)(void *)(tile + position * size + d), kv_halves(row + d));
}

static inline void kv_put(enum ash_kv_side side, const struct ash_tensor *cache, void *tile,
    int position, const float *row)
{
    int64_t size = cache->dim[3];
    if (cache->type == ASH_F16 && side == ASH_KV_KEYS)
        kv_scatter_halves(row, size, tile, position);
    else if (cache->type == ASH_F16)
        kv_store_halves(row, size, tile, position);
    else if (cache->type == ASH_Q8_0)
        for (int64_t d = 0; d < size; d += 32)
            ash_kv_write_block(
                side, (unsigned char *)tile + d / 32 * ASH_KV_BLOCK_BYTES, position, row + d);
    else
        ash_kv_write(side, cache, tile, position, row);
}

static inline void kv_write_token(
    const struct ash_args *args, const struct ash_rope_table *table, int64_t token)
{
    const struct ash_kv_write_params *params = args->params;
    const struct ash_tensor *kcache = &args->in[2], *vcache = &args->in[3];
    const struct ash_span *span = &args->batch->span[args->batch->token_span[token]];
    int32_t position = ash_batch_position(args->batch, token);
    int32_t page = span->page[position / ASH_PAGE_POSITIONS];
    int at = position % ASH_PAGE_POSITIONS;
    int64_t heads = kcache->dim[1], size = kcache->dim[3];
    for (int64_t h = 0; h < heads; h++) {
        const float *v = (const float *)args->in[1].data + (token * heads + h) * size;
        float key[ASH_KV_MAX_HEAD_SIZE];
        memcpy(key, (const float *)args->in[0].data + (token * heads + h) * size,
            (size_t)size * sizeof *key);
        ash_rope_turn(table, params->rope.mode, key);
        kv_put(ASH_KV_KEYS, kcache, ash_kv_tile(kcache, page, h), at, key);
        kv_put(ASH_KV_VALUES, vcache, ash_kv_tile(vcache, page, h), at, v);
    }
}

static inline void kv_write_rows(const struct ash_args *args, int64_t first_row, int64_t last_row)
{
    const struct ash_kv_write_params *params = args->params;
    struct ash_rope_table table;
    ash_rope_frequencies(&params->rope, args->in[4].rank > 0 ? args->in[4].data : NULL, &table);
    for (int64_t token = first_row; token < last_row; token++) {
        ash_rope_angles(&table, ash_batch_position(args->batch, token));
        kv_write_token(args, &table, token);
    }
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/kv_cache.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

enum { P = ASH_PAGE_POSITIONS };

enum ash_status ash_kv_check(const struct ash_tensor *cache, const char *name)
{
    char text[96];
    ash_tensor_describe(cache, text, sizeof text);
    if (cache->type != ASH_F32 && cache->type != ASH_F16 && cache->type != ASH_BF16 &&
        cache->type != ASH_Q8_0)
        return ash_fail(ASH_ERR_SHAPE, "the %s must be F32, F16, BF16 or Q8_0, is %s", name, text);
    if (cache->rank != 4 || cache->dim[2] != P)
        return ash_fail(
            ASH_ERR_SHAPE, "the %s must be (pages, heads, %d, head size), is %s", name, P, text);
    if (cache->dim[3] > ASH_KV_MAX_HEAD_SIZE ||
        cache->dim[3] % ash_type_info(cache->type)->block_elements != 0)
        return ash_fail(ASH_ERR_SHAPE, "the %s has heads of up to %d in whole blocks, is %s", name,
            ASH_KV_MAX_HEAD_SIZE, text);
    return ASH_OK;
}

/* Where channel d of a position is in a plain tile. */
static int64_t element(
    enum ash_kv_side side, const struct ash_tensor *cache, int position, int64_t d)
{
    bool by_channel = (side == ASH_KV_KEYS) == (cache->type != ASH_BF16);
    return by_channel ? d * P + position : position * cache->dim[3] + d;
}

void ash_kv_write(enum ash_kv_side side, const struct ash_tensor *cache, void *tile, int position,
    const float *row)
{
    int64_t size = cache->dim[3];
    unsigned char *to = tile;
    if (cache->type == ASH_Q8_0) {
        for (int64_t d = 0; d < size; d += 32)
            ash_kv_write_block(side, to + d / 32 * ASH_KV_BLOCK_BYTES, position, row + d);
        return;
    }
    for (int64_t d = 0; d < size; d++) {
        int64_t at = element(side, cache, position, d);
        if (cache->type == ASH_F32) {
            memcpy(to + 4 * at, row + d, sizeof *row);
            continue;
        }
        uint16_t half = cache->type == ASH_F16 ? ash_kv_half(row[d]) : ash_kv_bfloat(row[d]);
        memcpy(to + 2 * at, &half, sizeof half);
    }
}

static void read_block(
    enum ash_kv_side side, const unsigned char *block, int position, float row[32])
{
    uint16_t scale;
    memcpy(&scale, block + 32 * P + 2 * position, sizeof scale);
    for (int d = 0; d < 32; d++)
        row[d] = ash_f16_to_float(scale) * (float)(int8_t)block[ash_kv_quant(side, position, d)];
}

void ash_kv_read(enum ash_kv_side side, const struct ash_tensor *cache, const void *tile,
    int position, float *row)
{
    int64_t size = cache->dim[3];
    const unsigned char *from = tile;
    if (cache->type == ASH_Q8_0) {
        for (int64_t d = 0; d < size; d += 32)
            read_block(side, from + d / 32 * ASH_KV_BLOCK_BYTES, position, row + d);
        return;
    }
    for (int64_t d = 0; d < size; d++) {
        int64_t at = element(side, cache, position, d);
        uint16_t half;
        if (cache->type == ASH_F32) {
            memcpy(row + d, from + 4 * at, sizeof *row);
            continue;
        }
        memcpy(&half, from + 2 * at, sizeof half);
        row[d] = cache->type == ASH_F16 ? ash_f16_to_float(half) : ash_bf16_to_float(half);
    }
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/kv_cache.h"

#include <math.h>
#include <string.h>

enum { P = ASH_PAGE_POSITIONS };

enum ash_status ash_kv_check(const struct ash_tensor *cache, const char *name)
{
    char text[96];
    ash_tensor_describe(cache, text, sizeof text);
    if (cache->type != ASH_F32 && cache->type != ASH_F16 && cache->type != ASH_Q8_0)
        return ash_fail(ASH_ERR_SHAPE, "the %s must be F32, F16 or Q8_0, is %s", name, text);
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
static int64_t element(enum ash_kv_side side, int64_t size, int position, int64_t d)
{
    return side == ASH_KV_KEYS ? d * P + position : position * size + d;
}

/* Where channel d (of 32) of a position is in a block of Q8_0. */
static int64_t quant(enum ash_kv_side side, int position, int64_t d)
{
    return side == ASH_KV_KEYS ? d * P + position : position * 32 + d;
}

static uint16_t f16_cut(float value)
{
    const float most = 65504;
    return ash_f16_from_float(value > most ? most : value < -most ? -most : value);
}

static void write_block(
    enum ash_kv_side side, unsigned char *block, int position, const float row[32])
{
    float largest = 0;
    for (int d = 0; d < 32; d++)
        largest = fabsf(row[d]) > largest ? fabsf(row[d]) : largest;
    uint16_t scale = f16_cut(largest / 127.0F);
    float d16 = ash_f16_to_float(scale), inverse = d16 > 0 ? 1.0F / d16 : 0.0F;
    for (int d = 0; d < 32; d++) {
        float q = rintf(row[d] * inverse);
        q = q > -127.0F ? q : -127.0F; /* also a NaN */
        q = q < 127.0F ? q : 127.0F;
        block[quant(side, position, d)] = (unsigned char)(int8_t)q;
    }
    memcpy(block + 32 * P + 2 * position, &scale, sizeof scale);
}

void ash_kv_write(enum ash_kv_side side, const struct ash_tensor *cache, void *tile, int position,
    const float *row)
{
    int64_t size = cache->dim[3];
    unsigned char *to = tile;
    if (cache->type == ASH_Q8_0) {
        for (int64_t d = 0; d < size; d += 32)
            write_block(side, to + d / 32 * ASH_KV_BLOCK_BYTES, position, row + d);
        return;
    }
    for (int64_t d = 0; d < size; d++) {
        uint16_t half = f16_cut(row[d]);
        if (cache->type == ASH_F16)
            memcpy(to + 2 * element(side, size, position, d), &half, sizeof half);
        else
            memcpy(to + 4 * element(side, size, position, d), row + d, sizeof *row);
    }
}

static void read_block(
    enum ash_kv_side side, const unsigned char *block, int position, float row[32])
{
    uint16_t scale;
    memcpy(&scale, block + 32 * P + 2 * position, sizeof scale);
    for (int d = 0; d < 32; d++)
        row[d] = ash_f16_to_float(scale) * (float)(int8_t)block[quant(side, position, d)];
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
        uint16_t half;
        if (cache->type == ASH_F32) {
            memcpy(row + d, from + 4 * element(side, size, position, d), sizeof *row);
            continue;
        }
        memcpy(&half, from + 2 * element(side, size, position, d), sizeof half);
        row[d] = ash_f16_to_float(half);
    }
}

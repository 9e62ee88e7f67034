/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "runtime/batch.h"
#include "runtime/tensor.h"

#include <math.h>
#include <string.h>

/*
 * The bytes of the paged KV cache, as all CPU kernels write and read them.
 *
 * A cache is a state of dims (pages, Hkv, ASH_PAGE_POSITIONS, D) in F32, F16, BF16 or Q8_0. A *tile* is one
 * page of one head, 32 positions by D; tiles follow each other as the dims say. Inside,
 *
 *   F32, F16  keys   [D][32]   a channel's 32 positions side by side: the scores of a page come from
 *                              broadcast multiply-adds, with no sum across a vector
 *             values [32][D]   a position's channels side by side
 *   BF16      the other way round, as AMX reads them (kernels/attention/attention_amx.c):
 *             keys   [32][D]   rows of a tile are positions
 *             values [D][32]   rows of a tile are channels
 *   Q8_0      D / 32 blocks, each of 32 channels:
 *             keys   int8 q[32 channels][32 positions], f16 d[32 positions]
 *             values int8 q[32 positions][32 channels], f16 d[32 positions]
 *             One scale for 32 channels of one position, so that positions can be written one by
 *             one; as many bytes as 32 blocks of Q8_0.
 *
 * Numbers beyond F16 or BF16 are cut to its largest (no infinity comes out of a finite number). A cache that
 * was never written is zero.
 */
enum { ASH_KV_BLOCK_BYTES = 32 * ASH_PAGE_POSITIONS + 2 * ASH_PAGE_POSITIONS };

enum ash_kv_side { ASH_KV_KEYS, ASH_KV_VALUES };

/* The largest D that kernels must take. */
enum { ASH_KV_MAX_HEAD_SIZE = 512 };

static inline size_t ash_kv_tile_bytes(const struct ash_tensor *cache)
{
    return ASH_PAGE_POSITIONS * ash_tensor_row_bytes(cache);
}

/* The tile of `head` in `page`. */
static inline void *ash_kv_tile(const struct ash_tensor *cache, int64_t page, int64_t head)
{
    return (char *)cache->data + (size_t)(page * cache->dim[1] + head) * ash_kv_tile_bytes(cache);
}

/* Rank 4, a type above, 32 positions a page, and a head size of up to ASH_KV_MAX_HEAD_SIZE.
 * `name` is what the message calls it. */
enum ash_status ash_kv_check(const struct ash_tensor *cache, const char *name);

/* One position of a tile to and from D floats: plain C, the definition of the layout. */
void ash_kv_write(enum ash_kv_side side, const struct ash_tensor *cache, void *tile, int position,
    const float *row);
void ash_kv_read(enum ash_kv_side side, const struct ash_tensor *cache, const void *tile,
    int position, float *row);

/* Where channel d (of 32) of a position is in a block of Q8_0. */
static inline int64_t ash_kv_quant(enum ash_kv_side side, int position, int64_t d)
{
    return side == ASH_KV_KEYS ? d * ASH_PAGE_POSITIONS + position : position * 32 + d;
}

/* To F16, cut to its largest. */
static inline uint16_t ash_kv_half(float value)
{
    const float most = 65504;
    return ash_f16_from_float(value > most ? most : value < -most ? -most : value);
}

/* To BF16, cut to its largest. */
static inline uint16_t ash_kv_bfloat(float value)
{
    const float most = 0x1.fep127F;
    return ash_bf16_from_float(value > most ? most : value < -most ? -most : value);
}

/* One position of one block of Q8_0; inline, as kernels compile it for their instruction set. */
static inline void ash_kv_write_block(
    enum ash_kv_side side, unsigned char *block, int position, const float row[32])
{
    float largest = 0;
    for (int d = 0; d < 32; d++)
        largest = fabsf(row[d]) > largest ? fabsf(row[d]) : largest;
    uint16_t scale = ash_kv_half(largest / 127.0F);
    float d16 = ash_f16_to_float(scale), inverse = d16 > 0 ? 1.0F / d16 : 0.0F;
    for (int d = 0; d < 32; d++) {
        float q = rintf(row[d] * inverse);
        q = q > -127.0F ? q : -127.0F; /* also a NaN */
        q = q < 127.0F ? q : 127.0F;
        block[ash_kv_quant(side, position, d)] = (unsigned char)(int8_t)q;
    }
    memcpy(block + 32 * ASH_PAGE_POSITIONS + 2 * position, &scale, sizeof scale);
}

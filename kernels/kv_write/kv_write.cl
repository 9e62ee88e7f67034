/* SPDX-License-Identifier: Apache-2.0 */
#ifndef __OPENCL_VERSION__
#include "kernels/device_cache.h"
#endif

#define MOST_CHANNELS 512

/* One block of Q8_0, one position: channels [first, first + 32) of `row`. */
DEV void put_block(GLOBAL u8 *tile, IN_LOCAL const f32 *row, i32 first, i32 position, i32 is_key)
{
    GLOBAL u8 *block = tile + (i64)(first / 32) * CACHE_BLOCK_BYTES;
    f32 largest = 0;
    for (i32 d = 0; d < 32; d++) {
        f32 size = row[first + d] < 0 ? -row[first + d] : row[first + d];
        largest = size > largest ? size : largest;
    }
    u32 scale = float_to_half(largest / 127.0f);
    f32 d16 = half_to_float(scale), inverse = d16 > 0 ? 1.0f / d16 : 0.0f;
    for (i32 d = 0; d < 32; d++) {
        f32 q = RINT(row[first + d] * inverse);
        q = q > -127.0f ? q : -127.0f; /* also a NaN */
        q = q < 127.0f ? q : 127.0f;
        block[is_key ? d * PAGE_POSITIONS + position : position * 32 + d] = (u8)(i8)(i32)q;
    }
    ((GLOBAL u16 *)(GLOBAL void *)(block + 1024))[position] = (u16)scale;
}

DEV void put_channel(GLOBAL u8 *tile, i32 element, f32 value)
{
#if CACHE == CACHE_F32
    ((GLOBAL f32 *)(GLOBAL void *)tile)[element] = value;
#else
    ((GLOBAL u16 *)(GLOBAL void *)tile)[element] = (u16)float_to_half(value);
#endif
}

/* A group a token and head: the key is turned on its way; in[4] is RoPE's table, as rope.cl has it. */
KERNEL(kv_write)
{
    LOCAL f32 key[MOST_CHANNELS], value[MOST_CHANNELS];
    i32 token = GID / a.kv_heads, head = GID % a.kv_heads, size = a.head_size;
    i32 position = BATCH_POSITION(token), page = BATCH_PAGES(token)[position / PAGE_POSITIONS];
    i64 tile = ((i64)page * a.kv_heads + head) * cache_tile_bytes(size);
    GLOBAL const f32 *k = IN(f32, 0) + (i64)GID * size, *v = IN(f32, 1) + (i64)GID * size;
    GLOBAL u8 *keys = UPDATED(u8, 2) + tile, *values = UPDATED(u8, 3) + tile;
    position %= PAGE_POSITIONS;
    for (i32 d = LID; d < size; d += DEVICE_GROUP) {
        key[d] = k[d];
        value[d] = v[d];
    }
    BARRIER();
    for (i32 pair = LID; pair < a.pairs; pair += DEVICE_GROUP) {
        i32 first = a.mode ? pair : 2 * pair, second = first + (a.mode ? a.pairs : 1);
        f32 cosine, sine, p = key[first], q = key[second];
        device_turn(IN(u64, 4)[pair] * (u64)BATCH_POSITION(token), &cosine, &sine);
        key[first] = p * cosine - q * sine;
        key[second] = p * sine + q * cosine;
    }
    BARRIER();
#if CACHE == CACHE_Q8_0
    for (i32 block = LID; block < 2 * (size / 32); block += DEVICE_GROUP) {
        i32 is_key = block < size / 32, first = (is_key ? block : block - size / 32) * 32;
        put_block(is_key ? keys : values, is_key ? key : value, first, position, is_key);
    }
#else
    for (i32 d = LID; d < size; d += DEVICE_GROUP) {
        put_channel(keys, d * PAGE_POSITIONS + position, key[d]);
        put_channel(values, position * size + d, value[d]);
    }
#endif
}

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ASH_KERNELS_DEVICE_CACHE_H
#define ASH_KERNELS_DEVICE_CACHE_H

#ifndef __OPENCL_VERSION__
#include "kernels/device_math.h"
#endif

/*
 * The paged cache on a device: the bytes of kernels/kv_cache.h, which suit it as they are. 32
 * neighbouring items read 32 positions of a key's channel, or 32 channels of a position's value.
 * CACHE is its type for a whole program, one of enum ash_type's numbers.
 */
#define PAGE_POSITIONS    32
#define CACHE_BLOCK_BYTES 1088 /* of Q8_0: 32 channels of 32 positions, and 32 scales */

#ifdef CACHE

/* Bytes of one page of one head. */
DEV i64 cache_tile_bytes(i32 size)
{
#if CACHE == CACHE_Q8_0
    return (i64)(size / 32) * CACHE_BLOCK_BYTES;
#else
    return (i64)size * PAGE_POSITIONS * (CACHE == CACHE_F32 ? 4 : 2);
#endif
}

DEV f32 cache_element(GLOBAL const u8 *tile, i32 element)
{
#if CACHE == CACHE_F32
    return ((GLOBAL const f32 *)(GLOBAL const void *)tile)[element];
#else
    return LOAD_HALF(tile, element);
#endif
}

/* Channel d of a position's key, and of its value. */
DEV f32 cache_key(GLOBAL const u8 *tile, i32 position, i32 d)
{
#if CACHE == CACHE_Q8_0
    GLOBAL const u8 *block = tile + (i64)(d / 32) * CACHE_BLOCK_BYTES;
    return LOAD_HALF(block + 1024, position) * (f32)(i8)block[d % 32 * PAGE_POSITIONS + position];
#else
    return cache_element(tile, d * PAGE_POSITIONS + position);
#endif
}

DEV f32 cache_value(GLOBAL const u8 *tile, i32 size, i32 position, i32 d)
{
#if CACHE == CACHE_Q8_0
    GLOBAL const u8 *block = tile + (i64)(d / 32) * CACHE_BLOCK_BYTES;
    (void)size;
    return LOAD_HALF(block + 1024, position) * (f32)(i8)block[position * 32 + d % 32];
#else
    return cache_element(tile, position * size + d);
#endif
}

#endif
#endif

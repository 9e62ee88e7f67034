/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/*
 * FNV-1a (Fowler, Noll, Vo), 64 bits: for names of files, checksums against accidents and seeds; not
 * against malice. `hash` is what came before, ASH_HASH_BEGIN at first.
 */
#define ASH_HASH_BEGIN UINT64_C(0xcbf29ce484222325)

static inline uint64_t ash_hash(uint64_t hash, const void *bytes, size_t length)
{
    const unsigned char *at = bytes;
    for (size_t i = 0; i < length; i++)
        hash = (hash ^ at[i]) * UINT64_C(0x100000001b3);
    return hash;
}

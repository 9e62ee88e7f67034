/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* A small file in the making, for tests that need every byte of it wrong in just one way. */
struct bytes {
    _Alignas(8) uint8_t data[8192];
    size_t count;
};

static inline void bytes_put(struct bytes *bytes, const void *from, size_t size_bytes)
{
    assert(size_bytes <= sizeof bytes->data - bytes->count);
    memcpy(bytes->data + bytes->count, from, size_bytes);
    bytes->count += size_bytes;
}

static inline void bytes_u8(struct bytes *bytes, unsigned value)
{
    uint8_t byte = (uint8_t)value;
    bytes_put(bytes, &byte, sizeof byte);
}

static inline void bytes_u32(struct bytes *bytes, uint32_t value)
{
    bytes_put(bytes, &value, sizeof value);
}

static inline void bytes_u64(struct bytes *bytes, uint64_t value)
{
    bytes_put(bytes, &value, sizeof value);
}

static inline void bytes_zeros(struct bytes *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++)
        bytes_u8(bytes, 0);
}

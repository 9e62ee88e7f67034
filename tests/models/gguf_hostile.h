/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "runtime/status.h"
#include "tests/support/bytes.h"

/*
 * GGUF files that attack their reader: one for each way in which a published reader was broken, and for
 * each rule of the format. gguf_hostile.c says what must become of them.
 */
struct hostile_case {
    const char *name; /* with the published finding that it repeats, where there is one */
    void (*build)(struct bytes *);
    enum ash_status expect;
    const char *says; /* what the message must mention */
};

/* Ended by a NULL name. */
extern const struct hostile_case hostile_values[], hostile_tensors[];

/* The format's numbers, and its pieces in the file's order. */
enum { U8, I8, U16, I16, U32, I32, F32, BOOL, STRING, ARRAY, U64, I64, F64 };
enum { GGML_F32 = 0, GGML_Q4_0 = 2, GGML_Q4_2_WITHDRAWN = 4, GGML_Q6_K = 14 };

static const uint64_t HUGE_COUNT = 1ULL << 63, ALL_ONES = UINT64_MAX;

static inline void header(struct bytes *b, uint64_t tensors, uint64_t values)
{
    bytes_put(b, "GGUF", 4);
    bytes_u32(b, 3);
    bytes_u64(b, tensors);
    bytes_u64(b, values);
}

static inline void text(struct bytes *b, const char *string)
{
    bytes_u64(b, strlen(string));
    bytes_put(b, string, strlen(string));
}

static inline void key(struct bytes *b, const char *name, uint32_t type)
{
    text(b, name);
    bytes_u32(b, type);
}

static inline void array(struct bytes *b, const char *name, uint32_t type, uint64_t count)
{
    key(b, name, ARRAY);
    bytes_u32(b, type);
    bytes_u64(b, count);
}

static inline void u32_value(struct bytes *b, const char *name, uint32_t value)
{
    key(b, name, U32);
    bytes_u32(b, value);
}

/* Dimensions as in the file, innermost first; `rank` of them. */
static inline void tensor(struct bytes *b, const char *name, uint32_t rank, const uint64_t dim[],
    uint32_t type, uint64_t offset)
{
    text(b, name);
    bytes_u32(b, rank);
    for (uint32_t i = 0; i < rank; i++)
        bytes_u64(b, dim[i]);
    bytes_u32(b, type);
    bytes_u64(b, offset);
}

#define DIMS(...)                                                                                  \
    sizeof((uint64_t[]){ __VA_ARGS__ }) / sizeof(uint64_t), (uint64_t[])                           \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }

/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/kv_write/kv_write.h"

#include "tests/support/kv_layout.h"

#define ROPE(...)                                                                                  \
    .params = &(const struct ash_kv_write_params)                                                  \
    {                                                                                              \
        {                                                                                          \
            __VA_ARGS__                                                                            \
        }                                                                                          \
    }
#define CACHE .layout = &ash_kv_layout_write

const struct ash_case ash_cases_kv_write[] = {
    { "one token", { { T, 8 }, { T, 8 }, { 1, 1, 32, 8 }, { 1, 1, 32, 8 } },
        ROPE(1, 8, 8, 1e4F, 1, ASH_ROPE_HALF), .batch = { { 0, 1 } }, CACHE },
    { "F32, spans across pages",
        { { T, 3 * 64 }, { T, 3 * 64 }, { 12, 3, 32, 64 }, { 12, 3, 32, 64 } },
        ROPE(3, 64, 64, 1e4F, 1, ASH_ROPE_INTERLEAVED),
        .batch = { { 0, 40 }, { 31, 2 }, { 100, 1 }, { 64, 5 } }, CACHE },
    { "F16, spans across pages",
        { { T, 3 * 64 }, { T, 3 * 64 }, { 12, 3, 32, 64 }, { 12, 3, 32, 64 } },
        { 0, 0, ASH_F16, ASH_F16 }, ROPE(3, 64, 64, 1e4F, 1, ASH_ROPE_INTERLEAVED),
        .batch = { { 0, 40 }, { 31, 2 }, { 100, 1 }, { 64, 5 } }, CACHE },
    { "BF16, spans across pages",
        { { T, 3 * 64 }, { T, 3 * 64 }, { 12, 3, 32, 64 }, { 12, 3, 32, 64 } },
        { 0, 0, ASH_BF16, ASH_BF16 }, ROPE(3, 64, 64, 1e4F, 1, ASH_ROPE_INTERLEAVED),
        .batch = { { 0, 40 }, { 31, 2 }, { 100, 1 }, { 64, 5 } }, CACHE },
    { "BF16, half a vector to a head",
        { { T, 2 * 24 }, { T, 2 * 24 }, { 12, 2, 32, 24 }, { 12, 2, 32, 24 } },
        { 0, 0, ASH_BF16, ASH_BF16 }, ROPE(2, 24, 24, 1e4F, 1, ASH_ROPE_HALF),
        .batch = { { 0, 40 }, { 31, 2 }, { 100, 1 }, { 64, 5 } }, CACHE },
    { "F16, half a vector to a head",
        { { T, 2 * 24 }, { T, 2 * 24 }, { 12, 2, 32, 24 }, { 12, 2, 32, 24 } },
        { 0, 0, ASH_F16, ASH_F16 }, ROPE(2, 24, 24, 1e4F, 1, ASH_ROPE_HALF),
        .batch = { { 0, 40 }, { 31, 2 }, { 100, 1 }, { 64, 5 } }, CACHE },
    { "Q8_0, spans across pages",
        { { T, 3 * 64 }, { T, 3 * 64 }, { 12, 3, 32, 64 }, { 12, 3, 32, 64 } },
        { 0, 0, ASH_Q8_0, ASH_Q8_0 }, ROPE(3, 64, 64, 1e4F, 1, ASH_ROPE_INTERLEAVED),
        .batch = { { 0, 40 }, { 31, 2 }, { 100, 1 }, { 64, 5 } }, CACHE },
    { "keys that stay", { { T, 2 * 40 }, { T, 2 * 40 }, { 3, 2, 32, 40 }, { 3, 2, 32, 40 } },
        { 0, 0, ASH_F16, ASH_F16 }, ROPE(2, 40, 0), .batch = { { 0, 3 }, { 40, 1 } }, CACHE },
    { "part of a head, factors",
        { { T, 2 * 80 }, { T, 2 * 80 }, { 4, 2, 32, 80 }, { 4, 2, 32, 80 }, { 16 } },
        { 0, 0, ASH_F16, ASH_F16 }, ROPE(2, 80, 32, 5e5F, 1, ASH_ROPE_HALF),
        .batch = { { 0, 3 }, { 40, 1 } }, .positive = 1 << 4, CACHE },
    { "a head of 13", { { T, 13 }, { T, 13 }, { 2, 1, 32, 13 }, { 2, 1, 32, 13 } },
        ROPE(1, 13, 4, 1e4F, 1, ASH_ROPE_HALF), .batch = { { 0, 3 } }, CACHE,
        .reference_only = true },
    { "the largest head", { { T, 512 }, { T, 512 }, { 1, 1, 32, 512 }, { 1, 1, 32, 512 } },
        { 0, 0, ASH_Q8_0, ASH_Q8_0 }, ROPE(1, 512, 512, 1e4F, 1, ASH_ROPE_HALF),
        .batch = { { 0, 2 } }, CACHE },
    { "135M decode", { { T, 192 }, { T, 192 }, { 20, 3, 32, 64 }, { 20, 3, 32, 64 } },
        { 0, 0, ASH_F16, ASH_F16 }, ROPE(3, 64, 64, 1e5F, 1, ASH_ROPE_INTERLEAVED),
        .batch = { { 500, 1 } }, CACHE, .bench = true },
    { "135M prefill", { { T, 192 }, { T, 192 }, { 20, 3, 32, 64 }, { 20, 3, 32, 64 } },
        { 0, 0, ASH_F16, ASH_F16 }, ROPE(3, 64, 64, 1e5F, 1, ASH_ROPE_INTERLEAVED),
        .batch = { { 0, 256 } }, CACHE, .bench = true },
    { "135M prefill, BF16", { { T, 192 }, { T, 192 }, { 20, 3, 32, 64 }, { 20, 3, 32, 64 } },
        { 0, 0, ASH_BF16, ASH_BF16 }, ROPE(3, 64, 64, 1e5F, 1, ASH_ROPE_INTERLEAVED),
        .batch = { { 0, 256 } }, CACHE, .bench = true },
    { "135M prefill, Q8_0", { { T, 192 }, { T, 192 }, { 20, 3, 32, 64 }, { 20, 3, 32, 64 } },
        { 0, 0, ASH_Q8_0, ASH_Q8_0 }, ROPE(3, 64, 64, 1e5F, 1, ASH_ROPE_INTERLEAVED),
        .batch = { { 0, 256 } }, CACHE, .bench = true },
    { "heads that do not fit", { { T, 16 }, { T, 16 }, { 1, 2, 32, 8 }, { 1, 2, 32, 8 } },
        ROPE(1, 16, 8, 1e4F, 1, ASH_ROPE_HALF), .batch = { { 0, 1 } }, .expect = ASH_ERR_SHAPE },
    { "k too narrow", { { T, 8 }, { T, 8 }, { 1, 2, 32, 8 }, { 1, 2, 32, 8 } },
        ROPE(2, 8, 8, 1e4F, 1, ASH_ROPE_HALF), .batch = { { 0, 1 } }, .expect = ASH_ERR_SHAPE },
    { "v of another width", { { T, 16 }, { T, 8 }, { 1, 2, 32, 8 }, { 1, 2, 32, 8 } },
        ROPE(2, 8, 8, 1e4F, 1, ASH_ROPE_HALF), .batch = { { 0, 1 } }, .expect = ASH_ERR_SHAPE },
    { "caches of two types", { { T, 8 }, { T, 8 }, { 1, 1, 32, 8 }, { 1, 1, 32, 8 } },
        { 0, 0, ASH_F16, ASH_F32 }, ROPE(1, 8, 8, 1e4F, 1, ASH_ROPE_HALF), .batch = { { 0, 1 } },
        .expect = ASH_ERR_SHAPE },
    { "a cache in Q4_1", { { T, 32 }, { T, 32 }, { 1, 1, 32, 32 }, { 1, 1, 32, 32 } },
        { 0, 0, ASH_Q4_1, ASH_Q4_1 }, ROPE(1, 32, 32, 1e4F, 1, ASH_ROPE_HALF),
        .batch = { { 0, 1 } }, .expect = ASH_ERR_SHAPE },
    { "pages of 16", { { T, 8 }, { T, 8 }, { 1, 1, 16, 8 }, { 1, 1, 16, 8 } },
        ROPE(1, 8, 8, 1e4F, 1, ASH_ROPE_HALF), .batch = { { 0, 1 } }, .expect = ASH_ERR_SHAPE },
    { "no value cache", { { T, 8 }, { T, 8 }, { 1, 1, 32, 8 } },
        ROPE(1, 8, 8, 1e4F, 1, ASH_ROPE_HALF), .batch = { { 0, 1 } }, .expect = ASH_ERR_SHAPE },
    { 0 },
};

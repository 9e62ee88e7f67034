/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/attention/attention.h"

#include "runtime/cpu.h"
#include "tests/support/kv_layout.h"

#define PARAMS(...)                                                                                \
    .params = &(const struct ash_attention_params)                                                 \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }
#define CACHE(pages, heads, size)                                                                  \
    { pages, heads, 32, size },                                                                    \
    {                                                                                              \
        pages, heads, 32, size                                                                     \
    }
#define TYPE(type)                                                                                 \
    {                                                                                              \
        ASH_F32, type, type                                                                        \
    }
#define SHAPES(q, pages, heads, size)                                                              \
    {                                                                                              \
        { T, (q) * (size) }, CACHE(pages, heads, size)                                             \
    }
/* The same, and scratch of so many floats beside its counters. */
#define SHARED(q, pages, heads, size, floats)                                                      \
    {                                                                                              \
        { T, (q) * (size) }, CACHE(pages, heads, size),                                            \
        {                                                                                          \
            ASH_ATTENTION_COUNTERS + (floats)                                                      \
        }                                                                                          \
    }
#define LAYOUT .layout = &ash_kv_layout_read

const struct ash_case ash_cases_attention[] = {
    { "one token", SHAPES(1, 1, 1, 16), PARAMS(1, 0.25F), .batch = { { 0, 1 } }, LAYOUT },
    { "F32, grouped, across pages", SHAPES(6, 14, 2, 32), PARAMS(6, 0.125F),
        .batch = { { 0, 40 }, { 31, 2 }, { 100, 1 }, { 63, 1 }, { 64, 5 } }, LAYOUT },
    { "F16, grouped, across pages", SHAPES(6, 14, 2, 64), TYPE(ASH_F16), PARAMS(6, 0.125F),
        .batch = { { 0, 40 }, { 31, 2 }, { 100, 1 }, { 63, 1 }, { 64, 5 } }, LAYOUT },
    { "Q8_0, grouped, across pages", SHAPES(6, 14, 2, 64), TYPE(ASH_Q8_0), PARAMS(6, 0.125F),
        .batch = { { 0, 40 }, { 31, 2 }, { 100, 1 }, { 63, 1 }, { 64, 5 } }, LAYOUT },
    { "no groups, 80 to a head", SHAPES(2, 6, 2, 80), TYPE(ASH_F16), PARAMS(2, 0.11F),
        .batch = { { 0, 33 }, { 50, 3 }, { 7, 1 } }, LAYOUT },
    { "seven to a group", SHAPES(14, 6, 2, 32), TYPE(ASH_F16), PARAMS(14, 0.17F),
        .batch = { { 0, 33 }, { 50, 3 }, { 7, 1 } }, LAYOUT },
    { "one KV head for eleven, 96 to a head", SHAPES(11, 6, 1, 96), TYPE(ASH_Q8_0),
        PARAMS(11, 0.1F), .batch = { { 0, 33 }, { 50, 3 }, { 7, 1 } }, LAYOUT },
    { "the largest head", SHAPES(20, 3, 1, 512), TYPE(ASH_F16), PARAMS(20, 0.04F),
        .batch = { { 30, 5 }, { 0, 1 } }, LAYOUT },
    { "a window within a page", SHAPES(4, 9, 2, 32), PARAMS(4, 0.17F, .window = 5),
        .batch = { { 0, 70 }, { 60, 3 }, { 64, 1 } }, LAYOUT },
    { "a window of pages", SHAPES(4, 10, 2, 32), TYPE(ASH_F16), PARAMS(4, 0.17F, .window = 48),
        .batch = { { 0, 110 }, { 90, 3 }, { 64, 1 } }, LAYOUT },
    { "a window of one", SHAPES(4, 3, 2, 32), PARAMS(4, 0.17F, .window = 1),
        .batch = { { 0, 40 }, { 20, 3 } }, LAYOUT },
    { "softcap", SHAPES(4, 5, 2, 32), TYPE(ASH_F16), PARAMS(4, 0.17F, .softcap = 5),
        .batch = { { 0, 40 }, { 60, 3 } }, LAYOUT },
    { "a shared prefix", SHAPES(4, 6, 2, 32), TYPE(ASH_F16), PARAMS(4, 0.17F),
        .batch = { { 64, 3 }, { 70, 1 }, { 64, 12 } }, .shared_pages = 2, LAYOUT },
    { "BF16, grouped, across pages", SHAPES(6, 14, 2, 64), TYPE(ASH_BF16), PARAMS(6, 0.125F),
        .batch = { { 0, 40 }, { 31, 2 }, { 100, 1 }, { 63, 1 }, { 64, 5 } }, LAYOUT },
    { "BF16, every position up to 70", SHAPES(3, 3, 1, 32), TYPE(ASH_BF16), PARAMS(3, 0.17F),
        .batch = { { 0, 70 } }, LAYOUT },
    { "BF16, one token", SHAPES(1, 1, 1, 32), TYPE(ASH_BF16), PARAMS(1, 0.2F),
        .batch = { { 0, 1 } }, LAYOUT },
    { "BF16, 96 to a head, no groups", SHAPES(2, 6, 2, 96), TYPE(ASH_BF16), PARAMS(2, 0.1F),
        .batch = { { 0, 33 }, { 50, 3 }, { 7, 1 } }, LAYOUT },
    { "BF16, 128 to a head, eight to a group", SHAPES(16, 20, 2, 128), TYPE(ASH_BF16),
        PARAMS(16, 0.03F), .batch = { { 0, 33 }, { 250, 17 }, { 200, 1 } }, LAYOUT },
    { "BF16, 256 to a head", SHAPES(4, 6, 1, 256), TYPE(ASH_BF16), PARAMS(4, 0.06F),
        .batch = { { 0, 20 }, { 130, 3 } }, LAYOUT, .needs = ASH_CPU_AMX_BF16 },
    { "BF16, a window within a page", SHAPES(4, 9, 2, 32), TYPE(ASH_BF16),
        PARAMS(4, 0.17F, .window = 5), .batch = { { 0, 70 }, { 60, 3 }, { 64, 1 } }, LAYOUT },
    { "BF16, a window of pages", SHAPES(4, 24, 2, 32), TYPE(ASH_BF16),
        PARAMS(4, 0.17F, .window = 140), .batch = { { 0, 300 }, { 290, 3 }, { 64, 1 } }, LAYOUT },
    { "BF16, softcap", SHAPES(4, 5, 2, 32), TYPE(ASH_BF16), PARAMS(4, 0.17F, .softcap = 5),
        .batch = { { 0, 40 }, { 60, 3 } }, LAYOUT },
    { "BF16, shared by part", SHARED(9, 64, 3, 64, 40000), TYPE(ASH_BF16), PARAMS(9, 0.125F),
        .batch = { { 700, 1 }, { 300, 2 }, { 127, 1 }, { 128, 5 }, { 255, 7 }, { 20, 1 } },
        LAYOUT },
    { "F16, shared by part", SHARED(9, 64, 3, 64, 40000), TYPE(ASH_F16), PARAMS(9, 0.125F),
        .batch = { { 700, 1 }, { 300, 2 }, { 127, 1 }, { 128, 5 }, { 255, 7 }, { 20, 1 } },
        LAYOUT },
    { "F16, one token of seven parts", SHARED(9, 32, 3, 64, 5000), TYPE(ASH_F16), PARAMS(9, 0.125F),
        .batch = { { 800, 1 } }, LAYOUT },
    { "Q8_0, some parts of a window, two sequences", SHARED(6, 40, 2, 96, 8000), TYPE(ASH_Q8_0),
        PARAMS(6, 0.1F, .window = 300), .batch = { { 640, 1 }, { 383, 2 } }, LAYOUT },
    { "Q8_0, shared by part as far as the scratch goes", SHARED(4, 40, 2, 32, 1600), TYPE(ASH_Q8_0),
        PARAMS(4, 0.17F), .batch = { { 400, 1 }, { 300, 1 }, { 300, 1 } }, LAYOUT },
    { "F32, shared by part, a window", SHARED(4, 30, 2, 32, 10000), PARAMS(4, 0.17F, .window = 200),
        .batch = { { 400, 3 }, { 300, 1 } }, LAYOUT },
    { "BF16, shared by part, a window", SHARED(4, 30, 2, 32, 10000), TYPE(ASH_BF16),
        PARAMS(4, 0.17F, .window = 200), .batch = { { 400, 3 }, { 300, 1 } }, LAYOUT },
    { "no scratch beside the counters", SHARED(4, 30, 2, 32, 0), TYPE(ASH_BF16), PARAMS(4, 0.17F),
        .batch = { { 400, 3 }, { 300, 1 } }, LAYOUT },
    { "a head of 24", SHAPES(2, 2, 2, 24), PARAMS(2, 0.2F), .batch = { { 0, 3 }, { 9, 1 } }, LAYOUT,
        .reference_only = true },
    { "135M decode at 512", SHAPES(9, 17, 3, 64), TYPE(ASH_F16), PARAMS(9, 0.125F),
        .batch = { { 512, 1 } }, LAYOUT, .bench = true },
    { "135M decode at 8000", SHAPES(9, 251, 3, 64), TYPE(ASH_F16), PARAMS(9, 0.125F),
        .batch = { { 8000, 1 } }, LAYOUT, .bench = true },
    { "135M decode at 8000, Q8_0", SHAPES(9, 251, 3, 64), TYPE(ASH_Q8_0), PARAMS(9, 0.125F),
        .batch = { { 8000, 1 } }, LAYOUT, .bench = true },
    { "8B decode at 8000", SHAPES(32, 251, 8, 128), TYPE(ASH_F16), PARAMS(32, 0.088F),
        .batch = { { 8000, 1 } }, LAYOUT, .bench = true },
    { "135M decode at 512, BF16", SHAPES(9, 17, 3, 64), TYPE(ASH_BF16), PARAMS(9, 0.125F),
        .batch = { { 512, 1 } }, LAYOUT, .bench = true },
    { "135M decode at 8000, BF16", SHAPES(9, 251, 3, 64), TYPE(ASH_BF16), PARAMS(9, 0.125F),
        .batch = { { 8000, 1 } }, LAYOUT, .bench = true },
    { "8B decode at 8000, BF16", SHAPES(32, 251, 8, 128), TYPE(ASH_BF16), PARAMS(32, 0.088F),
        .batch = { { 8000, 1 } }, LAYOUT, .bench = true },
    { "135M prefill of 256, BF16", SHAPES(9, 8, 3, 64), TYPE(ASH_BF16), PARAMS(9, 0.125F),
        .batch = { { 0, 256 } }, LAYOUT, .bench = true },
    { "135M prefill of 256 at 2048, BF16", SHAPES(9, 72, 3, 64), TYPE(ASH_BF16), PARAMS(9, 0.125F),
        .batch = { { 2048, 256 } }, LAYOUT, .bench = true },
    { "8B prefill of 128 at 2048, BF16", SHAPES(32, 72, 8, 128), TYPE(ASH_BF16), PARAMS(32, 0.088F),
        .batch = { { 2048, 128 } }, LAYOUT, .bench = true },
    { "135M prefill of 256", SHAPES(9, 8, 3, 64), TYPE(ASH_F16), PARAMS(9, 0.125F),
        .batch = { { 0, 256 } }, LAYOUT, .bench = true },
    { "135M prefill of 256 at 2048", SHAPES(9, 72, 3, 64), TYPE(ASH_F16), PARAMS(9, 0.125F),
        .batch = { { 2048, 256 } }, LAYOUT, .bench = true },
    { "135M 16 x decode at 500", SHAPES(9, 256, 3, 64), TYPE(ASH_F16), PARAMS(9, 0.125F),
        .batch = { { 500, 1 }, { 500, 1 }, { 500, 1 }, { 500, 1 }, { 500, 1 }, { 500, 1 },
            { 500, 1 }, { 500, 1 }, { 500, 1 }, { 500, 1 }, { 500, 1 }, { 500, 1 }, { 500, 1 },
            { 500, 1 }, { 500, 1 }, { 500, 1 } },
        LAYOUT, .bench = true },
    { "heads that do not divide", SHAPES(4, 1, 3, 16), PARAMS(4, 0.25F), .batch = { { 0, 1 } },
        .expect = ASH_ERR_ARGUMENT },
    { "no heads", SHAPES(1, 1, 1, 16), PARAMS(0, 0.25F), .batch = { { 0, 1 } },
        .expect = ASH_ERR_ARGUMENT },
    { "a negative window", SHAPES(1, 1, 1, 16), PARAMS(1, 0.25F, .window = -1),
        .batch = { { 0, 1 } }, .expect = ASH_ERR_ARGUMENT },
    { "q too narrow", { { T, 16 }, CACHE(1, 2, 16) }, PARAMS(2, 0.25F), .batch = { { 0, 1 } },
        .expect = ASH_ERR_SHAPE },
    { "scratch in F16", { { T, 16 }, CACHE(1, 1, 16), { 2000 } }, { 0, 0, 0, ASH_F16 },
        PARAMS(1, 0.25F), .batch = { { 0, 1 } }, .expect = ASH_ERR_SHAPE },
    { "caches of two types", SHAPES(1, 1, 1, 16), { 0, ASH_F16, ASH_F32 }, PARAMS(1, 0.25F),
        .batch = { { 0, 1 } }, .expect = ASH_ERR_SHAPE },
    { "caches of two sizes", { { T, 16 }, { 2, 1, 32, 16 }, { 1, 1, 32, 16 } }, PARAMS(1, 0.25F),
        .batch = { { 0, 1 } }, .expect = ASH_ERR_SHAPE },
    { "a head of 1024", SHAPES(1, 1, 1, 1024), PARAMS(1, 0.25F), .batch = { { 0, 1 } },
        .expect = ASH_ERR_SHAPE },
    { 0 },
};

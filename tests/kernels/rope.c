/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/rope/rope.h"

#include "tests/support/check_op.h"

#define ROPE(...)                                                                                  \
    .params = &(const struct ash_rope_params)                                                      \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }

const struct ash_case ash_cases_rope[] = {
    { "one pair", { { T, 2 } }, ROPE(1, 2, 2, 1e4F, 1, ASH_ROPE_HALF), .batch = { { 7, 1 } } },
    { "interleaved", { { T, 3 * 64 } }, ROPE(3, 64, 64, 1e4F, 1, ASH_ROPE_INTERLEAVED),
        .batch = { { 0, 5 }, { 70, 3 } } },
    { "halves", { { T, 3 * 64 } }, ROPE(3, 64, 64, 1e6F, 1, ASH_ROPE_HALF),
        .batch = { { 0, 5 }, { 70, 3 } } },
    { "tail", { { T, 2 * 26 } }, ROPE(2, 26, 26, 1e4F, 1, ASH_ROPE_HALF), .batch = { { 3, 4 } } },
    { "part of a head", { { T, 2 * 80 } }, ROPE(2, 80, 32, 1e4F, 1, ASH_ROPE_INTERLEAVED),
        .batch = { { 11, 2 } } },
    { "far positions", { { T, 2 * 64 } }, ROPE(2, 64, 64, 1e4F, 1, ASH_ROPE_HALF),
        .batch = { { 100000, 3 }, { 1000000, 2 }, { 2147483000, 2 } } },
    { "scaled", { { T, 64 } }, ROPE(1, 64, 64, 5e5F, 0.25F, ASH_ROPE_HALF),
        .batch = { { 4095, 2 } } },
    { "factors", { { T, 2 * 64 }, { 32 } }, ROPE(2, 64, 64, 5e5F, 1, ASH_ROPE_INTERLEAVED),
        .batch = { { 0, 4 }, { 50, 2 } }, .positive = 1 << 1 },
    { "the widest", { { T, 512 } }, ROPE(1, 512, 512, 1e4F, 1, ASH_ROPE_INTERLEAVED),
        .batch = { { 40, 2 } } },
    { "135M decode", { { T, 576 } }, ROPE(9, 64, 64, 1e5F, 1, ASH_ROPE_INTERLEAVED),
        .batch = { { 500, 1 } }, .bench = true },
    { "135M prefill", { { T, 576 } }, ROPE(9, 64, 64, 1e5F, 1, ASH_ROPE_INTERLEAVED),
        .batch = { { 0, 256 } }, .bench = true },
    { "0.5B prefill", { { T, 896 } }, ROPE(14, 64, 64, 1e6F, 1, ASH_ROPE_HALF),
        .batch = { { 0, 256 } }, .bench = true },
    { "heads that do not fit", { { T, 192 } }, ROPE(2, 64, 64, 1e4F, 1, ASH_ROPE_HALF),
        .batch = { { 0, 1 } }, .expect = ASH_ERR_SHAPE },
    { "an odd number", { { T, 64 } }, ROPE(1, 64, 33, 1e4F, 1, ASH_ROPE_HALF),
        .batch = { { 0, 1 } }, .expect = ASH_ERR_ARGUMENT },
    { "more than a head", { { T, 64 } }, ROPE(1, 64, 66, 1e4F, 1, ASH_ROPE_HALF),
        .batch = { { 0, 1 } }, .expect = ASH_ERR_ARGUMENT },
    { "too wide", { { T, 1024 } }, ROPE(1, 1024, 1024, 1e4F, 1, ASH_ROPE_HALF),
        .batch = { { 0, 1 } }, .expect = ASH_ERR_ARGUMENT },
    { "base 1", { { T, 64 } }, ROPE(1, 64, 64, 1, 1, ASH_ROPE_HALF), .batch = { { 0, 1 } },
        .expect = ASH_ERR_ARGUMENT },
    { "few factors", { { T, 64 }, { 31 } }, ROPE(1, 64, 64, 1e4F, 1, ASH_ROPE_HALF),
        .batch = { { 0, 1 } }, .expect = ASH_ERR_SHAPE },
    { 0 },
};

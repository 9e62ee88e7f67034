/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/matmul/matmul.h"

#include "tests/support/check_op.h"

#define WEIGHT(type) .types = { ASH_F32, (type) }

/* The tails of every kernel, once for each type of weight: rows 16 and 64, tokens 16, 8, 4, 2, 1. */
#define SHAPES(name, type)                                                                         \
    { name " one block, one row", { { 1, 32 }, { 1, 32 } }, WEIGHT(type) },                        \
        { name " row tail", { { 3, 64 }, { 19, 64 } }, WEIGHT(type) },                             \
        { name " every tile", { { 31, 96 }, { 83, 96 } }, WEIGHT(type) },                          \
        { name " two tiles and a token", { { 33, 64 }, { 16, 64 } }, WEIGHT(type) },               \
        { name " 65 blocks", { { 5, 2080 }, { 17, 2080 } }, WEIGHT(type) },                        \
        { name " bias", { { 7, 64 }, { 35, 64 }, { 35 } }, WEIGHT(type) },                         \
        { name " residual", { { 18, 576 }, { 37, 576 }, { T, 37 } }, WEIGHT(type) },               \
        { name " batch", { { T, 160 }, { 48, 160 }, { T, 48 } }, WEIGHT(type),                     \
            .batch = { { 0, 1 }, { 0, 5 }, { 0, 17 }, { 0, 1 } } },                                \
        { name " decode", { { 1, 576 }, { 1536, 576 } }, WEIGHT(type), .bench = true },            \
    {                                                                                              \
        name " prefill", { { 64, 576 }, { 192, 576 } }, WEIGHT(type), .bench = true                \
    }

const struct ash_case ash_cases_matmul[] = {
    SHAPES("Q4_1", ASH_Q4_1),
    SHAPES("Q4_0", ASH_Q4_0),
    SHAPES("Q8_0", ASH_Q8_0),
    SHAPES("F32", ASH_F32),
    SHAPES("F16", ASH_F16),
    SHAPES("BF16", ASH_BF16),
    { "one element", { { 1, 1 }, { 1, 1 } } },
    { "an odd K", { { 9, 13 }, { 35, 13 } }, WEIGHT(ASH_F16) },
    { "A8 with F32", { { 2, 64 }, { 3, 64 } }, { ASH_A8 }, .reference_only = true },
    { "K differs", { { 1, 64 }, { 16, 32 } }, .expect = ASH_ERR_SHAPE },
    { "x of rank 3", { { 1, 2, 32 }, { 16, 32 } }, .expect = ASH_ERR_SHAPE },
    { "a weight of ids", { { 1, 32 }, { 16, 32 } }, WEIGHT(ASH_I32), .expect = ASH_ERR_SHAPE },
    { "x in F16", { { 1, 32 }, { 16, 32 } }, { ASH_F16 }, .expect = ASH_ERR_SHAPE },
    { "no weight", { { 1, 32 } }, .expect = ASH_ERR_SHAPE },
    { "bias too short", { { 1, 32 }, { 16, 32 }, { 15 } }, .expect = ASH_ERR_SHAPE },
    { "residual of another T", { { 2, 32 }, { 16, 32 }, { 3, 16 } }, .expect = ASH_ERR_SHAPE },
    { "bias in F16", { { 1, 32 }, { 16, 32 }, { 16 } }, { ASH_F32, ASH_F32, ASH_F16 },
        .expect = ASH_ERR_SHAPE },
    { 0 },
};

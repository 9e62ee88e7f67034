/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/concat/concat.h"

#include "tests/support/check_op.h"

const struct ash_case ash_cases_concat[] = {
    { "one and one", { { 1, 1 }, { T, 1 } } },
    { "vector tails", { { 3, 13 }, { T, 6 } } },
    { "short and long", { { 5, 1 }, { T, 300 } } },
    { "long and short", { { 5, 300 }, { T, 1 } } },
    { "135M heads, two and one", { { 1, 384 }, { T, 192 } }, .bench = true },
    { "135M prefill", { { 256, 288 }, { T, 288 } }, .bench = true },
    { "another T", { { 3, 4 }, { 2, 4 } }, .expect = ASH_ERR_SHAPE },
    { "no tokens", { { 3, 4 }, { 3, 4 } }, .expect = ASH_ERR_SHAPE },
    { "ids", { { 3, 4 }, { T, 4 } }, { ASH_F32, ASH_I32 }, .expect = ASH_ERR_SHAPE },
    { "rank 1", { { 3, 4 }, { 3 } }, .expect = ASH_ERR_SHAPE },
    { "too long", { { 1, INT64_MAX / 8 }, { 1, INT64_MAX / 8 } }, .expect = ASH_ERR_SHAPE },
    { 0 },
};

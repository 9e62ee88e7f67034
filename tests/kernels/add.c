/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/add/add.h"

#include "tests/support/check_op.h"

const struct ash_case ash_cases_add[] = {
    { "one element", { { 1, 1 }, { T, 1 } } },
    { "a residual with a tail", { { 3, 13 }, { T, 13 } } },
    { "a bias with a tail", { { 5, 23 }, { 23 } } },
    { "vectors", { { 7 }, { T } } },
    { "rank 3", { { 2, 3, 40 }, { T, 3, 40 } } },
    { "a bias of rank 3", { { 2, 3, 40 }, { 40 } } },
    { "135M decode", { { 1, 576 }, { T, 576 } }, .bench = true },
    { "135M prefill", { { 256, 576 }, { T, 576 } }, .bench = true },
    { "b too short", { { 3, 13 }, { 12 } }, .expect = ASH_ERR_SHAPE },
    { "b of too few rows", { { 3, 13 }, { 2, 13 } }, .expect = ASH_ERR_SHAPE },
    { "b of rank 2 for rank 3", { { 3, 2, 13 }, { 2, 13 } }, .expect = ASH_ERR_SHAPE },
    { "b in F16", { { 3, 13 }, { 13 } }, { 0, ASH_F16 }, .expect = ASH_ERR_SHAPE },
    { "only one", { { 3, 13 } }, .expect = ASH_ERR_SHAPE },
    { 0 },
};

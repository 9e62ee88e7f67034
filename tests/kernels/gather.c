/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/gather/gather.h"

#include "tests/support/check_op.h"

const struct ash_case ash_cases_gather[] = {
    { "one of one", { { T, 1 } }, .batch = { { 0, 1 } } },
    { "the last of each span", { { T, 13 } }, .batch = { { 0, 5 }, { 3, 1 }, { 0, 4 } } },
    { "all", { { T, 40 } }, .batch = { { 0, 5 }, { 9, 2 } }, .all_outputs = true },
    { "135M prefill", { { T, 576 } }, .batch = { { 0, 256 } }, .bench = true },
    { "ids", { { T, 40 } }, { ASH_I32 }, .batch = { { 0, 2 } }, .expect = ASH_ERR_SHAPE },
    { "rank 3", { { T, 2, 4 } }, .batch = { { 0, 2 } }, .expect = ASH_ERR_SHAPE },
    { 0 },
};

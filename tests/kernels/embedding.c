/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/embedding/embedding.h"

#include "tests/support/check_op.h"

const struct ash_case ash_cases_embedding[] = {
    { "one of one", { { 1, 1 } }, .batch = { { 0, 1 } } },
    { "F32", { { 50, 13 } }, .batch = { { 0, 5 }, { 7, 2 } } },
    { "F16", { { 50, 13 } }, { ASH_F16 }, .batch = { { 0, 5 }, { 7, 2 } } },
    { "BF16", { { 50, 13 } }, { ASH_BF16 }, .batch = { { 0, 5 } } },
    { "Q8_0", { { 50, 96 } }, { ASH_Q8_0 }, .batch = { { 0, 5 }, { 7, 2 } } },
    { "Q4_0", { { 50, 32 } }, { ASH_Q4_0 }, .batch = { { 0, 5 }, { 7, 2 } } },
    { "Q4_1", { { 50, 64 } }, { ASH_Q4_1 }, .batch = { { 0, 5 }, { 7, 2 } } },
    { "135M decode", { { 4915, 576 } }, { ASH_Q8_0 }, .batch = { { 0, 1 } }, .bench = true },
    { "135M prefill", { { 4915, 576 } }, { ASH_Q8_0 }, .batch = { { 0, 256 } }, .bench = true },
    { "ids", { { 5, 3 } }, { ASH_I32 }, .batch = { { 0, 1 } }, .expect = ASH_ERR_SHAPE },
    { "activations", { { 5, 32 } }, { ASH_A8 }, .batch = { { 0, 1 } }, .expect = ASH_ERR_SHAPE },
    { "a vector", { { 5 } }, .batch = { { 0, 1 } }, .expect = ASH_ERR_SHAPE },
    { "no table", { { 0 } }, .batch = { { 0, 1 } }, .expect = ASH_ERR_SHAPE },
    { 0 },
};

/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/argmax/argmax.h"

#include "tests/support/check_op.h"

const struct ash_case ash_cases_argmax[] = {
    { "one id", { { 3, 1 } } },
    { "a tail only", { { 5, 7 } } },
    { "a tail of 13", { { 5, 29 } } },
    { "whole vectors", { { 9, 128 } } },
    { "a vocabulary", { { 2, 4915 } } },
    { "135M", { { 1, 49152 } }, .bench = true },
    { "rank 1", { { 5 } }, .expect = ASH_ERR_SHAPE },
    { "ids", { { 1, 5 } }, { ASH_I32 }, .expect = ASH_ERR_SHAPE },
    { "beyond 32 bits", { { 1, 1LL << 31 } }, .expect = ASH_ERR_SHAPE },
    { 0 },
};

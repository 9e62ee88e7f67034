/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/topk/topk.h"

#include "tests/support/check_op.h"

#define K(k)                                                                                       \
    .params = &(const struct ash_topk_params)                                                      \
    {                                                                                              \
        k                                                                                          \
    }

const struct ash_case ash_cases_topk[] = {
    { "one of one", { { 3, 1 } }, K(1) },
    { "all of seven", { { 5, 7 } }, K(7) },
    { "five of 29", { { 5, 29 } }, K(5) },
    { "forty of a vocabulary", { { 2, 4915 } }, K(40) },
    { "the most there can be", { { 1, 1500 } }, K(1024) },
    { "135M, 40", { { 1, 49152 } }, K(40), .bench = true },
    { "135M, 1024", { { 1, 49152 } }, K(1024), .bench = true },
    { "none", { { 1, 5 } }, K(0), .expect = ASH_ERR_ARGUMENT },
    { "more than there are", { { 1, 5 } }, K(6), .expect = ASH_ERR_ARGUMENT },
    { "more than there can be", { { 1, 2000 } }, K(1025), .expect = ASH_ERR_ARGUMENT },
    { "no params", { { 1, 5 } }, .expect = ASH_ERR_ARGUMENT },
    { "ids", { { 1, 5 } }, { ASH_I32 }, K(1), .expect = ASH_ERR_SHAPE },
    { 0 },
};

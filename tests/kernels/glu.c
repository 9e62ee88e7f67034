/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/glu/glu.h"

#include "tests/support/check_op.h"

static const struct ash_glu_params silu = { ASH_SILU }, gelu = { ASH_GELU },
                                   gelu_erf = { ASH_GELU_ERF }, none = { 3 };

const struct ash_case ash_cases_glu[] = {
    { "one element", { { 1, 1 }, { T, 1 } }, .params = &silu },
    { "silu, tail", { { 3, 13 }, { T, 13 } }, .params = &silu },
    { "gelu, tail", { { 3, 29 }, { T, 29 } }, .params = &gelu },
    { "gelu with erf, tail", { { 3, 29 }, { T, 29 } }, .params = &gelu_erf },
    { "silu, blocks", { { 4, 96 }, { T, 96 } }, .params = &silu },
    { "gelu, blocks", { { 4, 96 }, { T, 96 } }, .params = &gelu },
    { "gelu with erf, blocks", { { 4, 96 }, { T, 96 } }, .params = &gelu_erf },
    { "135M decode", { { 1, 1536 }, { T, 1536 } }, .params = &silu, .bench = true },
    { "135M prefill", { { 256, 1536 }, { T, 1536 } }, .params = &silu, .bench = true },
    { "270M decode", { { 1, 2048 }, { T, 2048 } }, .params = &gelu, .bench = true },
    { "up too short", { { 3, 13 }, { T, 12 } }, .params = &silu, .expect = ASH_ERR_SHAPE },
    { "up a row", { { 3, 13 }, { 13 } }, .params = &silu, .expect = ASH_ERR_SHAPE },
    { "gate in F16", { { 1, 4 }, { 1, 4 } }, { ASH_F16 }, &silu, .expect = ASH_ERR_SHAPE },
    { "no activation", { { 3, 13 }, { T, 13 } }, .params = &none, .expect = ASH_ERR_ARGUMENT },
    { 0 },
};

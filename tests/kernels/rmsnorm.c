/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/rmsnorm/rmsnorm.h"

#include "tests/support/check_op.h"

static const struct ash_rmsnorm_params llama = { .eps = 1e-5F }, none = { .eps = 0 };

const struct ash_case ash_cases_rmsnorm[] = {
    { "one element", { { 1, 1 }, { 1 } }, .params = &llama },
    { "vector tail", { { 3, 13 }, { 13 } }, .params = &llama }, /* 13 = 8 + 5 */
    { "tail of 31", { { 3, 63 }, { 63 } }, .params = &llama },
    { "one block", { { 2, 32 }, { 32 } }, .params = &llama },
    { "rank 3", { { 5, 3, 96 }, { 96 } }, .params = &llama },
    { "135M decode", { { 1, 576 }, { 576 } }, .params = &llama, .bench = true },
    { "135M prefill", { { 256, 576 }, { 576 } }, .params = &llama, .bench = true },
    { "weight too short", { { 3, 13 }, { 12 } }, .params = &llama, .expect = ASH_ERR_SHAPE },
    { "weight of rank 2", { { 3, 13 }, { 1, 13 } }, .params = &llama, .expect = ASH_ERR_SHAPE },
    { "no weight", { { 3, 13 } }, .params = &llama, .expect = ASH_ERR_SHAPE },
    { "x in F16", { { 3, 13 }, { 13 } }, { ASH_F16 }, &llama, .expect = ASH_ERR_SHAPE },
    { "weight in F16", { { 3, 13 }, { 13 } }, { 0, ASH_F16 }, &llama, .expect = ASH_ERR_SHAPE },
    { "no params", { { 3, 13 }, { 13 } }, .expect = ASH_ERR_ARGUMENT },
    { "eps of nothing", { { 3, 13 }, { 13 } }, .params = &none, .expect = ASH_ERR_ARGUMENT },
    { 0 },
};

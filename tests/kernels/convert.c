/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/convert/convert.h"

#include "tests/support/check_op.h"

static const struct ash_convert_params to_a8 = { .to = ASH_A8 }, to_f16 = { .to = ASH_F16 },
                                       to_bf16 = { .to = ASH_BF16 }, to_ids = { .to = ASH_I32 };

const struct ash_case ash_cases_convert[] = {
    { "one block", { { 1, 32 } }, .params = &to_a8 },
    { "rows of three blocks", { { 5, 96 } }, .params = &to_a8 },
    { "rank 3", { { 2, 3, 64 } }, .params = &to_a8 },
    { "to BF16", { { 1, 1 } }, .params = &to_bf16 },
    { "to BF16, vector tails", { { 5, 61 } }, .params = &to_bf16 }, /* 61 = 3 * 16 + 8 + 5 */
    { "to BF16, prefill", { { 256, 576 } }, .params = &to_bf16, .bench = true },
    { "to F16", { { 3, 13 } }, .params = &to_f16, .reference_only = true },
    { "135M decode", { { 1, 576 } }, .params = &to_a8, .bench = true },
    { "135M prefill", { { 256, 576 } }, .params = &to_a8, .bench = true },
    { "a broken block", { { 1, 33 } }, .params = &to_a8, .expect = ASH_ERR_SHAPE },
    { "to ids", { { 1, 32 } }, .params = &to_ids, .expect = ASH_ERR_ARGUMENT },
    { "from F16", { { 1, 32 } }, { ASH_F16 }, &to_a8, .expect = ASH_ERR_SHAPE },
    { 0 },
};

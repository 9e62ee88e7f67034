/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "runtime/op.h"

/*
 * Root mean square normalisation (Zhang and Sennrich 2019, arXiv 1910.07467):
 *
 *   out[t][c] = x[t][c] / sqrt(mean over c of x[t][c]^2 + eps) * w[c]
 *
 * in[0] x (T, C), of any rank: rows are its innermost runs
 * in[1] w (C)
 * out   as x, in F32 or BF16; in A8 where C is a multiple of 32. May take x's place.
 */
struct ash_rmsnorm_params {
    float eps; /* > 0; 1e-5 for Llama */
};

extern const struct ash_op ash_op_rmsnorm;

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "runtime/op.h"

/*
 * The gated activation of a feed-forward layer (Shazeer 2020, arXiv 2002.05202):
 *
 *   out[t][f] = activation(gate[t][f]) * up[t][f]
 *
 * in[0] gate (T, F), of any rank
 * in[1] up, as gate
 * out   as gate, in F32 or BF16; in A8 where F is a multiple of 32. May take the place of either.
 */
enum ash_activation {
    ASH_SILU,     /* x / (1 + e^-x) */
    ASH_GELU,     /* x / 2 (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))), Hendrycks and Gimpel 2016 */
    ASH_GELU_ERF, /* x / 2 (1 + erf(x / sqrt 2)) */
};

struct ash_glu_params {
    enum ash_activation activation;
};

extern const struct ash_op ash_op_glu;

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "runtime/op.h"

/*
 * A linear layer: out[t][n] = sum over k of x[t][k] * w[n][k], plus the addend's [t][n] or [n].
 *
 * in[0] x       (T, K) F32, or as its kernel reads it: A8, BF16
 * in[1] w       (N, K) F32, F16, BF16, Q8_0, Q4_0 or Q4_1, as a model file has it
 * in[2] addend  (T, N) or (N) F32: a residual or a bias; may be left out
 * out           (T, N) F32, of x's extent; may lie where a (T, N) addend lies
 *
 * Rows of work are output columns n, for all T tokens at once: a weight is read from memory once,
 * whatever T. Every kernel packs w (kernels/README.md has the layouts). An element's reduction runs
 * through K in ascending order, in blocks of 32 (of 64 for F32, F16, BF16), and the addend comes last; so it
 * has the same bits for any T and any split into rows, and on all instruction sets but for amxbf16, which
 * rounds weights and x.
 */
extern const struct ash_op ash_op_matmul;

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "runtime/op.h"

/*
 * out = a + b, where b is a whole tensor (a residual) or one row for all (a bias):
 *
 *   out[t][c] = a[t][c] + b[t][c]   or   a[t][c] + b[c]
 *
 * in[0] a (T, C), of any rank
 * in[1] b as a, or (C)
 * out   as a. May take the place of a, or of b where that is as large.
 */
extern const struct ash_op ash_op_add;

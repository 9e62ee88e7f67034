/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "runtime/op.h"

/*
 * The id of the largest value of each row:
 *
 *   out[o] = the least v with x[o][v] >= x[o][w] for all w
 *
 * A NaN counts as minus infinity.
 *
 * in[0] x (O, V) in F32
 * out   (O) in I32
 */
extern const struct ash_op ash_op_argmax;

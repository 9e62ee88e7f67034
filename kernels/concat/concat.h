/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "runtime/op.h"

/*
 * Two tensors side by side: what parts of a matrix computed on two devices, one behind the other.
 *
 *   out[t] = a[t], b[t]
 *
 * in[0] a (T, C)
 * in[1] b (T, D), of the same extent
 * out   (T, C + D)
 */
extern const struct ash_op ash_op_concat;

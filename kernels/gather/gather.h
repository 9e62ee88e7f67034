/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "runtime/op.h"

/*
 * The rows whose logits are wanted, so that the output matrix works on no others:
 *
 *   out[o] = x[batch->output[o]]
 *
 * in[0] x (T, C)
 * out   (O, C), of extent OUTPUTS
 */
extern const struct ash_op ash_op_gather;

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "runtime/op.h"

/*
 * The rows of a table that belong to the batch's tokens:
 *
 *   out[t] = table[batch->token[t]]
 *
 * in[0] table (V, C) in any type that ash_to_float() reads
 * out   (T, C) in F32, of extent TOKENS
 *
 * Token ids are below V: whoever builds the batch sees to it.
 */
extern const struct ash_op ash_op_embedding;

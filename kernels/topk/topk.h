/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "runtime/op.h"

/*
 * The ids of the k largest values of each row, the largest first; of equal values the lower id first.
 * A NaN counts as minus infinity.
 *
 * in[0] x (O, V) in F32
 * out   (O, k) in I32
 */
struct ash_topk_params {
    int k; /* 1 .. ASH_TOPK_MAX, and at most V */
};

enum { ASH_TOPK_MAX = 1024 };

extern const struct ash_op ash_op_topk;

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "kernels/rope/rope.h"

/*
 * Puts the batch's keys and values into the paged cache, turning the keys by their positions on the
 * way (kernels/rope/rope.h; the cache holds turned keys):
 *
 *   kcache[page(position)][h][position mod 32] = rope(k[t][h], position),  vcache likewise = v[t][h]
 *
 * in[0] k (T, Hkv D)
 * in[1] v (T, Hkv D)
 * in[2] kcache (pages, Hkv, 32, D) in F32, F16, BF16 or Q8_0, updated; layout in kernels/kv_cache.h
 * in[3] vcache, as kcache, updated
 * in[4] rope's factors (dims / 2), optional
 * out   none; rows of work are tokens
 */
struct ash_kv_write_params {
    struct ash_rope_params rope; /* heads and head size are the cache's; dims 0 = keys stay */
};

extern const struct ash_op ash_op_kv_write;

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "runtime/op.h"

/*
 * Causal attention of the batch's queries to their own sequences' keys and values in the paged cache
 * (Vaswani et al. 2017, arXiv 1706.03762; grouped heads: Ainslie et al. 2023, arXiv 2305.13245):
 *
 *   s[p]      = scale * sum over d of q[t][h][d] kcache[p][g][d],   g = h / (Hq / Hkv)
 *   s[p]      = softcap * tanh(s[p] / softcap), where there is a softcap (Gemma 2)
 *   out[t][h] = sum over p of e^s[p] vcache[p][g] / sum over p of e^s[p]
 *
 * over the positions p <= position(t), with a window only the last `window` of them. The batch's own
 * keys and values are in the cache already (kv_write). D is the cache's head size.
 *
 * in[0] q (T, Hq D)
 * in[1] kcache (pages, Hkv, 32, D) in F32, F16 or Q8_0, layout in kernels/kv_cache.h
 * in[2] vcache, as kcache
 * out   as q, in F32; in A8 where D is a multiple of 32. May take q's place.
 *
 * Rows of work: KV head * T + token, so that a range is mostly neighbouring tokens of one KV head,
 * which read the same pages. Kernels go through the pages once (online softmax: Milakov and Gimelshein
 * 2018, arXiv 1805.02867), a page at its absolute position at a time: the bits of a result depend on
 * nothing but its query and its sequence's cache up to its position.
 */
struct ash_attention_params {
    int heads;     /* Hq, a multiple of the cache's Hkv */
    float scale;   /* 1 / sqrt(D) */
    int window;    /* positions that a token sees, itself among them; 0 = all */
    float softcap; /* 0 = none */
};

extern const struct ash_op ash_op_attention;

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
 * in[1] kcache (pages, Hkv, 32, D) in F32, F16, BF16 or Q8_0, layout in kernels/kv_cache.h
 * in[2] vcache, as kcache
 * in[3] scratch (N) in F32, optional: lets threads share a decoding sequence's positions. The first
 *       ASH_ATTENTION_COUNTERS are counters, zero between calls; the rest holds the sums of parts.
 *       ash_attention_scratch() says how much serves; sequences that it does not suffice for are gone
 *       through by one thread a KV head.
 * out   as q, in F32; in BF16, and in A8 where D is a multiple of 32. In F32 it may take q's place.
 *
 * Rows of work: for each sequence, KV head and token as many as it sees parts of positions. A part is
 * summed alone (softmax relative to its own largest score) and the parts are added up in order, as
 * flash attention on GPUs splits keys (Dao 2023, Flash-Decoding), but at fixed absolute positions: the
 * bits of a result depend on nothing but its query and its sequence's cache up to its position.
 */
enum { ASH_ATTENTION_PART = 128, ASH_ATTENTION_COUNTERS = 1024 };

struct ash_attention_params {
    int heads;     /* Hq, a multiple of the cache's Hkv */
    float scale;   /* 1 / sqrt(D) */
    int window;    /* positions that a token sees, itself among them; 0 = all */
    float softcap; /* 0 = none */
};

/* Floats of scratch by which sequences that hold `pages` pages in all can be shared while each decodes
 * one token; `sequences` of them, with `heads` query heads of `size`. */
static inline int64_t ash_attention_scratch(
    int64_t pages, int64_t sequences, int64_t heads, int64_t size)
{
    int64_t parts = pages / (ASH_ATTENTION_PART / ASH_PAGE_POSITIONS) + sequences;
    return ASH_ATTENTION_COUNTERS + parts * heads * (size + 2);
}

extern const struct ash_op ash_op_attention;

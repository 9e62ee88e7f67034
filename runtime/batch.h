/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

/*
 * What one replay of a plan works on: the tokens of all sequences that take this step together, and
 * where each sequence's keys and values lie in the paged cache.
 *
 * The tokens of one sequence stand next to each other, at consecutive positions; a prefill chunk is a
 * span of many tokens, a decoding sequence a span of one. Nothing in a result may depend on which
 * spans share a batch (batch invariance, see kernels/README.md).
 *
 * All arrays are borrowed for the length of the replay and are not written to.
 */

/* Positions in a page of the KV cache: one AVX-512 register of F16 keys, and two blocks of Q8_0. */
enum { ASH_PAGE_POSITIONS = 32 };

struct ash_span {
    int32_t first_token;    /* row of the batch where the span begins */
    int32_t tokens;         /* >= 1 */
    int32_t first_position; /* position of its first token = positions already in the cache */
    const int32_t *page;    /* page ids; entry p holds positions [32 p, 32 p + 32) of the sequence;
                               long enough for the span's last position */
};

struct ash_batch {
    int32_t tokens;              /* T: rows of every tensor of extent TOKENS */
    int32_t outputs;             /* O: rows of every tensor of extent OUTPUTS */
    int32_t spans;               /* B: sequences in this batch */
    const int32_t *token;        /* (T) token ids */
    const int32_t *token_span;   /* (T) index into span[] */
    const int32_t *output;       /* (O) rows of the batch whose logits are wanted, ascending */
    const struct ash_span *span; /* (B) in the order of their first_token */
};

/* The position of row `token` in its sequence. */
static inline int32_t ash_batch_position(const struct ash_batch *batch, int64_t token)
{
    const struct ash_span *span = &batch->span[batch->token_span[token]];
    return span->first_position + (int32_t)token - span->first_token;
}

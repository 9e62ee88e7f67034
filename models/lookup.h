/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "runtime/status.h"

#include <stdint.h>

/*
 * How a sequence will probably go on, guessed from what stands in it already: speculative decoding
 * (Leviathan et al. 2023, arXiv 2211.17192) by prompt lookup (Saxena 2023), without a second model.
 *
 * Two trails run through the earlier text. One follows the place where the last tokens stood before:
 * found by their hash, verified, and kept as long as it is right. When it breaks off after a long
 * agreement, the text is probably an edited copy, and the second one stays beside the break until the
 * copy comes back to its original: a token replaced, left out or put in.
 *
 * Every token that joins the sequence tells each trail whether it would have been right, drafted or
 * not; so the chance of a guess is measured for each sequence at no cost, by how long its trail has
 * agreed. A guess only costs time when it is wrong: what is said never depends on it.
 *
 * Bounded: the work for a token is the same whatever the text (two slots a token, never a chain), the
 * memory 8 to 16 bytes a position, allocated when created. Threads: one at a time per draft.
 */
struct ash_lookup;

/* The longest guess: with the token before it, one pass over the weights of 16 rows. */
enum { ASH_DRAFT_TOKENS = 15 };

struct ash_draft {
    int32_t tokens;
    int32_t token[ASH_DRAFT_TOKENS];
    double chance[ASH_DRAFT_TOKENS]; /* that this one and all before it are right */
};

/* For the sequence whose tokens are, and will be, written to `token` (positions; borrowed). */
enum ash_status ash_lookup_create(const int32_t *token, int32_t positions, struct ash_lookup **out);
void ash_lookup_destroy(struct ash_lookup *draft); /* takes NULL */

/* The sequence has grown to `count` tokens (never shrinks). Tokens are not negative. */
void ash_lookup_extend(struct ash_lookup *draft, int32_t count);

/* The tokens that follow, at most `most`; none where nothing is known. */
void ash_lookup_draft(const struct ash_lookup *draft, int32_t most, struct ash_draft *out);

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "models/lookup.h"

#include <stdbool.h>

/*
 * How many guessed tokens are worth their time.
 *
 * A step whose batch has a few rows more takes a little longer, because the weights are read once for
 * all of them; how much longer depends on the model, the machine and the number of sequences, so it is
 * measured while decoding. A guess of chance p adds p tokens to what the step will say; guesses are
 * taken, the likeliest first, up to where tokens per second are at their most. Where nothing pays, none
 * are taken, and a step is that of plain decoding.
 *
 * Threads: one at a time per struct. No allocation, no clock.
 */
enum {
    ASH_SPECULATE_ROWS = 64 /* larger batches are bound by arithmetic: no guess is free there */
};

struct ash_speculation {
    double step_s[ASH_SPECULATE_ROWS + 1]; /* of a batch of so many rows; 0 = not measured */
};

/* A step of `rows` rows, each with logits, has taken `seconds`. Other steps are no measure. */
void ash_speculation_note(struct ash_speculation *speculation, int32_t rows, double seconds);

/* What a step of `rows` (1 .. ASH_SPECULATE_ROWS) is expected to take; 0 if nothing is known yet. */
double ash_speculation_expect(const struct ash_speculation *speculation, int32_t rows);

/*
 * For `count` sequences that decode together: cuts each guess to what is worth taking, all of them
 * together to at most `most` tokens. Until a step without guesses has been measured, to nothing.
 */
void ash_speculation_choose(const struct ash_speculation *speculation, struct ash_draft *draft,
    int32_t count, int32_t most);

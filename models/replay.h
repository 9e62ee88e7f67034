/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "models/model.h"

/*
 * Batches by hand: for programs that want to say exactly what runs together and to see the logits
 * (perplexity, benchmarks, tests). Generation (generate.h) is for everything else.
 *
 * Takes pages of the model's cache, without sharing prefixes. Threads: one at a time per model.
 */
struct ash_replay;

/* For up to `sequences` sequences of up to `positions` positions each. */
enum ash_status ash_replay_create(
    struct ash_model *model, int32_t sequences, int32_t positions, struct ash_replay **out);
void ash_replay_destroy(struct ash_replay *replay); /* takes NULL */

/* Empties the batch that is being put together: of prompts, or of answers. */
void ash_replay_begin(struct ash_replay *replay, bool prompts);

/*
 * Adds `count` tokens of `sequence` at `first_position` to the batch; each sequence once, in any order.
 * The positions before must have been run. Logits are wanted of the last `outputs` of them.
 * ASH_ERR_LIMIT  more tokens, outputs or positions than the model or this was made for
 */
enum ash_status ash_replay_add(struct ash_replay *replay, int32_t sequence, int32_t first_position,
    const int32_t *token, int32_t count, int32_t outputs);

/* Runs the batch. *logits (outputs, V): valid until the next run; may be NULL. */
enum ash_status ash_replay_run(struct ash_replay *replay, const float **logits);

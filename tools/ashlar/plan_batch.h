/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "models/model.h"

/*
 * Batches to count and to time, not to read the results of: some sequences alike, each with as many tokens
 * after as many positions, whose caches lie in pages of their own, always the same. Every token is number 0.
 */
struct ash_plan_shape {
    int32_t sequences, tokens, depth; /* `tokens` of each, after `depth` others */
};

struct ash_plan_batch {
    struct ash_batch batch; /* logits are wanted of each sequence's last token */
    struct ash_span *span;
    int32_t *numbers; /* what the batch points to */
};

/* ASH_ERR_LIMIT: more tokens, sequences or positions than the model was loaded for; the message says which
 * setting says so. */
enum ash_status ash_plan_batch_check(
    const struct ash_model *model, const struct ash_plan_shape *shape);

/* Errors as above. The caller ends *out with ash_plan_batch_finish(). */
enum ash_status ash_plan_batch_create(
    const struct ash_model *model, const struct ash_plan_shape *shape, struct ash_plan_batch *out);
void ash_plan_batch_finish(struct ash_plan_batch *batch); /* takes an all-zero one */

/*
 * Runs the positions before a batch, where some device computes in host memory: what was never written there
 * is all one page of zeros, which is read faster than a cache is.
 */
enum ash_status ash_plan_batch_prefill(
    const struct ash_model *model, const struct ash_plan_shape *shape);

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "runtime/op.h"

#include <jansson.h>

/*
 * How long a step takes on a device: the roofline (Williams, Waterman, Patterson 2009, CACM 52(4)) as the
 * first guess, corrected by what was measured.
 *
 *   guess(cost)   = launch_s + max(bytes / bytes_per_s, flops / flops_per_s)
 *   predict(cost) = guess * e^(weighted mean over samples of log(seconds / guess of the sample))
 *
 * A sample's weight falls with its distance from `cost` in log bytes and log flops (kernel regression:
 * Nadaraya 1964, Watson 1964), so that small and large calls each are predicted by their like, and what
 * was never seen by the nearest known. A few samples a kernel are enough: the guess has the shape.
 *
 * Samples belong to a key, as "matmul/Q4_0/matmul_tile": what one kernel does, of a cost that its time follows
 * without jumps (cost_file.h has both of a call). A key holds a few dozen; a new one
 * replaces that which is nearest to it, so that the sizes that occur stay covered and the model follows a
 * machine that changes. Threads: one at a time per model.
 */
struct ash_cost_model;

/* A device's roofs. */
struct ash_rates {
    double bytes_per_s;
    double flops_per_s; /* multiply-add = 2 */
    double launch_s;
};

enum ash_status ash_cost_model_create(const struct ash_rates *rates, struct ash_cost_model **out);
void ash_cost_model_destroy(struct ash_cost_model *model); /* takes NULL */

/* Takes in that a call of this cost took `seconds`. ASH_ERR_ARGUMENT unless that is finite and > 0. */
enum ash_status ash_cost_model_learn(
    struct ash_cost_model *model, const char *key, const struct ash_cost *cost, double seconds);

/* Seconds, > 0. For a key without samples, "a/b/c", by those of "a/b", else by the mean of all "a/b/...", and so on
 * to all of the device's; without any, the guess. */
double ash_cost_model_predict(
    const struct ash_cost_model *model, const char *key, const struct ash_cost *cost);

/*
 * To JSON, for the caller to json_decref() (ASH_ERR_NO_MEMORY), and back, into a model without samples.
 * ASH_ERR_ARGUMENT: it has some. ASH_ERR_FORMAT: not what the first wrote; the model is then as it was.
 */
enum ash_status ash_cost_model_json(const struct ash_cost_model *model, json_t **out);
enum ash_status ash_cost_model_read(struct ash_cost_model *model, const json_t *json);

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "scheduler/cost_model.h"
#include "scheduler/plan.h"

/*
 * How long a plan's steps take, in place: between the steps before and after them, with the caches as those
 * leave them. Each step is run and waited for by itself; what it took is then scaled so that the steps
 * between two changes of device take together what they take when they run in one go, as in a replay.
 */

/*
 * Medians of up to `repeats` (>= 1), of fewer once they have taken `limit_s`, but of one at least: of every
 * step, into seconds [steps], and of whole replays. The batch writes its places in the states again and again,
 * and nothing else. Errors as ash_plan_run().
 */
enum ash_status ash_plan_measure(struct ash_plan *plan, const struct ash_batch *batch, int repeats,
    double limit_s, double *seconds, double *replay_s);

/* Teaches a device's model what a copy to it and one back take, host memory at the other end: the links of
 * a machine (devices.h), and a step of plans. */
enum ash_status ash_device_learn_copies(struct ash_device *device, struct ash_cost_model *model);

/* Teaches each device's model (by the plan's devices; NULL = none) what its steps took. */
enum ash_status ash_plan_learn(const struct ash_plan *plan, const struct ash_batch *batch,
    const double *seconds, struct ash_cost_model *const *models);

/*
 * Corrects what the models know by what a whole replay took: each step is learned anew as what it is predicted
 * to take, times what all together miss. By themselves steps miss what a run of them saves, and matrices,
 * whose weights are called ahead, save more than attention. Going over several batches again and again, what
 * these have in common comes to suit all, and what only one of them has takes the rest.
 */
enum ash_status ash_plan_fit(const struct ash_plan *plan, const struct ash_batch *batch,
    double replay_s, struct ash_cost_model *const *models);

/* The time of a batch by the models, step after step; the median over all steps of |predicted - measured| /
 * measured into *error_out where `seconds` are given. */
enum ash_status ash_plan_compare(const struct ash_plan *plan, const struct ash_batch *batch,
    struct ash_cost_model *const *models, const double *seconds, double *predicted_s,
    double *error_out);

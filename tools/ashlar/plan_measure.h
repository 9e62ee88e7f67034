/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "models/model.h"
#include "scheduler/draw.h"

/*
 * `ashlar plan --measure`: runs the model `path` on each of the runtime's devices alone, takes the time of
 * every operator there, and keeps that for placement (scheduler/cost_file.h). Prints a line a device to
 * `out` (NULL = none): what a token takes, what was predicted for it from the first half of the measurement,
 * and how far predictions of single steps were off. A device that cannot hold the model is said to be
 * unmeasured; everything else that fails is an error.
 */
enum ash_status ash_measure_devices(
    struct ash_runtime *runtime, const char *path, int32_t depth, FILE *out);

/*
 * What view->batch takes on a plan of the model's: predicted from what was measured, into view->cost_s (0 where a
 * device was never measured); with `measure`, also run, into view->measured_s.
 */
enum ash_status ash_measure_plan(
    const struct ash_model *model, struct ash_plan *plan, bool measure, struct ash_plan_view *view);

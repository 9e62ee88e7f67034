/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "models/model.h"
#include "scheduler/draw.h"

/* What to measure with. */
struct ash_measuring {
    const char *path; /* of the model's file */
    int32_t context;  /* the most positions it may have */
    int32_t depth;    /* of the token that is compared at the end; below `context` */
};

/*
 * `ashlar plan --measure`: runs the model on each of the runtime's devices alone, takes the time of every
 * operator there in a dozen batches, tokens and prompts, and keeps that for placement and predictions
 * (scheduler/cost_file.h). Prints a line a device to `out` (NULL = none): what a token took at the end, what
 * was predicted for it, and how far predictions of its single steps were off. A device that cannot hold the
 * model is said to be unmeasured, where there is `out`; everything else that fails is an error.
 */
enum ash_status ash_measure_devices(
    struct ash_runtime *runtime, const struct ash_measuring *measuring, FILE *out);

/*
 * What view->batch takes on a plan of the model's: predicted from what was measured, into view->cost_s (0 where a
 * device was never measured); with `seconds` [step] (NULL = not), also run, into view->measured_s and those, which
 * the view then borrows.
 */
enum ash_status ash_measure_plan(const struct ash_model *model, struct ash_plan *plan,
    double *seconds, struct ash_plan_view *view);

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "runtime/driver.h"
#include "tools/ashlar/bench.h"

/*
 * A single operator that is run by its driver as a plan would run it: a list of steps, one after the
 * other, each with weights or caches of its own, so that these come from where a model's would come from.
 */
struct bench_subject {
    struct ash_device *device;
    const struct bench_row *row;
    const struct bench_shape *shape;
    const struct bench_phase *phase;
    struct ash_kernel kernel[2]; /* the only one there is, and the end */
    struct ash_op op;            /* the row's, with that kernel */
    union bench_params params;
    struct ash_args args;
    struct ash_cost cost;

    struct ash_batch batch;
    struct ash_span *span;
    int32_t *numbers; /* of the batch, in one block: token, token_span, output, pages */

    struct ash_loaded *loaded;
    struct ash_buffer *in[ASH_MAX_INPUTS], *out;
    size_t stride[ASH_MAX_INPUTS]; /* between the weights of two steps; 0 = all have the same */
    struct ash_step *step;
    int32_t steps;
    struct ash_program *program;
};

/* Fills args from row, shape and phase, which are set, with the typed inputs in `type`. */
enum ash_status bench_subject_shape(struct bench_subject *subject, enum ash_type type);

/* Takes `kernel` for it; false where this machine cannot run it, or it not these shapes. */
bool bench_subject_choose(struct bench_subject *subject, const struct ash_kernel *kernel);

/* Allocates, fills and compiles. End it with bench_subject_finish(), also after a failure. */
enum ash_status bench_subject_prepare(struct bench_subject *subject);
void bench_subject_finish(struct bench_subject *subject);

/* `runs` times (at least once) through all steps; nanoseconds of one step. */
enum ash_status bench_subject_run(
    const struct bench_subject *subject, int64_t runs, double *out_ns);

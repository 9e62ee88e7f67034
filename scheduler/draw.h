/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "scheduler/plan.h"

#include <jansson.h>
#include <stdio.h>

/*
 * A plan for people and programs: its steps, how they hang together, how they share memory, and how
 * long they should take. What `ashlar plan` prints.
 */

/* What to show. The roofs are this machine's, measured; 0 = unknown, and no times are predicted. */
struct ash_plan_view {
    const struct ash_plan *plan;
    const struct ash_batch *batch;   /* the one to count the work of; NULL = the largest */
    const char *title;               /* the model's name; NULL = none */
    double bytes_per_s, flops_per_s; /* memory bandwidth and peak arithmetic of all threads */
    double cost_s; /* what the batch should take by what was measured of the devices; 0 = unknown */
    double measured_s;    /* what it took; 0 = unknown */
    double cost_error;    /* of a step in the median, where both are known: 0.1 = a tenth */
    const double *step_s; /* [step] what each took, of measured_s; NULL = unknown */
};

/*
 * Sum over all steps of what bounds each: max(bytes / bandwidth, flops / peak), in seconds; 0 without
 * roofs. A lower bound: a model whose weights stay in a cache, or which waits, does otherwise.
 */
double ash_plan_predict_s(const struct ash_plan_view *view);

/* A summary and one line a step. ASH_ERR_IO with errno's text, here and below. */
enum ash_status ash_plan_print_text(const struct ash_plan_view *view, FILE *out);

/* Graphviz: steps by phase, states as cylinders. */
enum ash_status ash_plan_print_dot(const struct ash_plan_view *view, FILE *out);

/* The arena: phases to the right, offsets downwards, a box for every result from the phase that writes
 * it to the last that reads it, coloured by operator. */
enum ash_status ash_plan_print_svg(const struct ash_plan_view *view, FILE *out);

/* The same as one document; NULL when there is no memory. */
json_t *ash_plan_json(const struct ash_plan_view *view);

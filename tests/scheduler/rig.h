/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "drivers/drivers.h"
#include "scheduler/plan.h"
#include "tests/support/tiny_ops.h"

#include <stdio.h>
#include <stdlib.h>

/*
 * What tests of plans share: devices, and graphs out of tiny operators. All abort on failure. Without
 * Criterion, which does not start under ThreadSanitizer.
 */
#define rig_must(condition)                                                                        \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: %s does not hold (%s)\n", __FILE__, __LINE__, #condition,      \
                ash_error());                                                                      \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

/* The first device of the driver `name`. */
struct ash_device *rig_open(const char *name, int threads);

/* C columns of every value, and T and O of every graph. */
enum { RIG_COLUMNS = 32, RIG_TOKENS = 48, RIG_OUTPUTS = 4 };

struct ash_graph *rig_graph(void);

/* A weight (rows, RIG_COLUMNS) or (RIG_COLUMNS) for rows 0, with numbers out of `seed` < 64; data is
 * static. A state of 5 rows. */
ash_value rig_weight(struct ash_graph *graph, int64_t rows, uint32_t seed);
ash_value rig_state(struct ash_graph *graph);

ash_value rig_source(struct ash_graph *graph, const char *name);

/* Adds an operator of up to three inputs; ASH_NO_VALUE for those it does not take. */
ash_value rig_add(struct ash_graph *graph, const char *name, const struct ash_op *op, ash_value a,
    ash_value b, ash_value c);

/* A graph of `nodes` operators drawn by `seed`, with states, several outputs and values that die early
 * and late; with `a8`, of some that round their inputs where there are kernels. Writes the outputs'
 * values, at most `capacity`, and returns how many. */
int rig_random(
    struct ash_graph *graph, uint32_t seed, int nodes, bool a8, ash_value *outputs, int capacity);

/* A device for each node, drawn by `seed`: any of so many, but nodes of one state together. */
void rig_place(const struct ash_graph *graph, uint32_t seed, int devices, int32_t *out);

struct ash_plan *rig_plan(const struct ash_graph *graph, struct ash_device *device,
    const struct ash_plan_options *options);

/* Makes the plan again and again, each time with one allocation later failing, until it succeeds. */
void rig_plan_with_failing_memory(
    const struct ash_graph *graph, const struct ash_plan_options *options);

/* The step of that name; index -1 if there is none. */
int32_t rig_step(const struct ash_plan *plan, const char *name, struct ash_plan_step *out);

struct ash_plan_summary rig_summary(const struct ash_plan *plan);

/* Runs a batch of one sequence of `tokens`, with one row of logits, and copies the output `value`. */
void rig_read(struct ash_plan *plan, ash_value value, int32_t tokens, float *out);

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "runtime/op.h"

/*
 * A graph of operators over named values, as a model describes itself; the input of the planner.
 *
 * Building never fails half-way: after the first error every call returns ASH_NO_VALUE and does
 * nothing, so that a model's code reads straight down; ash_graph_status() tells at the end.
 * Operators run in an order in which each comes after those it was built from. Operators that update
 * a state (a cache) and those that read it keep the order in which they were added.
 * Threads: one at a time. The graph borrows weights' data and the names of weights; it copies params.
 */
struct ash_graph;

typedef int32_t ash_value; /* a value's number in its graph: 0, 1, ... */
enum { ASH_NO_VALUE = -1 };

enum ash_value_kind {
    ASH_VALUE_WEIGHT, /* constant; data is given and read once, when the plan is made */
    ASH_VALUE_STATE,  /* lives as long as the plan, zeroed at first; operators update it */
    ASH_VALUE_RESULT, /* made by an operator in every replay */
};

/* `tokens` and `outputs`: the largest T and O of a batch; shapes are inferred with these. */
enum ash_status ash_graph_create(int64_t tokens, int64_t outputs, struct ash_graph **out);
void ash_graph_destroy(struct ash_graph *graph); /* takes NULL */

/* `weight->data` must stay valid until the plan is made. `name` is copied. */
ash_value ash_graph_weight(
    struct ash_graph *graph, const char *name, const struct ash_tensor *weight);

ash_value ash_graph_state(
    struct ash_graph *graph, const char *name, const struct ash_tensor *shape);

/*
 * Adds an operator. `inputs` in the operator's order; ASH_NO_VALUE leaves an optional one out.
 * `params` is copied (op->params_bytes). Returns its result; for an operator without one (pure
 * update), the first input that it updates.
 */
ash_value ash_graph_add(struct ash_graph *graph, const char *name, const struct ash_op *op,
    const ash_value *inputs, int count, const void *params);

/*
 * For a model that several devices compute by rows: operators added from here on are of part `part` (0, 1,
 * ...; -1, as at first: of none), which their names end with: "blk.0.attn_q#1".
 */
void ash_graph_set_part(struct ash_graph *graph, int32_t part);

/* Keeps a result readable after a replay (logits). */
void ash_graph_mark_output(struct ash_graph *graph, ash_value value);

/* The first error of building, with its message put back for ash_error(). */
enum ash_status ash_graph_status(const struct ash_graph *graph);

/* Makes `status` (not ASH_OK), with this thread's message, the graph's error if it has none yet; for
 * what goes wrong between two calls, such as a weight that a file lacks. Returns ASH_NO_VALUE. */
ash_value ash_graph_fail(struct ash_graph *graph, enum ash_status status);

/* What planners and drawings read. Pointers are valid until the next ash_graph_*() call. */
struct ash_graph_value {
    const char *name;
    enum ash_value_kind kind;
    struct ash_tensor tensor; /* data only for weights */
    int32_t producer;         /* node that makes it; -1 for weights and states */
    bool output;
};

struct ash_graph_node {
    const char *name;
    const struct ash_op *op;
    ash_value in[ASH_MAX_INPUTS];
    ash_value out; /* ASH_NO_VALUE for a pure update */
    const void *params;
    int32_t part; /* as ash_graph_set_part() */
};

int32_t ash_graph_values(const struct ash_graph *graph);
int32_t ash_graph_nodes(const struct ash_graph *graph);
const struct ash_graph_value *ash_graph_value_at(const struct ash_graph *graph, ash_value value);
const struct ash_graph_node *ash_graph_node_at(const struct ash_graph *graph, int32_t node);
int64_t ash_graph_tokens(const struct ash_graph *graph);
int64_t ash_graph_outputs(const struct ash_graph *graph);

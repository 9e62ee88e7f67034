/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "runtime/driver.h"
#include "scheduler/graph.h"

struct ash_trace;

/*
 * A plan: a graph made ready to run. Made once, when a model is loaded; replayed for every batch.
 *
 * Planning (0) takes each node's device from the options, (1) fuses what pays (an addition into the matmul
 * before it, the conversion of activations into the operator that makes them), (2) chooses a kernel for every
 * node, (3) cuts the list of steps into phases whose steps do not depend on each other, (4) lays all
 * activations into one arena a device by lifetime, and (5) uploads the weights in the layout their kernels
 * want, each where it is read. A value read on another device than the one that made it is copied there,
 * once, in a step of its own. A replay
 * then only binds the batch's numbers and runs: it allocates nothing and takes no lock. Devices wait for
 * each other's events, the host for none but the last (a driver whose work is done in launch() waits there).
 *
 * Threads: one replay at a time per plan. The graph may be destroyed once the plan is made.
 */
struct ash_plan;

struct ash_plan_options {
    struct ash_device *const *devices; /* >= 1; borrowed, must outlive the plan */
    int device_count;
    /* By node of the graph: which of `devices` runs it. Nodes of one state share a device, unless it is
     * scratch to all of them. Borrowed for the call; NULL = the first runs all. */
    const int32_t *placement;
    /*
     * NULL, or a plan of the same graph in the same placement: this one is for batches of prompts then, with
     * kernels chosen for many tokens at a time, and that one for answers, token after token. Weights (where
     * both want one layout) and states are that one's, which must outlive this one. What a sequence's results
     * are may hang on which of its tokens ran in which of the two, on nothing else.
     */
    const struct ash_plan *answers;
    bool no_fusion;  /* one step a node, as written; for tests and comparisons */
    bool no_sharing; /* each result in memory of its own; likewise */
    /* Plain weights smaller than this are copied even where the device could read them in place: each
     * norm read in a mapped file keeps a large folio of the page cache resident around it. */
    size_t in_place_bytes;
    /* NULL = no tracing; borrowed; to be written while the plan lives, whose names it shows. */
    struct ash_trace *trace;

    /* Called while weights are uploaded, with bytes done of the total; false cancels. May be NULL. */
    bool (*progress)(void *context, uint64_t done_bytes, uint64_t total_bytes);
    /* Called once a weight has been uploaded and its data is no longer needed (so that a mapped file
     * can drop the pages, and memory never holds the weights twice). May be NULL. Not called for
     * weights that are used where they lie (see ash_plan_create). */
    void (*release)(void *context, const struct ash_tensor *weight);
    void *context;
    /* On failure: the device whose call failed, -1 if it was none's. May be NULL. */
    int32_t *failed_out;
};

/*
 * A weight that no kernel wants repacked and that the device can read in host memory is used where it
 * lies: its data must then outlive the plan (models keep the file mapped).
 *
 * ASH_ERR_UNSUPPORTED  the device of some node has no kernel for it (both named in the message)
 * ASH_ERR_NO_MEMORY    weights, arena or states do not fit; the message says how much was wanted, where
 * ASH_ERR_ARGUMENT     a placement outside `devices`, or of one state on two of them
 * ASH_ERR_CANCELED     progress() returned false
 */
enum ash_status ash_plan_create(
    const struct ash_graph *graph, const struct ash_plan_options *options, struct ash_plan **out);
void ash_plan_destroy(struct ash_plan *plan); /* takes NULL */

/*
 * From now on a batch of more than `tokens` tokens is run as micro-batches of at most so many, in order: each device
 * goes on to the next one while others still have the one before (pipeline parallelism: GPipe, Huang et al.
 * 2019, arXiv:1811.06965). What comes out is what the parts would have given one after the other. It takes memory for
 * the activations of three micro-batches. Nothing changes where no value goes from device to device, where `tokens`
 * is no less than the plan's, and where there is no memory.
 *
 * `graph` and `options` are those that the plan was made of. On failure, as ash_plan_create(), the plan is as it was.
 */
enum ash_status ash_plan_add_micro(struct ash_plan *plan, const struct ash_graph *graph,
    const struct ash_plan_options *options, int32_t tokens);

/*
 * Replays the plan on a batch and returns when its outputs can be read.
 * ASH_ERR_LIMIT  more tokens or outputs than the graph was made for. ASH_ERR_DEVICE  as the driver's;
 * the message names the device.
 */
enum ash_status ash_plan_run(struct ash_plan *plan, const struct ash_batch *batch);

/* After a replay that failed: the device whose call failed (an event of another may have told it); -1 if
 * it was none's. */
int32_t ash_plan_failed(const struct ash_plan *plan);

/* Whether both take the same kernels for every step: then one of them is enough. */
bool ash_plan_is_same(const struct ash_plan *a, const struct ash_plan *b);

/* An output after a replay, in host memory, with as many rows as the batch wanted; valid until the next
 * replay. NULL if `value` was not marked as one. */
const struct ash_tensor *ash_plan_output(const struct ash_plan *plan, ash_value value);

/* Where a state lies, for copying cache pages; buffer NULL if there is no such state. */
struct ash_place ash_plan_state(const struct ash_plan *plan, ash_value value);

/* What the plan holds, for `ashlar plan`, tests and traces. */
struct ash_plan_summary {
    int32_t nodes; /* of the graph */
    int32_t steps, phases;
    uint64_t weight_bytes; /* uploaded, as kernels want them; with those of the plan for answers */
    uint64_t mapped_bytes; /* weights used where they lie */
    uint64_t state_bytes;
    uint64_t arena_bytes;
    uint64_t micro_bytes;    /* as much again, for micro-batches */
    int32_t micro_tokens;    /* of one of those at most; 0 = there are none */
    uint64_t unshared_bytes; /* what the arena would take without sharing by lifetime */
};
struct ash_plan_step {
    const char *name; /* of the graph's node: "blk.3.ffn_down" */
    const struct ash_step *step;
    int32_t device;       /* of the plan's, that runs it */
    struct ash_cost cost; /* for the batch asked about */
    int64_t arena_offset; /* of its output; -1 if it is not in the arena */
    int32_t last_phase;   /* in which its output is read for the last time */
};
void ash_plan_summary(const struct ash_plan *plan, struct ash_plan_summary *out);
/* `batch` may be NULL: costs are then for the largest batch. */
enum ash_status ash_plan_step_at(const struct ash_plan *plan, int32_t index,
    const struct ash_batch *batch, struct ash_plan_step *out);

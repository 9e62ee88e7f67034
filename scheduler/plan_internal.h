/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "scheduler/plan.h"

/*
 * A plan on its way from a graph to a list of steps. The functions below are called in their order by
 * ash_plan_create(), each in a file of its own; what one leaves half done, ash_plan_destroy() ends.
 */

enum { PLAN_ALIGNMENT = 64 };

/* The first ones are the graph's, under the same numbers; conversions add more. */
struct plan_value {
    enum ash_value_kind kind;
    struct ash_tensor tensor; /* as it is in memory: A8 where fused; data once it has a place */
    bool output;
    bool mapped;    /* a weight that some step reads where it lies */
    bool released;  /* a weight whose last upload has been found */
    int32_t device; /* whose memory it is in; of weights: nothing, each reader has its own */
    int32_t uses;   /* inputs that read it */
    int32_t wanted; /* readers that want it as `wanted_type` */
    enum ash_type wanted_type;
    int32_t node;           /* that makes it; -1 for weights and states */
    int32_t first_phase;    /* in which it is written */
    int32_t last_phase;     /* in which it is read for the last time */
    ash_value root;         /* the value whose memory it takes over in place; itself if none */
    struct ash_place place; /* of a weight: only if every reader wants it plain */
};

struct plan_node {
    char *name; /* owned */
    const struct ash_op *op;
    void *params; /* owned */
    ash_value in[ASH_MAX_INPUTS];
    ash_value out;
    int32_t device;
    int32_t phase;
    int32_t stage, turn;       /* plan_phase.c */
    struct ash_loaded *loaded; /* owned, but for a copy's, which is the plan's */
};

/* What the plan holds on one device. */
struct plan_device {
    struct ash_device *device;
    struct ash_buffer *weights, *states, *arena;
    struct ash_trace_lane *lane; /* for drivers that do not compile */
    size_t used_bytes;     /* of its memory: the three, those of base, and those of micro-batches */
    struct ash_event last; /* of this replay: work on it, or on what it has in its arena */
};

struct plan_output {
    ash_value value;
    struct ash_tensor tensor; /* bound to the last batch */
    struct ash_place place;   /* where it is made, if the host cannot read it; else buffer NULL */
    struct ash_buffer copy;   /* what it is copied to after each replay; memory owned */
};

/* Steps [first, end), all on one device; or one copy to it. */
struct plan_segment {
    int32_t device;
    int32_t from; /* of a copy: the device that holds the value; -1 = steps */
    int32_t first, end;
    struct ash_program *program; /* NULL = launched one by one */
    struct ash_buffer staging;   /* of a copy, where the host reaches neither device's memory */
    struct ash_event taken;      /* of this replay: what was in the staging has been read */
};

/* One weight in one layout on one device; steps that want the same share it. */
struct plan_upload {
    ash_value value;
    int32_t device;
    size_t node; /* the first that wants it, at this input */
    int input;
    bool packed;
    size_t offset_bytes, size_bytes; /* in the device's memory for weights */
    bool last;                       /* of its weight: its data is not needed afterwards */
};

/* Host memory that is pinned for copies of a device and the others of its driver. */
struct plan_pin {
    struct ash_device *device;
    void *host;
};

/* Micro-batches (plan_micro.c): part i of a batch is of slot i % PLAN_SLOTS. */
enum { PLAN_SLOTS = 3 };

struct plan_micro {
    struct ash_plan *slot[PLAN_SLOTS]; /* owned; all have the same segments */
    /* By segment: how many segments must have been queued before it of the part before (which touches the same
     * states), and of the part before in its slot (which has activations on the same devices). */
    int32_t *after, *reuses;
    int32_t
        *takes; /* by output: the segment whose turn it is to have it fetched before it begins */
    /* Of the replay under way: the parts, and how many segments of each have been queued. */
    struct ash_batch *part;
    int32_t *queued, parts;
    /* What the parts point into: as long as the whole batch's, and a span more for each part. */
    struct ash_span *span;
    int32_t *token_span, *output;
};

struct ash_plan {
    int64_t tokens, outputs;
    const struct ash_plan
        *whole; /* of whose batches it computes parts, or another such; NULL = of none */
    const struct ash_plan *base; /* whose weights and states it uses; NULL = it has its own */
    bool prompts;                /* made for batches of prompts */
    struct plan_micro *micro;    /* owned; NULL = batches are run whole */
    struct plan_value *value;
    size_t values, value_capacity;
    struct plan_node *node; /* once phases are set: in the order of the steps */
    size_t nodes, node_capacity;
    struct plan_device *device;
    int32_t devices;
    struct ash_step *step; /* one a node */
    struct plan_segment *segment;
    int32_t segments;
    struct plan_output *output;
    int32_t output_count;
    struct plan_pin *pin;
    size_t pins, pin_capacity;
    int32_t failed;           /* the device that the last error came from; -1 = none */
    struct ash_loaded copied; /* of every copy */
    struct plan_upload *upload;
    size_t uploads, upload_capacity;
    struct ash_trace *trace;
    size_t in_place_bytes; /* as in the options */
    struct ash_plan_summary summary;
};

static inline size_t plan_aligned(size_t size_bytes)
{
    return (size_bytes + PLAN_ALIGNMENT - 1) / PLAN_ALIGNMENT * PLAN_ALIGNMENT;
}

/* The arguments of a node as they stand: types and largest shapes, no data. */
struct ash_args plan_args(const struct ash_plan *plan, const struct plan_node *node);

/* Appends a value like `tensor`, made by no node yet. */
enum ash_status plan_add_value(
    struct ash_plan *plan, const struct ash_tensor *tensor, ash_value *out);

/* Frees what a node owns. */
void plan_node_finish(struct ash_plan *plan, struct plan_node *node);

/* Whether two tensors have the same type and shape. */
bool plan_is_alike(const struct ash_tensor *a, const struct ash_tensor *b);

/* Whether input i of a node is written in place. */
static inline bool plan_updates(const struct plan_node *node, int i)
{
    return node->op->updates >> i & 1;
}

/* Takes memory of a device that plan->device[index] then holds in *out; ASH_ERR_NO_MEMORY also where
 * several devices share a plan and this one's memory is used up. `what` is for messages. */
enum ash_status plan_alloc(struct ash_plan *plan, int32_t index, size_t size_bytes,
    enum ash_memory_use use, const char *what, struct ash_buffer **out);

/* Notes that a call to a device failed, if it did; returns `status`. */
static inline enum ash_status plan_note(
    struct ash_plan *plan, int32_t index, enum ash_status status)
{
    if (status != ASH_OK)
        plan->failed = index;
    return status;
}

/* "opencl:0" into `text`; returns it. */
enum { PLAN_NAME_BYTES = 32 };
const char *plan_device_name(
    const struct ash_plan *plan, int32_t index, char text[PLAN_NAME_BYTES]);

/* plan_copy.c: between devices. Each state belongs to the device of its nodes, and scratch that several
 * devices use is doubled; after plan_place(), what is read elsewhere is copied there. */
enum ash_status plan_settle_states(struct ash_plan *plan);
enum ash_status plan_add_copies(struct ash_plan *plan);
/* Whether a node is one of those. */
bool plan_is_copy(const struct plan_node *node);

/* plan.c: whether a run of steps that are compiled together begins at `step`. */
bool plan_begins_segment(const struct ash_plan *plan, int32_t step);

/* plan_fuse.c: operators take in those that they absorb. */
void plan_absorb(struct ash_plan *plan);

/* plan_place.c: gives each node a device and a kernel, and each kernel its activations' type. */
enum ash_status plan_place(struct ash_plan *plan, bool fuse);

/* plan_phase.c: orders the nodes by phase; sets every value's lifetime. */
enum ash_status plan_set_phases(struct ash_plan *plan);

/* plan_arena.c: gives every result its place in the arena, sharing memory unless told not to. */
enum ash_status plan_lay_out(struct ash_plan *plan, bool share);

/* plan_weight.c: gives states and weights their places and uploads the weights. Needs plan->step. */
enum ash_status plan_add_states(struct ash_plan *plan);
enum ash_status plan_add_weights(struct ash_plan *plan, const struct ash_plan_options *options);

/* plan_pin.c: pins the host memory that copies go from and to, where drivers can; once segments and outputs are
 * there. The other undoes it, before any of that memory goes. ASH_ERR_NO_MEMORY only for the list of them. */
enum ash_status plan_pin_host(struct ash_plan *plan);
void plan_unpin_host(struct ash_plan *plan);

/* plan.c: a plan as the options say; with `whole`, one of `tokens` tokens for parts of that one's batches (or of
 * those that it is for itself). */
enum ash_status plan_create(const struct ash_graph *graph, const struct ash_plan_options *options,
    struct ash_plan *whole, int32_t tokens, struct ash_plan **out);

/* plan_micro.c */
void plan_micro_destroy(struct plan_micro *micro); /* takes NULL */
/* execute_micro.c: whether a batch is run as micro-batches; runs it so. */
bool plan_micro_takes(const struct ash_plan *plan, const struct ash_batch *batch);
enum ash_status plan_micro_run(struct ash_plan *plan, const struct ash_batch *batch);

/* execute.c: parts of a replay. Begins one; queues a segment; queues output i on its way to `to`, from its first
 * row on (nothing where the host reads it where it is made); waits for all, and returns `status` or the first
 * error there was. */
void plan_begin(struct ash_plan *plan);
enum ash_status plan_queue_segment(
    struct ash_plan *plan, int32_t index, const struct ash_batch *batch);
enum ash_status plan_queue_output(
    struct ash_plan *plan, int32_t index, const struct ash_batch *batch, struct ash_place to);
enum ash_status plan_finish(struct ash_plan *plan, enum ash_status status);

/* execute.c: one segment, or one step that is no copy, by itself; returns when it is done. */
enum ash_status plan_run_segment(
    struct ash_plan *plan, int32_t index, const struct ash_batch *batch);
enum ash_status plan_run_step(struct ash_plan *plan, int32_t index, const struct ash_batch *batch);

/* A block of memory needed during some phases, for arena_lay_out(). */
struct arena_block {
    size_t size_bytes; /* a multiple of PLAN_ALIGNMENT */
    int32_t first_phase, last_phase;
    size_t offset_bytes; /* found */
};

/*
 * Places blocks so that no two with a phase in common overlap: the largest first, each into the
 * smallest gap that holds it. Reorders `block`'s pointers in `order` (room for `count`) by offset.
 * Returns how many bytes they take together.
 */
size_t arena_lay_out(struct arena_block *block, size_t count, struct arena_block **order);

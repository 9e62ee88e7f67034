/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "scheduler/graph.h"
#include "scheduler/machine.h"

/*
 * Which device runs which node of a graph: the graph and a machine made into a scheduling problem, and
 * its solution. Objective: the time of one batch (one decoded token, mostly), with transfers and
 * memory limits. Nodes that share a state (a cache) stay together, so the KV cache follows its layer; input
 * comes from the host and outputs return to it. Of every device's memory a part is kept for activations.
 */
struct ash_placement {
    int32_t *device;    /* [node] of the machine */
    double *used_bytes; /* [device]: weights and states */
    double *busy_s;     /* [device]: in one batch */
    struct ash_schedule
        schedule; /* tasks are nodes; the last is the return of outputs to the host */
};

struct ash_place_options {
    const struct ash_batch *batch; /* whose time is made short; NULL = the largest */
    /* By device of the machine; NULL, and each NULL among them: the table's rates alone. */
    const struct ash_cost_model *const *cost_model;
    /* By device of the machine, which are then in use: what they compute for a node is what it costs there. NULL:
     * the machine is not here, and a node costs what it asks for. */
    struct ash_device *const *devices;
    /* Whether a device of the machine has a kernel for a node; NULL = all have. */
    bool (*runs)(void *context, const struct ash_graph *graph, const struct ash_graph_node *node,
        int32_t device);
    void *context;
    bool unlimited; /* as if every device had memory enough */
    int effort;     /* as of ash_schedule_find() */
    bool heft;      /* plain HEFT instead, for comparison */
};

/* Errors as ash_schedule_find(), with the names of nodes and devices. The caller ends *out. */
enum ash_status ash_place_find(const struct ash_graph *graph, const struct ash_machine *machine,
    const struct ash_place_options *options, struct ash_placement *out);

/*
 * The same for nodes on devices that are given, which run them in the graph's order. ASH_ERR_ARGUMENT: a
 * node where it cannot run. ASH_ERR_NO_MEMORY: a device's memory does not hold what it would have to.
 */
enum ash_status ash_place_given(const struct ash_graph *graph, const struct ash_machine *machine,
    const struct ash_place_options *options, const int32_t *device, struct ash_placement *out);

/*
 * The time of `parts` micro-batches, each as options->batch, on the same devices (ash_plan_add_micro): the first takes
 * its time, each other as long as the busiest device, or all transfers, take for one.
 */
enum ash_status ash_place_stream(const struct ash_graph *graph, const struct ash_machine *machine,
    const struct ash_place_options *options, const int32_t *device, int32_t parts,
    double *seconds_out);

void ash_placement_finish(struct ash_placement *placement); /* takes an all-zero one */

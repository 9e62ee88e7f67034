/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "runtime/affinity.h"
#include "runtime/thread.h"

#include <sched.h>

enum { MASK_BYTES = ASH_AFFINITY_MAX / 8 };

/* What the options of a team come to on this machine. */
struct ash_team_plan {
    int threads, cpu_count;
    int nodes;                      /* that the workers lie on; at least 1 */
    bool pinned;                    /* worker i on cpu[i] */
    bool spins;                     /* a CPU for each thread */
    int cpu[ASH_AFFINITY_MAX];      /* where the workers may run; unless given, node after node */
    int16_t node[ASH_AFFINITY_MAX]; /* of each cpu[] */
};

/* For the caller to ash_free(). Errors as of ash_team_create(). */
enum ash_status ash_team_plan_create(
    const struct ash_team_options *options, struct ash_team_plan **out);

/* The same for a process that may run on `count` CPUs, `usable` of them at once. */
enum ash_status ash_team_plan_fill(const struct ash_team_options *options, const int *cpus,
    int count, int usable, const struct ash_numa *numa, struct ash_team_plan *out);

/* The node of a worker: those on a node follow one another, as many as its part of the CPUs. */
int ash_team_plan_node(const struct ash_team_plan *plan, int worker);

/* Where a worker may run: its CPU, or its node's, or all. `out` has MASK_BYTES. */
void ash_team_plan_mask(const struct ash_team_plan *plan, int worker, cpu_set_t *out);

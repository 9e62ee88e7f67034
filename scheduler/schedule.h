/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "runtime/status.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * Which device runs which task, and when: static scheduling of a task graph on unlike devices, with
 * transfers, limited memory, and tasks that must stay together. It knows nothing of operators; place.h
 * makes a problem of a graph and a machine. Where input comes from, and where results must end up, are
 * tasks of zero seconds that run on one device only.
 *
 * Sources: HEFT (Topcuoglu, Hariri, Wu 2002, IEEE TPDS 13(3)) for the order and the first assignment;
 * PEFT's optimistic cost table (Arabnejad, Barbosa 2014, IEEE TPDS 25(3)) for one that looks ahead. The
 * result is the best of these, of each single device, and of contiguous splits, improved by local
 * search on the virtual clock: hence never worse than any of them.
 *
 * Times are seconds in double. Threads: any number, on problems of their own; no globals.
 */

/* Bytes that task `from` makes and task `to` reads; from < to. */
struct ash_schedule_edge {
    int32_t from, to;
    double bytes;
};

/* Something that stays in a device's memory while any of its tasks run there: a weight, a cache. */
struct ash_schedule_object {
    double bytes;
};

struct ash_schedule_use {
    int32_t task, object;
};

/* A way for bytes; two pairs of devices with the same link wait for each other. */
struct ash_schedule_link {
    double latency_s;
    double bytes_per_s;
};

/*
 * A problem; all arrays are borrowed. Tasks are numbered in an order in which each comes after those
 * it reads from. Checked by ash_schedule_check(), which every function below calls.
 */
struct ash_schedule_problem {
    int32_t tasks, devices;
    const double *seconds;   /* [task][device]; HUGE_VAL: it cannot run there */
    const int32_t *together; /* [task]: tasks with the same number stay on one device; -1: free.
                              * Numbers are below `tasks`. NULL = all free */
    const struct ash_schedule_edge *edge; /* ordered by `to` */
    int32_t edges;
    const struct ash_schedule_object *object;
    int32_t objects;
    const struct ash_schedule_use *use; /* ordered by task */
    int32_t uses;
    const double *memory_bytes; /* [device]; HUGE_VAL: enough */
    const struct ash_schedule_link *link;
    int32_t links;
    const int32_t
        *way; /* [from][to]: the link between two devices; not read where they are equal */
};

/* When a task runs; and where. */
struct ash_schedule_slot {
    int32_t device;
    double start_s, end_s;
};

struct ash_schedule {
    struct ash_schedule_slot *slot; /* [task] */
    int32_t *order; /* [task]: tasks by start; a device runs its own in this order */
    double makespan_s;
    double transfer_s;    /* of all links, summed */
    double exposed_s;     /* while something was under way and no device was busy */
    const char *strategy; /* what gave it: "HEFT", "one device", ...; for people */
};

/* ASH_ERR_ARGUMENT with a message that names the first thing that is wrong. */
enum ash_status ash_schedule_check(const struct ash_schedule_problem *problem);

/*
 * The virtual clock: runs tasks on `device` [task], those of one device in the order of `order` [task]
 * (both borrowed), one at a time; each link one transfer at a time, and a value to a device once. Fills
 * *out, which ash_schedule_finish() ends.
 * ASH_ERR_ARGUMENT   an order that is not one, or a task where it cannot run
 * ASH_ERR_NO_MEMORY  a device's objects exceed its memory; the message says which and by how much
 */
enum ash_status ash_schedule_simulate(const struct ash_schedule_problem *problem,
    const int32_t *device, const int32_t *order, struct ash_schedule *out);

/* Plain HEFT, for comparison. Errors as ash_schedule_find(). */
enum ash_status ash_schedule_heft(
    const struct ash_schedule_problem *problem, struct ash_schedule *out);

/*
 * The best schedule found. `effort` bounds the local search: how many assignments it tries for each task
 * (of at least 256; 0 = none, 16 is plenty). The same problem always gives the same schedule.
 * ASH_ERR_UNSUPPORTED  some task runs nowhere, or tasks that stay together have no device in common
 * ASH_ERR_NO_MEMORY    the objects fit on no assignment that was found; the message says what was
 *                      wanted and what there is
 */
enum ash_status ash_schedule_find(
    const struct ash_schedule_problem *problem, int effort, struct ash_schedule *out);

void ash_schedule_finish(struct ash_schedule *schedule); /* takes an all-zero one */

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "scheduler/schedule.h"

#include <stddef.h>

/*
 * A problem with what all strategies need of it, and working memory for the virtual clock, so that
 * thousands of assignments can be tried without an allocation.
 */
struct scheduler {
    const struct ash_schedule_problem *problem;
    int32_t *first_edge; /* [task + 1]: where a task's edges in begin */
    int32_t *first_use;  /* [task + 1] */
    int32_t *out_edge;   /* [edge]: edges ordered by `from` */
    int32_t *first_out;  /* [task + 1] */
    int32_t *unit; /* [task]: tasks that move together have the same; the least task's number */
    int32_t *next; /* [task]: the next task of its unit, -1 = none */
    bool *runs;    /* [task][device]: a unit's head: whether all of it can run there */
    /* The clock's. */
    double *device_free, *link_free;
    double *arrival; /* [task][device]: when its value is there; -1 = not sent */
    struct ash_schedule_slot *slot;
    /* Memory: which objects a device holds. */
    bool *held; /* [device][object] */
    double *used_bytes;
};

enum ash_status scheduler_init(const struct ash_schedule_problem *problem, struct scheduler *out);
void scheduler_finish(struct scheduler *scheduler);

static inline double scheduler_seconds(const struct scheduler *s, int32_t task, int32_t device)
{
    return s->problem->seconds[(size_t)task * (size_t)s->problem->devices + (size_t)device];
}

static inline bool scheduler_runs(const struct scheduler *s, int32_t task, int32_t device)
{
    return s->runs[(size_t)s->unit[task] * (size_t)s->problem->devices + (size_t)device];
}

/* Seconds to bring `bytes` from one device to another, when nothing else is under way. */
double scheduler_transfer_s(const struct scheduler *s, int32_t from, int32_t to, double bytes);

/* Bytes that a unit's tasks would add to a device's, given what it holds. */
double scheduler_added_bytes(struct scheduler *s, int32_t task, int32_t device);
/* Empties all devices; then a unit's objects are put on one. */
void scheduler_forget(struct scheduler *s);
void scheduler_hold(struct scheduler *s, int32_t task, int32_t device);

/* Whether an assignment fits into all devices' memory. If not, *device_out says where (-1 if fine). */
bool scheduler_fits(struct scheduler *s, const int32_t *device, int32_t *where);

/* Runs the virtual clock; slots are in s->slot. Returns the makespan. `order` must be a topological one
 * and every task run where `device` says. */
double scheduler_run(struct scheduler *s, const int32_t *device, const int32_t *order);

/* Sorts `order` (a topological one) by the start of what is in s->slot. Which stays topological: a
 * task begins when what it reads has ended, and equal starts keep their order. */
enum ash_status scheduler_order_slots(struct scheduler *s, int32_t *order);

/* A schedule of what scheduler_run() left. */
enum ash_status scheduler_result(
    struct scheduler *s, const int32_t *order, double makespan_s, struct ash_schedule *out);

/* The arrival of all that `task` reads, if it ran on `device`; sends nothing. */
double scheduler_ready_s(const struct scheduler *s, int32_t task, int32_t device);

/* Tasks by falling upward rank with mean costs: a topological order. Into order [task]. */
enum ash_status scheduler_rank(const struct scheduler *s, int32_t *order);

/*
 * List scheduling with insertion in the order given: the device of least finish time, plus `ahead`
 * [task][device] (PEFT's optimistic cost; NULL = none). Into device [task]. *fits is false where a
 * task's objects fit nowhere any more.
 */
enum ash_status scheduler_assign(
    struct scheduler *s, const int32_t *order, const double *ahead, int32_t *device, bool *fits);

/* PEFT's table into ahead [task][device]. */
void scheduler_look_ahead(const struct scheduler *s, double *ahead);

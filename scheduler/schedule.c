/* SPDX-License-Identifier: Apache-2.0 */
#include "scheduler/schedule.h"

#include "runtime/memory.h"
#include "scheduler/schedule_internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- Checks ---- */

static enum ash_status check_edges(const struct ash_schedule_problem *problem)
{
    for (int32_t i = 0; i < problem->edges; i++) {
        const struct ash_schedule_edge *edge = &problem->edge[i];
        if (edge->from < 0 || edge->from >= edge->to || edge->to >= problem->tasks)
            return ash_fail(ASH_ERR_ARGUMENT,
                "edge %d leads from task %d to task %d; expected 0 <= from < to < %d", i,
                edge->from, edge->to, problem->tasks);
        if (i > 0 && edge->to < edge[-1].to)
            return ash_fail(ASH_ERR_ARGUMENT, "edge %d is out of order: sort by `to`", i);
        if (!(edge->bytes >= 0) || isinf(edge->bytes))
            return ash_fail(ASH_ERR_ARGUMENT, "edge %d carries %g bytes", i, edge->bytes);
    }
    return ASH_OK;
}

static enum ash_status check_uses(const struct ash_schedule_problem *problem)
{
    for (int32_t i = 0; i < problem->uses; i++) {
        const struct ash_schedule_use *use = &problem->use[i];
        if (use->task < 0 || use->task >= problem->tasks || use->object < 0 ||
            use->object >= problem->objects)
            return ash_fail(
                ASH_ERR_ARGUMENT, "use %d: no task %d or no object %d", i, use->task, use->object);
        if (i > 0 && use->task < use[-1].task)
            return ash_fail(ASH_ERR_ARGUMENT, "use %d is out of order: sort by task", i);
    }
    for (int32_t i = 0; i < problem->objects; i++)
        if (!(problem->object[i].bytes >= 0) || isinf(problem->object[i].bytes))
            return ash_fail(
                ASH_ERR_ARGUMENT, "object %d has %g bytes", i, problem->object[i].bytes);
    return ASH_OK;
}

static enum ash_status check_machine(const struct ash_schedule_problem *problem)
{
    for (int32_t i = 0; i < problem->links; i++)
        if (!(problem->link[i].latency_s >= 0) || !(problem->link[i].bytes_per_s > 0))
            return ash_fail(ASH_ERR_ARGUMENT, "link %d: %g s and %g bytes/s", i,
                problem->link[i].latency_s, problem->link[i].bytes_per_s);
    for (int32_t from = 0; from < problem->devices; from++) {
        if (!(problem->memory_bytes[from] >= 0))
            return ash_fail(ASH_ERR_ARGUMENT, "device %d has %g bytes of memory", from,
                problem->memory_bytes[from]);
        for (int32_t to = 0; to < problem->devices; to++) {
            int32_t link = problem->way[from * problem->devices + to];
            if (from != to && (link < 0 || link >= problem->links))
                return ash_fail(
                    ASH_ERR_ARGUMENT, "no link %d from device %d to %d", link, from, to);
        }
    }
    return ASH_OK;
}

static enum ash_status check_tasks(const struct ash_schedule_problem *problem)
{
    for (int32_t task = 0; task < problem->tasks; task++) {
        for (int32_t device = 0; device < problem->devices; device++) {
            double seconds =
                problem->seconds[(size_t)task * (size_t)problem->devices + (size_t)device];
            if (!(seconds >= 0))
                return ash_fail(
                    ASH_ERR_ARGUMENT, "task %d takes %g s on device %d", task, seconds, device);
        }
        if (problem->together &&
            (problem->together[task] < -1 || problem->together[task] >= problem->tasks))
            return ash_fail(ASH_ERR_ARGUMENT, "task %d is together with no. %d of %d", task,
                problem->together[task], problem->tasks);
    }
    return ASH_OK;
}

enum ash_status ash_schedule_check(const struct ash_schedule_problem *problem)
{
    enum { MOST = 1 << 20 };
    if (problem->tasks < 1 || problem->devices < 1 || problem->tasks > MOST ||
        problem->devices > 1024)
        return ash_fail(ASH_ERR_ARGUMENT, "%d tasks on %d devices; expected 1 to %d on 1 to 1,024",
            problem->tasks, problem->devices, MOST);
    if (problem->edges < 0 || problem->objects < 0 || problem->uses < 0 || problem->links < 0)
        return ash_fail(ASH_ERR_ARGUMENT, "a negative number of edges, objects, uses or links");
    ASH_TRY(check_tasks(problem));
    ASH_TRY(check_edges(problem));
    ASH_TRY(check_uses(problem));
    return check_machine(problem);
}

/* ---- What all strategies need ---- */

/* first[i] .. first[i + 1] are the items of task i, once counted by first[task + 1]++. */
static void sum_up(int32_t *first, int32_t tasks)
{
    for (int32_t i = 0; i < tasks; i++)
        first[i + 1] += first[i];
}

static void index_edges(struct scheduler *s)
{
    const struct ash_schedule_problem *problem = s->problem;
    for (int32_t i = 0; i < problem->edges; i++) {
        s->first_edge[problem->edge[i].to + 1]++;
        s->first_out[problem->edge[i].from + 1]++;
    }
    for (int32_t i = 0; i < problem->uses; i++)
        s->first_use[problem->use[i].task + 1]++;
    sum_up(s->first_edge, problem->tasks);
    sum_up(s->first_use, problem->tasks);
    sum_up(s->first_out, problem->tasks);
    for (int32_t i = 0; i < problem->edges; i++) /* first_out is one ahead afterwards ... */
        s->out_edge[s->first_out[problem->edge[i].from]++] = i;
    memmove(s->first_out + 1, s->first_out, (size_t)problem->tasks * sizeof *s->first_out);
    s->first_out[0] = 0; /* ... and is put back */
}

/* Units are lists of tasks, by their least task. `head` is working memory: [task], -1. */
static void make_units(struct scheduler *s, int32_t *last, int32_t *head)
{
    const struct ash_schedule_problem *problem = s->problem;
    for (int32_t task = 0; task < problem->tasks; task++) {
        int32_t with = problem->together ? problem->together[task] : -1;
        s->unit[task] = with >= 0 && head[with] >= 0 ? head[with] : task;
        s->next[task] = -1;
        if (s->unit[task] != task)
            s->next[last[with]] = task;
        if (with >= 0) {
            head[with] = s->unit[task];
            last[with] = task;
        }
        for (int32_t device = 0; device < problem->devices; device++) {
            size_t at = (size_t)s->unit[task] * (size_t)problem->devices + (size_t)device;
            bool can = isfinite(scheduler_seconds(s, task, device));
            s->runs[at] = can && (s->unit[task] == task || s->runs[at]);
        }
    }
}

static enum ash_status check_units(const struct scheduler *s)
{
    for (int32_t task = 0; task < s->problem->tasks; task++) {
        bool somewhere = false;
        for (int32_t device = 0; device < s->problem->devices; device++)
            somewhere |= scheduler_runs(s, task, device);
        if (!somewhere)
            return ash_fail(ASH_ERR_UNSUPPORTED, "task %d%s on none of %d devices", task,
                s->next[s->unit[task]] >= 0 ? " and those that stay together with it run" : " runs",
                s->problem->devices);
    }
    return ASH_OK;
}

enum ash_status scheduler_init(const struct ash_schedule_problem *problem, struct scheduler *out)
{
    ASH_TRY(ash_schedule_check(problem));
    size_t tasks = (size_t)problem->tasks, devices = (size_t)problem->devices;
    *out = (struct scheduler){ .problem = problem,
        .first_edge = ash_alloc_array(tasks + 1, sizeof(int32_t)),
        .first_use = ash_alloc_array(tasks + 1, sizeof(int32_t)),
        .first_out = ash_alloc_array(tasks + 2, sizeof(int32_t)),
        .out_edge = ash_alloc_array((size_t)problem->edges, sizeof(int32_t)),
        .unit = ash_alloc_array(tasks, sizeof(int32_t)),
        .next = ash_alloc_array(tasks, sizeof(int32_t)),
        .runs = ash_alloc_array(tasks, devices * sizeof(bool)),
        .device_free = ash_alloc_array(devices, sizeof(double)),
        .link_free = ash_alloc_array((size_t)problem->links, sizeof(double)),
        .arrival = ash_alloc_array(tasks, devices * sizeof(double)),
        .slot = ash_alloc_array(tasks, sizeof *out->slot),
        .held = ash_alloc_array(devices, (size_t)problem->objects * sizeof(bool)),
        .used_bytes = ash_alloc_array(devices, sizeof(double)) };
    int32_t *work = ash_alloc_array(tasks, 2 * sizeof(int32_t));
    bool enough = out->first_edge && out->first_use && out->first_out && out->out_edge &&
                  out->unit && out->next && out->runs && out->device_free && out->link_free &&
                  out->arrival && out->slot && out->held && out->used_bytes && work;
    enum ash_status status = ASH_OK;
    if (enough) {
        index_edges(out);
        memset(work + tasks, -1, tasks * sizeof *work);
        make_units(out, work, work + tasks);
        status = check_units(out);
    } else {
        status = ash_fail_memory(tasks * devices * sizeof(double), "a schedule");
    }
    ash_free(work);
    if (status != ASH_OK)
        scheduler_finish(out);
    return status;
}

void scheduler_finish(struct scheduler *s)
{
    void *owned[] = { s->first_edge, s->first_use, s->first_out, s->out_edge, s->unit, s->next,
        s->runs, s->device_free, s->link_free, s->arrival, s->slot, s->held, s->used_bytes };
    for (size_t i = 0; i < sizeof owned / sizeof *owned; i++)
        ash_free(owned[i]);
    *s = (struct scheduler){ 0 };
}

/* ---- Memory ---- */

void scheduler_forget(struct scheduler *s)
{
    memset(s->held, 0, (size_t)s->problem->devices * (size_t)s->problem->objects * sizeof *s->held);
    memset(s->used_bytes, 0, (size_t)s->problem->devices * sizeof *s->used_bytes);
}

/* Objects of one task that a device lacks; marks them held if `hold`. */
static double add_objects(struct scheduler *s, int32_t task, int32_t device, bool hold)
{
    double bytes = 0;
    bool *held = s->held + (size_t)device * (size_t)s->problem->objects;
    for (int32_t i = s->first_use[task]; i < s->first_use[task + 1]; i++) {
        int32_t object = s->problem->use[i].object;
        bytes += held[object] ? 0 : s->problem->object[object].bytes;
        held[object] |= hold;
    }
    return bytes;
}

double scheduler_added_bytes(struct scheduler *s, int32_t task, int32_t device)
{
    double bytes = 0;
    for (int32_t i = s->unit[task]; i >= 0; i = s->next[i])
        bytes += add_objects(s, i, device, false);
    return bytes;
}

void scheduler_hold(struct scheduler *s, int32_t task, int32_t device)
{
    for (int32_t i = s->unit[task]; i >= 0; i = s->next[i])
        s->used_bytes[device] += add_objects(s, i, device, true);
}

bool scheduler_fits(struct scheduler *s, const int32_t *device, int32_t *where)
{
    scheduler_forget(s);
    for (int32_t task = 0; task < s->problem->tasks; task++) {
        s->used_bytes[device[task]] += add_objects(s, task, device[task], true);
        if (s->used_bytes[device[task]] > s->problem->memory_bytes[device[task]]) {
            *where = device[task];
            return false;
        }
    }
    *where = -1;
    return true;
}

/* ---- The virtual clock ---- */

double scheduler_transfer_s(const struct scheduler *s, int32_t from, int32_t to, double bytes)
{
    if (from == to)
        return 0;
    const struct ash_schedule_link *link =
        &s->problem->link[s->problem->way[from * s->problem->devices + to]];
    return link->latency_s + bytes / link->bytes_per_s;
}

/* When what an edge carries is on `device`; sends it there if it was not. */
static double receive(struct scheduler *s, const struct ash_schedule_edge *edge, int32_t device)
{
    const struct ash_schedule_slot *maker = &s->slot[edge->from];
    if (maker->device == device)
        return maker->end_s;
    double *arrival =
        &s->arrival[(size_t)edge->from * (size_t)s->problem->devices + (size_t)device];
    if (*arrival >= 0)
        return *arrival;
    double *free = &s->link_free[s->problem->way[maker->device * s->problem->devices + device]];
    double start = maker->end_s > *free ? maker->end_s : *free;
    *free = start + scheduler_transfer_s(s, maker->device, device, edge->bytes);
    *arrival = *free;
    return *arrival;
}

double scheduler_run(struct scheduler *s, const int32_t *device, const int32_t *order)
{
    const struct ash_schedule_problem *problem = s->problem;
    size_t values = (size_t)problem->tasks * (size_t)problem->devices;
    double makespan = 0;
    for (size_t i = 0; i < values; i++)
        s->arrival[i] = -1;
    memset(s->device_free, 0, (size_t)problem->devices * sizeof *s->device_free);
    memset(s->link_free, 0, (size_t)problem->links * sizeof *s->link_free);
    for (int32_t i = 0; i < problem->tasks; i++) {
        int32_t task = order[i], on = device[task];
        double start = s->device_free[on];
        for (int32_t e = s->first_edge[task]; e < s->first_edge[task + 1]; e++) {
            double there = receive(s, &problem->edge[e], on);
            start = there > start ? there : start;
        }
        double end = start + scheduler_seconds(s, task, on);
        s->slot[task] = (struct ash_schedule_slot){ .device = on, .start_s = start, .end_s = end };
        s->device_free[on] = end;
        makespan = end > makespan ? end : makespan;
    }
    return makespan;
}

/* ---- Results ---- */

/* Seconds in which no device works: what transfers could not hide. Slots in the order of their start. */
static double idle_seconds(const struct ash_schedule *schedule, int32_t tasks)
{
    double idle = 0, busy_until = 0;
    for (int32_t i = 0; i < tasks; i++) {
        const struct ash_schedule_slot *slot = &schedule->slot[schedule->order[i]];
        idle += slot->start_s > busy_until ? slot->start_s - busy_until : 0;
        busy_until = slot->end_s > busy_until ? slot->end_s : busy_until;
    }
    return idle;
}

/* Each value once to each device that reads it. */
static double transfer_seconds(const struct scheduler *s)
{
    double seconds = 0;
    for (int32_t i = 0; i < s->problem->edges; i++) {
        const struct ash_schedule_edge *edge = &s->problem->edge[i];
        int32_t to = s->slot[edge->to].device;
        double *arrival =
            &s->arrival[(size_t)edge->from * (size_t)s->problem->devices + (size_t)to];
        if (*arrival >= 0)
            seconds += scheduler_transfer_s(s, s->slot[edge->from].device, to, edge->bytes);
        *arrival = -1;
    }
    return seconds;
}

struct start {
    double start_s;
    int32_t place, task;
};

static int by_start(const void *a, const void *b)
{
    const struct start *x = a, *y = b;
    if (x->start_s != y->start_s)
        return x->start_s < y->start_s ? -1 : 1;
    return x->place - y->place;
}

enum ash_status scheduler_order_slots(struct scheduler *s, int32_t *order)
{
    size_t tasks = (size_t)s->problem->tasks;
    struct start *start = ash_alloc_array(tasks, sizeof *start);
    if (!start)
        return ash_fail_memory(tasks * sizeof *start, "a schedule");
    for (int32_t i = 0; i < s->problem->tasks; i++)
        start[i] = (struct start){ s->slot[order[i]].start_s, i, order[i] };
    qsort(start, tasks, sizeof *start, by_start);
    for (size_t i = 0; i < tasks; i++)
        order[i] = start[i].task;
    ash_free(start);
    return ASH_OK;
}

enum ash_status scheduler_result(
    struct scheduler *s, const int32_t *order, double makespan_s, struct ash_schedule *out)
{
    size_t tasks = (size_t)s->problem->tasks;
    struct ash_schedule schedule = { .slot = ash_alloc_array(tasks, sizeof *schedule.slot),
        .order = ash_alloc_array(tasks, sizeof *schedule.order),
        .makespan_s = makespan_s,
        .strategy = "as given" };
    enum ash_status status = ASH_OK;
    if (schedule.slot && schedule.order) {
        memcpy(schedule.slot, s->slot, tasks * sizeof *schedule.slot);
        memcpy(schedule.order, order, tasks * sizeof *schedule.order);
        status = scheduler_order_slots(s, schedule.order);
    } else {
        status = ash_fail_memory(tasks * sizeof *schedule.slot, "a schedule");
    }
    if (status != ASH_OK) {
        ash_schedule_finish(&schedule);
        return status;
    }
    schedule.exposed_s = idle_seconds(&schedule, s->problem->tasks);
    schedule.transfer_s = transfer_seconds(s);
    *out = schedule;
    return ASH_OK;
}

static enum ash_status check_given(struct scheduler *s, const int32_t *device, const int32_t *order)
{
    int32_t tasks = s->problem->tasks, full;
    for (int32_t i = 0; i < tasks; i++)
        s->slot[i].device = -1;
    for (int32_t i = 0; i < tasks; i++) {
        int32_t task = order[i];
        if (task < 0 || task >= tasks || s->slot[task].device >= 0)
            return ash_fail(
                ASH_ERR_ARGUMENT, "place %d of the order: task %d is not there, or twice", i, task);
        if (device[task] < 0 || device[task] >= s->problem->devices ||
            !scheduler_runs(s, task, device[task]) || device[task] != device[s->unit[task]])
            return ash_fail(
                ASH_ERR_ARGUMENT, "task %d cannot run on device %d", task, device[task]);
        for (int32_t e = s->first_edge[task]; e < s->first_edge[task + 1]; e++)
            if (s->slot[s->problem->edge[e].from].device < 0)
                return ash_fail(ASH_ERR_ARGUMENT,
                    "the order has task %d before task %d, which it reads", task,
                    s->problem->edge[e].from);
        s->slot[task].device = device[task];
    }
    if (!scheduler_fits(s, device, &full))
        return ash_fail(ASH_ERR_NO_MEMORY,
            "device %d has %.0f bytes; its tasks need more than %.0f", full,
            s->problem->memory_bytes[full], s->used_bytes[full]);
    return ASH_OK;
}

enum ash_status ash_schedule_simulate(const struct ash_schedule_problem *problem,
    const int32_t *device, const int32_t *order, struct ash_schedule *out)
{
    struct scheduler s;
    ASH_TRY(scheduler_init(problem, &s));
    enum ash_status status = check_given(&s, device, order);
    if (status == ASH_OK) {
        double makespan_s = scheduler_run(&s, device, order);
        status = scheduler_result(&s, order, makespan_s, out);
    }
    scheduler_finish(&s);
    return status;
}

void ash_schedule_finish(struct ash_schedule *schedule)
{
    ash_free(schedule->slot);
    ash_free(schedule->order);
    *schedule = (struct ash_schedule){ 0 };
}

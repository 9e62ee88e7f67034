/* SPDX-License-Identifier: Apache-2.0 */
#include "scheduler/schedule_internal.h"

#include "runtime/memory.h"

#include <math.h>
#include <stdlib.h>

/* ---- Order ---- */

/* Over the devices that it can run on. */
static double mean_seconds(const struct scheduler *s, int32_t task)
{
    double sum = 0;
    int count = 0;
    for (int32_t device = 0; device < s->problem->devices; device++)
        if (scheduler_runs(s, task, device)) {
            sum += scheduler_seconds(s, task, device);
            count++;
        }
    return sum / count;
}

/* Over all pairs of different devices, as HEFT's authors have it. */
static double mean_transfer_s(const struct scheduler *s, double bytes)
{
    double sum = 0;
    int32_t devices = s->problem->devices;
    for (int32_t from = 0; from < devices; from++)
        for (int32_t to = 0; to < devices; to++)
            sum += scheduler_transfer_s(s, from, to, bytes);
    return devices > 1 ? sum / devices / (devices - 1) : 0;
}

struct rank {
    double seconds;
    int32_t task;
};

/* Ties in the author's order, so that a maker comes before its reader at zero seconds too. */
static int by_rank(const void *a, const void *b)
{
    const struct rank *x = a, *y = b;
    if (x->seconds != y->seconds)
        return x->seconds > y->seconds ? -1 : 1;
    return x->task - y->task;
}

enum ash_status scheduler_rank(const struct scheduler *s, int32_t *order)
{
    int32_t tasks = s->problem->tasks;
    struct rank *rank = ash_alloc_array((size_t)tasks, sizeof *rank);
    if (!rank)
        return ash_fail_memory((size_t)tasks * sizeof *rank, "ranks");
    /* A transfer's mean is linear in its bytes: two points tell it. */
    double latency_s = mean_transfer_s(s, 0), byte_s = mean_transfer_s(s, 1) - latency_s;
    for (int32_t task = tasks - 1; task >= 0; task--) {
        double after = 0;
        for (int32_t e = s->first_out[task]; e < s->first_out[task + 1]; e++) {
            const struct ash_schedule_edge *edge = &s->problem->edge[s->out_edge[e]];
            double way = latency_s + byte_s * edge->bytes + rank[edge->to].seconds;
            after = way > after ? way : after;
        }
        rank[task] = (struct rank){ mean_seconds(s, task) + after, task };
    }
    qsort(rank, (size_t)tasks, sizeof *rank, by_rank);
    for (int32_t i = 0; i < tasks; i++)
        order[i] = rank[i].task;
    ash_free(rank);
    return ASH_OK;
}

/* ---- Assignment ---- */

void scheduler_look_ahead(const struct scheduler *s, double *ahead)
{
    size_t devices = (size_t)s->problem->devices;
    for (int32_t task = s->problem->tasks - 1; task >= 0; task--)
        for (int32_t from = 0; from < s->problem->devices; from++) {
            double worst = 0;
            for (int32_t e = s->first_out[task]; e < s->first_out[task + 1]; e++) {
                const struct ash_schedule_edge *edge = &s->problem->edge[s->out_edge[e]];
                double best = HUGE_VAL;
                for (int32_t to = 0; to < s->problem->devices; to++) {
                    if (!scheduler_runs(s, edge->to, to))
                        continue;
                    double way = ahead[(size_t)edge->to * devices + (size_t)to] +
                                 scheduler_seconds(s, edge->to, to) +
                                 scheduler_transfer_s(s, from, to, edge->bytes);
                    best = way < best ? way : best;
                }
                worst = best > worst ? best : worst;
            }
            ahead[(size_t)task * devices + (size_t)from] = worst;
        }
}

double scheduler_ready_s(const struct scheduler *s, int32_t task, int32_t device)
{
    double ready = 0;
    for (int32_t e = s->first_edge[task]; e < s->first_edge[task + 1]; e++) {
        const struct ash_schedule_edge *edge = &s->problem->edge[e];
        const struct ash_schedule_slot *maker = &s->slot[edge->from];
        double there = maker->end_s + scheduler_transfer_s(s, maker->device, device, edge->bytes);
        ready = there > ready ? there : ready;
    }
    return ready;
}

/* Tasks of a device so far, in the order of their start: a list through next_on [task]. */
struct timeline {
    int32_t *first;   /* [device] */
    int32_t *next_on; /* [task] */
};

/* The start of the first gap on a device that holds `seconds` after `ready_s`; *after is the task
 * before it, -1 = none. */
static double find_gap(const struct scheduler *s, const struct timeline *line, int32_t device,
    double ready_s, double seconds, int32_t *after)
{
    double start = ready_s;
    *after = -1;
    for (int32_t task = line->first[device]; task >= 0; task = line->next_on[task]) {
        if (start + seconds <= s->slot[task].start_s)
            break;
        start = s->slot[task].end_s > start ? s->slot[task].end_s : start;
        *after = task;
    }
    return start;
}

static void insert(struct scheduler *s, struct timeline *line, int32_t task,
    struct ash_schedule_slot slot, int32_t after)
{
    int32_t *link = after < 0 ? &line->first[slot.device] : &line->next_on[after];
    line->next_on[task] = *link;
    *link = task;
    s->slot[task] = slot;
}

/* False if no device that can run it has the memory left. */
static bool assign_task(
    struct scheduler *s, struct timeline *line, int32_t task, const double *ahead, int32_t *device)
{
    int32_t best_after = -1, head = s->unit[task], devices = s->problem->devices;
    double best = HUGE_VAL;
    struct ash_schedule_slot chosen = { .device = -1 };
    for (int32_t on = 0; on < devices; on++) {
        bool pinned = device[head] >= 0;
        if (pinned ? on != device[head]
                   : !scheduler_runs(s, task, on) ||
                         s->used_bytes[on] + scheduler_added_bytes(s, task, on) >
                             s->problem->memory_bytes[on])
            continue;
        double seconds = scheduler_seconds(s, task, on);
        int32_t after;
        double start = find_gap(s, line, on, scheduler_ready_s(s, task, on), seconds, &after);
        double score = start + seconds;
        score += ahead ? ahead[(size_t)task * (size_t)devices + (size_t)on] : 0;
        if (score < best) {
            best = score;
            best_after = after;
            chosen = (struct ash_schedule_slot){ on, start, start + seconds };
        }
    }
    if (chosen.device < 0)
        return false;
    if (device[head] < 0) {
        scheduler_hold(s, task, chosen.device);
        device[head] = chosen.device;
    }
    device[task] = chosen.device;
    insert(s, line, task, chosen, best_after);
    return true;
}

enum ash_status scheduler_assign(
    struct scheduler *s, const int32_t *order, const double *ahead, int32_t *device, bool *fits)
{
    int32_t tasks = s->problem->tasks;
    size_t devices = (size_t)s->problem->devices;
    struct timeline line = { .first = ash_alloc_array(devices, sizeof(int32_t)),
        .next_on = ash_alloc_array((size_t)tasks, sizeof(int32_t)) };
    *fits = line.first && line.next_on;
    enum ash_status status =
        *fits ? ASH_OK : ash_fail_memory((size_t)tasks * sizeof(int32_t), "a schedule");
    for (size_t i = 0; *fits && i < devices; i++)
        line.first[i] = -1;
    for (int32_t i = 0; i < tasks; i++)
        device[i] = -1;
    scheduler_forget(s);
    for (int32_t i = 0; i < tasks && *fits; i++)
        *fits = assign_task(s, &line, order[i], ahead, device);
    ash_free(line.first);
    ash_free(line.next_on);
    return status;
}

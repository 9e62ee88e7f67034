/* SPDX-License-Identifier: Apache-2.0 */
#include "scheduler/schedule_internal.h"

#include "runtime/memory.h"

#include <math.h>
#include <string.h>

/* An assignment and an order; [task] each. */
struct way {
    int32_t *device, *order;
    double makespan_s; /* HUGE_VAL = none yet */
};

struct search {
    struct scheduler s;
    int32_t tasks;
    struct way best, current, tried;
    const char *strategy;
    uint64_t random; /* xorshift64: the same problem always gives the same schedule */
};

static enum ash_status search_init(const struct ash_schedule_problem *problem, struct search *out)
{
    *out = (struct search){ .random = 0x9e3779b97f4a7c15 };
    ASH_TRY(scheduler_init(problem, &out->s));
    out->tasks = problem->tasks;
    struct way *way[] = { &out->best, &out->current, &out->tried };
    size_t tasks = (size_t)problem->tasks, ways = sizeof way / sizeof *way;
    int32_t *memory = ash_alloc_array(tasks, 2 * ways * sizeof *memory);
    if (!memory) {
        scheduler_finish(&out->s);
        return ash_fail_memory(tasks * 2 * ways * sizeof *memory, "the search for a schedule");
    }
    for (size_t i = 0; i < ways; i++)
        *way[i] = (struct way){ memory + 2 * i * tasks, memory + (2 * i + 1) * tasks, HUGE_VAL };
    return ASH_OK;
}

static void search_finish(struct search *search)
{
    ash_free(search->best.device); /* with all the others */
    scheduler_finish(&search->s);
}

static void copy(const struct search *search, const struct way *from, struct way *to)
{
    memcpy(to->device, from->device, (size_t)search->tasks * sizeof *to->device);
    memcpy(to->order, from->order, (size_t)search->tasks * sizeof *to->order);
    to->makespan_s = from->makespan_s;
}

/* Runs what is tried; keeps it if it fits and is better than the best so far. */
static void try_way(struct search *search, const char *strategy)
{
    int32_t where;
    struct way *tried = &search->tried;
    tried->makespan_s = HUGE_VAL;
    if (!scheduler_fits(&search->s, tried->device, &where))
        return;
    tried->makespan_s = scheduler_run(&search->s, tried->device, tried->order);
    if (tried->makespan_s >= search->best.makespan_s)
        return;
    copy(search, tried, &search->best);
    search->strategy = strategy;
}

/* ---- Strategies ---- */

static void author_order(struct search *search)
{
    for (int32_t i = 0; i < search->tasks; i++)
        search->tried.order[i] = i;
}

/* Everything that can run on `device` there, and what cannot on the first that can. */
static void try_one_device(struct search *search, int32_t device)
{
    const struct scheduler *s = &search->s;
    for (int32_t task = 0; task < search->tasks; task++) {
        int32_t on = device;
        for (int32_t i = 0; !scheduler_runs(s, task, on); i++)
            on = i;
        search->tried.device[task] = on;
    }
    author_order(search);
    try_way(search, "one device");
}

/* Runs of tasks in the author's order: each device, the next in `rank` when one is full, takes what fits. */
static bool fill(struct search *search, const int32_t *rank)
{
    struct scheduler *s = &search->s;
    int32_t devices = s->problem->devices, at = 0;
    scheduler_forget(s);
    for (int32_t task = 0; task < search->tasks; task++)
        search->tried.device[task] = -1;
    for (int32_t task = 0; task < search->tasks; task++) {
        int32_t head = s->unit[task], tried = 0;
        if (search->tried.device[head] >= 0) {
            search->tried.device[task] = search->tried.device[head];
            continue;
        }
        for (; tried < devices; tried++) {
            int32_t on = rank[(at + tried) % devices];
            if (scheduler_runs(s, task, on) &&
                s->used_bytes[on] + scheduler_added_bytes(s, task, on) <=
                    s->problem->memory_bytes[on])
                break;
        }
        if (tried == devices)
            return false;
        int32_t on = rank[(at + tried) % devices];
        /* Only a full device ends its run: a task that can run on few is no reason to leave it. */
        if (scheduler_runs(s, task, rank[at]))
            at = (at + tried) % devices;
        scheduler_hold(s, task, on);
        search->tried.device[task] = search->tried.device[head] = on;
    }
    return true;
}

/* Devices by how long they take for all tasks; those that run none at the end. */
static void rank_devices(const struct scheduler *s, int32_t *rank, double *seconds)
{
    int32_t devices = s->problem->devices;
    for (int32_t device = 0; device < devices; device++) {
        double sum = 0;
        int32_t runs = 0;
        for (int32_t task = 0; task < s->problem->tasks; task++)
            if (scheduler_runs(s, task, device)) {
                sum += scheduler_seconds(s, task, device);
                runs++;
            }
        seconds[device] = runs ? sum / runs : HUGE_VAL;
        int32_t at = device;
        for (; at > 0 && seconds[rank[at - 1]] > seconds[device]; at--)
            rank[at] = rank[at - 1];
        rank[at] = device;
    }
}

static enum ash_status try_contiguous(struct search *search)
{
    size_t devices = (size_t)search->s.problem->devices;
    int32_t *rank = ash_alloc_array(devices, sizeof *rank);
    double *seconds = ash_alloc_array(devices, sizeof *seconds);
    enum ash_status status = ASH_OK;
    if (rank && seconds) {
        rank_devices(&search->s, rank, seconds);
        /* Every rotation: whichever device comes first holds what is near the input. */
        for (size_t i = 0; i < devices; i++) {
            author_order(search);
            if (fill(search, rank))
                try_way(search, "contiguous split");
            int32_t first = rank[0];
            memmove(rank, rank + 1, (devices - 1) * sizeof *rank);
            rank[devices - 1] = first;
        }
    } else {
        status = ash_fail_memory(devices * sizeof *seconds, "the search for a schedule");
    }
    ash_free(rank);
    ash_free(seconds);
    return status;
}

/* List scheduling; the starts of its slots, some in gaps, give the order. That no device has room for
 * what this strategy puts last is no error: others may find one. */
static enum ash_status try_list(struct search *search, const double *ahead, const char *strategy)
{
    struct scheduler *s = &search->s;
    ASH_TRY(scheduler_rank(s, search->tried.order));
    bool fits;
    ASH_TRY(scheduler_assign(s, search->tried.order, ahead, search->tried.device, &fits));
    if (!fits)
        return ASH_OK;
    ASH_TRY(scheduler_order_slots(s, search->tried.order));
    try_way(search, strategy);
    return ASH_OK;
}

static enum ash_status try_lists(struct search *search)
{
    ASH_TRY(try_list(search, NULL, "HEFT"));
    double *ahead =
        ash_alloc_array((size_t)search->tasks, (size_t)search->s.problem->devices * sizeof *ahead);
    if (!ahead)
        return ash_fail_memory((size_t)search->tasks * sizeof *ahead, "the search for a schedule");
    scheduler_look_ahead(&search->s, ahead);
    enum ash_status status = try_list(search, ahead, "PEFT");
    ash_free(ahead);
    return status;
}

/* ---- Local search ---- */

static int32_t below(struct search *search, int32_t end)
{
    search->random ^= search->random << 13;
    search->random ^= search->random >> 7;
    search->random ^= search->random << 17;
    return (int32_t)(search->random % (uint64_t)end);
}

static void move_unit(struct search *search, int32_t task, int32_t device)
{
    const struct scheduler *s = &search->s;
    if (!scheduler_runs(s, task, device))
        return;
    for (int32_t i = s->unit[task]; i >= 0; i = s->next[i])
        search->tried.device[i] = device;
}

/* A run of tasks in the author's order, of any length up to a quarter of all, to one device. */
static void move_run(struct search *search)
{
    int32_t first = below(search, search->tasks);
    int32_t count = 1 + below(search, 1 + search->tasks / 4);
    int32_t device = below(search, search->s.problem->devices);
    for (int32_t task = first; task < search->tasks && task < first + count; task++)
        move_unit(search, task, device);
}

/* One end of a transfer to where the other is. */
static void move_edge(struct search *search)
{
    if (search->s.problem->edges == 0)
        return;
    const struct ash_schedule_edge *edge =
        &search->s.problem->edge[below(search, search->s.problem->edges)];
    bool forwards = below(search, 2) == 0;
    int32_t from = forwards ? edge->from : edge->to, to = forwards ? edge->to : edge->from;
    move_unit(search, to, search->tried.device[from]);
}

static bool reads(const struct scheduler *s, int32_t task, int32_t from)
{
    for (int32_t e = s->first_edge[task]; e < s->first_edge[task + 1]; e++)
        if (s->problem->edge[e].from == from)
            return true;
    return false;
}

/* A task earlier in the order, before as many others as it does not read from. */
static void move_earlier(struct search *search)
{
    int32_t at = below(search, search->tasks), steps = 1 + below(search, 8);
    int32_t *order = search->tried.order, task = order[at];
    for (; at > 0 && steps > 0 && !reads(&search->s, task, order[at - 1]); at--, steps--)
        order[at] = order[at - 1];
    order[at] = task;
}

static void move(struct search *search)
{
    switch (below(search, 4)) {
    case 0:
        move_run(search);
        break;
    case 1:
        move_edge(search);
        break;
    case 2:
        move_unit(search, below(search, search->tasks), below(search, search->s.problem->devices));
        break;
    default:
        move_earlier(search);
    }
}

/*
 * Simulated annealing (Kirkpatrick, Gelatt, Vecchi 1983): a step that makes things worse by less than
 * the temperature, which falls to nothing, is taken too: the way out of corners. Steps sideways always
 * are. Small problems, whose trials cost nothing, get as many as a middling one.
 */
static void improve(struct search *search, int effort)
{
    enum { LEAST_TASKS = 256 };
    const double start = 0.2;
    int64_t trials = (int64_t)effort * (search->tasks > LEAST_TASKS ? search->tasks : LEAST_TASKS);
    copy(search, &search->best, &search->current);
    for (int64_t i = 0; i < trials; i++) {
        double temperature = start * (1 - (double)i / (double)trials) * below(search, 1000) / 1000;
        copy(search, &search->current, &search->tried);
        move(search);
        try_way(search, "local search");
        if (search->tried.makespan_s <= search->current.makespan_s * (1 + temperature))
            copy(search, &search->tried, &search->current);
    }
}

/* ---- The two ways in ---- */

static enum ash_status finish(struct search *search, struct ash_schedule *out)
{
    if (isinf(search->best.makespan_s))
        return ash_fail(ASH_ERR_NO_MEMORY,
            "no split of the tasks over %d devices was found whose memory holds it; %s",
            search->s.problem->devices,
            "use a smaller model, context or format, or another device");
    scheduler_run(&search->s, search->best.device, search->best.order);
    ASH_TRY(scheduler_result(&search->s, search->best.order, search->best.makespan_s, out));
    out->strategy = search->strategy;
    return ASH_OK;
}

enum ash_status ash_schedule_heft(
    const struct ash_schedule_problem *problem, struct ash_schedule *out)
{
    struct search search;
    ASH_TRY(search_init(problem, &search));
    enum ash_status status = try_list(&search, NULL, "HEFT");
    if (status == ASH_OK)
        status = finish(&search, out);
    search_finish(&search);
    return status;
}

enum ash_status ash_schedule_find(
    const struct ash_schedule_problem *problem, int effort, struct ash_schedule *out)
{
    struct search search;
    ASH_TRY(search_init(problem, &search));
    for (int32_t device = 0; device < problem->devices; device++)
        try_one_device(&search, device);
    enum ash_status status = try_contiguous(&search);
    if (status == ASH_OK)
        status = try_lists(&search);
    if (status == ASH_OK && !isinf(search.best.makespan_s) && problem->devices > 1)
        improve(&search, effort);
    if (status == ASH_OK)
        status = finish(&search, out);
    search_finish(&search);
    return status;
}

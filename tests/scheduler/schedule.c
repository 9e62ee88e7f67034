/* SPDX-License-Identifier: Apache-2.0 */
#include "scheduler/schedule.h"

#include "runtime/memory.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A random problem in arrays of fixed size. */
enum { TASKS = 64, DEVICES = 4, EDGES = 4 * TASKS, USES = 2 * TASKS };

struct random_problem {
    struct ash_schedule_problem problem;
    double seconds[TASKS * DEVICES], memory_bytes[DEVICES];
    int32_t together[TASKS], way[DEVICES * DEVICES];
    struct ash_schedule_edge edge[EDGES];
    struct ash_schedule_object object[TASKS];
    struct ash_schedule_use use[USES];
    struct ash_schedule_link link[DEVICES * DEVICES];
};

static uint64_t state;

static int32_t below(int32_t end)
{
    state = state * 6364136223846793005U + 1442695040888963407U;
    return (int32_t)((state >> 33) % (uint64_t)end);
}

static double between(double least, double most)
{
    return least + (most - least) * below(1000) / 1000;
}

/* Devices of unlike speed, some tasks bound to a few of them, links of unlike speed. `transfer` scales
 * the bytes on edges against the tasks' seconds. */
static struct random_problem *make_random(
    uint64_t seed, int32_t tasks, int32_t devices, double transfer)
{
    struct random_problem *r = calloc(1, sizeof *r);
    state = seed;
    double speed[DEVICES];
    for (int32_t d = 0; d < devices; d++) {
        speed[d] = between(0.5, 4);
        r->memory_bytes[d] = HUGE_VAL;
        for (int32_t to = 0; to < devices; to++) {
            int32_t link = d * devices + to;
            r->way[link] = below(3) ? link : 0; /* some share one */
            r->link[link] = (struct ash_schedule_link){ between(0, 0.05), between(0.5, 2) };
        }
    }
    int32_t edges = 0;
    for (int32_t t = 0; t < tasks; t++) {
        r->together[t] = -1;
        for (int32_t d = 0; d < devices; d++)
            r->seconds[t * devices + d] = between(0.1, 2) / speed[d];
        if (t > 0 && below(6) == 0)
            r->seconds[t * devices + below(devices)] = HUGE_VAL;
        for (int32_t i = 0; t > 0 && i < 1 + below(3); i++)
            r->edge[edges++] = (struct ash_schedule_edge){ below(t), t, between(0, transfer) };
    }
    r->problem = (struct ash_schedule_problem){ .tasks = tasks,
        .devices = devices,
        .seconds = r->seconds,
        .together = r->together,
        .edge = r->edge,
        .edges = edges,
        .object = r->object,
        .use = r->use,
        .memory_bytes = r->memory_bytes,
        .link = r->link,
        .links = devices * devices,
        .way = r->way };
    return r;
}

/* ---- The optimum of small problems, by trying everything ---- */

struct exhaustive {
    const struct ash_schedule_problem *problem;
    int32_t device[TASKS], order[TASKS];
    bool done[TASKS];
    double best;
};

static bool is_ready(const struct exhaustive *all, int32_t task)
{
    for (int32_t e = 0; e < all->problem->edges; e++)
        if (all->problem->edge[e].to == task && !all->done[all->problem->edge[e].from])
            return false;
    return !all->done[task];
}

static void try_all(struct exhaustive *all, int32_t count)
{
    if (count == all->problem->tasks) {
        struct ash_schedule schedule;
        if (ash_schedule_simulate(all->problem, all->device, all->order, &schedule) == ASH_OK) {
            all->best = fmin(all->best, schedule.makespan_s);
            ash_schedule_finish(&schedule);
        }
        return;
    }
    for (int32_t task = 0; task < all->problem->tasks; task++) {
        if (!is_ready(all, task))
            continue;
        all->done[task] = true;
        all->order[count] = task;
        for (int32_t d = 0; d < all->problem->devices; d++)
            if (isfinite(all->problem->seconds[task * all->problem->devices + d])) {
                all->device[task] = d;
                try_all(all, count + 1);
            }
        all->done[task] = false;
    }
}

Test(schedule, stays_within_a_tenth_of_the_optimum_of_small_graphs)
{
    for (uint64_t seed = 1; seed <= 60; seed++) {
        struct random_problem *r = make_random(seed, 5, 2 + (int32_t)(seed % 2), 0.3 * (seed % 5));
        struct exhaustive *all = calloc(1, sizeof *all);
        all->problem = &r->problem;
        all->best = HUGE_VAL;
        try_all(all, 0);
        struct ash_schedule found;
        cr_assert_eq(ash_schedule_find(&r->problem, 16, &found), ASH_OK, "%s", ash_error());
        cr_expect_leq(found.makespan_s, 1.10 * all->best, "seed %d: %g, the optimum is %g",
            (int)seed, found.makespan_s, all->best);
        cr_expect_geq(found.makespan_s, 0.999999 * all->best, "better than the best?");
        ash_schedule_finish(&found);
        free(all);
        free(r);
    }
}

/* ---- Against HEFT and every single device ---- */

/* All on one device, in the order given; HUGE_VAL where something cannot run there. */
static double single_device(const struct ash_schedule_problem *problem, int32_t on)
{
    int32_t device[TASKS], order[TASKS];
    struct ash_schedule schedule;
    for (int32_t i = 0; i < problem->tasks; i++) {
        device[i] = on;
        order[i] = i;
    }
    if (ash_schedule_simulate(problem, device, order, &schedule) != ASH_OK)
        return HUGE_VAL;
    double makespan_s = schedule.makespan_s;
    ash_schedule_finish(&schedule);
    return makespan_s;
}

/*
 * The example of Topcuoglu, Hariri, Wu 2002 (figures 2 and 3). Their assignment takes 80 where a link carries
 * any number of values at a time; here it carries one, so what task 6 sends to task 8 waits 11 for what
 * task 4 sends.
 */
Test(schedule, heft_assigns_as_its_authors_do)
{
    enum { N = 10, P = 3 };
    static const double seconds[N * P] = { 14, 16, 9, 13, 19, 18, 11, 13, 19, 13, 8, 17, 12, 13, 10,
        13, 16, 9, 7, 15, 11, 5, 11, 14, 18, 12, 20, 21, 7, 16 };
    static const struct ash_schedule_edge edges[] = { { 0, 1, 18 }, { 0, 2, 12 }, { 0, 3, 9 },
        { 0, 4, 11 }, { 0, 5, 14 }, { 2, 6, 23 }, { 1, 7, 19 }, { 3, 7, 27 }, { 5, 7, 15 },
        { 1, 8, 16 }, { 3, 8, 23 }, { 4, 8, 13 }, { 6, 9, 17 }, { 7, 9, 11 }, { 8, 9, 13 } };
    static const double memory_bytes[P] = { HUGE_VAL, HUGE_VAL, HUGE_VAL };
    struct ash_schedule_link link[P * P];
    int32_t way[P * P];
    for (int i = 0; i < P * P; i++) {
        link[i] = (struct ash_schedule_link){ 0, 1 };
        way[i] = i;
    }
    struct ash_schedule_problem problem = { .tasks = N,
        .devices = P,
        .seconds = seconds,
        .edge = edges,
        .edges = sizeof edges / sizeof *edges,
        .memory_bytes = memory_bytes,
        .link = link,
        .links = P * P,
        .way = way };
    struct ash_schedule schedule;
    cr_assert_eq(ash_schedule_heft(&problem, &schedule), ASH_OK, "%s", ash_error());
    static const int32_t devices[N] = { 2, 0, 2, 1, 2, 1, 2, 0, 1, 1 };
    for (int i = 0; i < N; i++)
        cr_assert_eq(schedule.slot[i].device, devices[i], "task %d", i + 1);
    cr_assert_float_eq(schedule.makespan_s, 80 + 11, 1e-9, "%g", schedule.makespan_s);
    ash_schedule_finish(&schedule);
}

Test(schedule, is_never_worse_than_heft_or_the_best_single_device)
{
    for (uint64_t seed = 1; seed <= 100; seed++) {
        struct random_problem *r = make_random(
            seed, 10 + (int32_t)(seed % 50), 2 + (int32_t)(seed % 3), (double)(seed % 7));
        struct ash_schedule found, heft;
        cr_assert_eq(ash_schedule_heft(&r->problem, &heft), ASH_OK);
        cr_assert_eq(ash_schedule_find(&r->problem, 4, &found), ASH_OK);
        cr_expect_leq(found.makespan_s, heft.makespan_s + 1e-9, "seed %d", (int)seed);
        for (int32_t d = 0; d < r->problem.devices; d++)
            cr_expect_leq(found.makespan_s, single_device(&r->problem, d) + 1e-9);
        ash_schedule_finish(&heft);
        ash_schedule_finish(&found);
        free(r);
    }
}

/* ---- What a schedule must keep ---- */

static void expect_sound(
    const struct ash_schedule_problem *problem, const struct ash_schedule *found)
{
    double free_s[DEVICES] = { 0 }, used[DEVICES] = { 0 };
    bool held[DEVICES][TASKS] = { 0 };
    for (int32_t i = 0; i < problem->tasks; i++) {
        int32_t task = found->order[i];
        const struct ash_schedule_slot *slot = &found->slot[task];
        cr_expect_geq(slot->start_s, free_s[slot->device] - 1e-12, "two tasks at a time");
        free_s[slot->device] = slot->end_s;
        double took = slot->end_s - slot->start_s;
        cr_expect_float_eq(
            took, problem->seconds[task * problem->devices + slot->device], 1e-9, "task %d", task);
    }
    for (int32_t e = 0; e < problem->edges; e++) {
        const struct ash_schedule_slot *from = &found->slot[problem->edge[e].from];
        const struct ash_schedule_slot *to = &found->slot[problem->edge[e].to];
        cr_expect_leq(from->end_s, to->start_s + 1e-12, "read before it was made");
    }
    for (int32_t i = 0; i < problem->uses; i++) {
        int32_t d = found->slot[problem->use[i].task].device, object = problem->use[i].object;
        used[d] += held[d][object] ? 0 : problem->object[object].bytes;
        held[d][object] = true;
        cr_expect_leq(used[d], problem->memory_bytes[d]);
    }
    for (int32_t a = 0; a < problem->tasks; a++)
        for (int32_t b = 0; b < a; b++)
            if (problem->together[a] >= 0 && problem->together[a] == problem->together[b])
                cr_expect_eq(found->slot[a].device, found->slot[b].device);
}

Test(schedule, keeps_order_memory_and_company)
{
    for (uint64_t seed = 1; seed <= 60; seed++) {
        struct random_problem *r = make_random(seed, 40, 3, 1);
        for (int32_t t = 0; t < 40; t++) { /* pairs share a cache; every task has a weight */
            r->together[t] = t / 2 % 20;
            r->object[t].bytes = 10;
            r->use[r->problem.uses++] = (struct ash_schedule_use){ t, t };
            for (int32_t d = 0; d < 3; d++)
                if (isinf(r->seconds[t * 3 + d]))
                    r->seconds[t * 3 + d] = 3;
        }
        r->problem.objects = 40;
        for (int32_t d = 0; d < 3; d++)
            r->memory_bytes[d] = 140 + 10 * (double)(seed % 7);
        struct ash_schedule found;
        cr_assert_eq(ash_schedule_find(&r->problem, 8, &found), ASH_OK, "%s", ash_error());
        expect_sound(&r->problem, &found);
        ash_schedule_finish(&found);
        r->memory_bytes[0] = r->memory_bytes[1] = r->memory_bytes[2] = 120;
        cr_expect_eq(ash_schedule_find(&r->problem, 8, &found), ASH_ERR_NO_MEMORY);
        free(r);
    }
}

/* ---- Transfers ---- */

Test(schedule, sends_a_value_to_a_device_once_and_hides_transfers_behind_work)
{
    /* A source on device 0; readers 1 and 2 on device 1; 3 works on device 0 meanwhile. */
    double seconds[] = { 1, HUGE_VAL, HUGE_VAL, 1, HUGE_VAL, 1, 5, HUGE_VAL };
    struct ash_schedule_edge edge[] = { { 0, 1, 2 }, { 0, 2, 2 } };
    struct ash_schedule_link link = { .latency_s = 0.5, .bytes_per_s = 1 };
    double memory[] = { HUGE_VAL, HUGE_VAL };
    struct ash_schedule_problem problem = { .tasks = 4,
        .devices = 2,
        .seconds = seconds,
        .edge = edge,
        .edges = 2,
        .memory_bytes = memory,
        .link = &link,
        .links = 1,
        .way = (int32_t[]){ 0, 0, 0, 0 } };
    struct ash_schedule schedule;
    cr_assert_eq(ash_schedule_simulate(
                     &problem, (int32_t[]){ 0, 1, 1, 0 }, (int32_t[]){ 0, 1, 2, 3 }, &schedule),
        ASH_OK);
    cr_expect_float_eq(schedule.slot[1].start_s, 3.5, 1e-12);
    cr_expect_float_eq(schedule.slot[2].start_s, 4.5, 1e-12, "the value is there already");
    cr_expect_float_eq(schedule.makespan_s, 6, 1e-12);
    cr_expect_float_eq(schedule.transfer_s, 2.5, 1e-12);
    cr_expect_float_eq(schedule.exposed_s, 0, 1e-12, "device 0 worked all the time");
    ash_schedule_finish(&schedule);
}

Test(schedule, of_a_streaming_pipeline_hides_nine_tenths_of_its_transfers)
{
    /* 16 blocks: each read (by a host that runs nothing else), then worked on by the fast device. */
    enum { BLOCKS = 16 };
    double seconds[2 * BLOCKS * 2];
    struct ash_schedule_edge edge[BLOCKS];
    for (int i = 0; i < BLOCKS; i++) {
        memcpy(&seconds[4 * i], (double[]){ 0.01, HUGE_VAL, HUGE_VAL, 1 }, 4 * sizeof *seconds);
        edge[i] = (struct ash_schedule_edge){ 2 * i, 2 * i + 1, 0.8 };
    }
    struct ash_schedule_link link = { .bytes_per_s = 1 };
    double memory[] = { HUGE_VAL, HUGE_VAL };
    struct ash_schedule_problem problem = { .tasks = 2 * BLOCKS,
        .devices = 2,
        .seconds = seconds,
        .edge = edge,
        .edges = BLOCKS,
        .memory_bytes = memory,
        .link = &link,
        .links = 1,
        .way = (int32_t[]){ 0, 0, 0, 0 } };
    struct ash_schedule found;
    cr_assert_eq(ash_schedule_find(&problem, 4, &found), ASH_OK);
    cr_expect_float_eq(found.transfer_s, 0.8 * BLOCKS, 1e-9);
    cr_expect_leq(found.exposed_s, 0.1 * found.transfer_s);
    ash_schedule_finish(&found);
}

/* ---- Bad input, no memory ---- */

Test(schedule, refuses_what_is_no_problem)
{
    struct random_problem *r = make_random(1, 8, 2, 1);
    struct ash_schedule found;
    struct ash_schedule_problem bad = r->problem;
    bad.tasks = 0;
    cr_expect_eq(ash_schedule_find(&bad, 1, &found), ASH_ERR_ARGUMENT);
    double kept = r->seconds[3];
    r->seconds[3] = (double)NAN;
    cr_expect_eq(ash_schedule_find(&r->problem, 1, &found), ASH_ERR_ARGUMENT);
    r->seconds[3] = kept;
    r->edge[0].from = r->edge[0].to;
    cr_expect_eq(ash_schedule_find(&r->problem, 1, &found), ASH_ERR_ARGUMENT);
    r->edge[0].from = 0;
    r->seconds[2] = r->seconds[3] = HUGE_VAL;
    cr_expect_eq(ash_schedule_find(&r->problem, 1, &found), ASH_ERR_UNSUPPORTED);
    free(r);
}

Test(schedule, survives_every_failed_allocation)
{
    struct random_problem *r = make_random(3, 20, 3, 1);
    enum ash_status status = ASH_ERR_NO_MEMORY;
    for (int64_t nth = 0; status != ASH_OK; nth++) {
        struct ash_schedule found;
        ash_memory_fail_from(nth);
        status = ash_schedule_find(&r->problem, 1, &found);
        ash_memory_fail_from(-1);
        cr_assert(status == ASH_OK || status == ASH_ERR_NO_MEMORY, "%s", ash_error());
        if (status == ASH_OK)
            ash_schedule_finish(&found);
        cr_assert_lt(nth, 100);
    }
    free(r);
}

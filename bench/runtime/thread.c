/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a phase of no work costs a team: the floor under every step of a replayed plan.
 * Prints figures and passes no verdict. Usage: bench-thread [MOST-THREADS]
 */
#include "runtime/thread.h"
#include "runtime/affinity.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { PHASES = 20000, REPEATS = 21 };

static int64_t open_chunks(void *ctx, int64_t phase)
{
    (void)phase;
    return *(const int64_t *)ctx;
}

static void no_work(void *ctx, int64_t phase, int64_t chunk, int worker)
{
    (void)ctx, (void)phase, (void)chunk, (void)worker;
}

static double now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return 1e9 * (double)now.tv_sec + (double)now.tv_nsec;
}

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void measure(struct ash_team *team, int64_t chunks)
{
    double ns[REPEATS];
    struct ash_team_work work = { PHASES, open_chunks, no_work, &chunks };
    ash_team_run(team, &work);
    for (int i = 0; i < REPEATS; i++) {
        double start = now_ns();
        ash_team_run(team, &work);
        ns[i] = (now_ns() - start) / PHASES;
    }
    qsort(ns, REPEATS, sizeof *ns, ascending);
    printf("%7d %6lld %8.1f %8.1f %8.1f\n", ash_team_threads(team), (long long)chunks, ns[0],
        ns[REPEATS / 2], ns[REPEATS - 1]);
}

int main(int count, char *arguments[])
{
    int most = count > 1 ? atoi(arguments[1]) : ash_affinity_usable();
    printf("ns per empty phase, %d phases, %d runs\n", PHASES, REPEATS);
    printf("%7s %6s %8s %8s %8s\n", "threads", "chunks", "min", "median", "max");
    for (int threads = 1; threads <= most; threads *= 2) {
        struct ash_team *team;
        struct ash_team_options options = { .threads = threads, .pin_caller = true };
        if (ash_team_create(&options, &team) != ASH_OK) {
            fprintf(stderr, "bench-thread: %s\n", ash_error());
            return 1;
        }
        measure(team, 1);
        measure(team, threads);
        measure(team, 4 * (int64_t)threads);
        ash_team_destroy(team);
    }
    return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "runtime/status.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * A team of pinned threads that runs programs of phases.
 *
 * Where its CPUs lie on several NUMA nodes, the workers of a node follow one another, each stays on its
 * node's CPUs, and help goes to the own node first.
 *
 * A phase is a number of chunks, any of which may run on any worker at the same time; the phases
 * follow one another. Of a phase's chunks, each worker has an equal share: it claims them in their
 * order, then takes what others have left of theirs, from the end. Whoever finishes a phase's last chunk
 * opens the next one. There is no barrier: a worker that the system took off its CPU between two chunks
 * holds nobody up, and finds the work of the moment when it comes back. Nothing is locked or allocated
 * in a run.
 *
 * The thread that calls ash_team_run() is worker 0 and works along. Waiting workers spin for a
 * bounded time and then sleep, between phases as between runs, and at once where there are fewer
 * CPUs than threads.
 *
 * Threads: one run at a time per team; a chunk must not start another run on its own team.
 */
struct ash_team;
struct ash_numa;

enum {
    ASH_TEAM_MAX_THREADS = 4096,
    ASH_TEAM_MAX_CHUNKS = INT16_MAX, /* in one phase */
};

struct ash_team_options {
    int threads;     /* the caller included; 0 = what ash_affinity_usable() says */
    int spin_us;     /* how long to wait awake; 0 = 100, negative = not at all */
    const int *cpus; /* where the workers may run, as the system numbers CPUs; borrowed for the
                        call. With one for each thread, worker i is pinned to cpus[i]. NULL = the
                        affinity mask; pinned only where the team takes all of it, as two programs
                        that each took its first half would share that and leave the other idle */
    int cpu_count;   /* of `cpus` */
    /* The node of each CPU; NULL = this machine's; borrowed likewise. */
    const struct ash_numa *numa;
    bool pin_caller; /* places the creating thread as worker 0 too, until ash_team_destroy() */
    /*
     * Called again and again by a worker that waits awake, also after the run, until it returns false: a
     * little of something useful that nobody waits for, in far less than a microsecond. NULL = none.
     */
    bool (*idle)(void *ctx, int worker);
    void *idle_ctx; /* borrowed until ash_team_destroy() */
};

/*
 * Starts the workers. `options` may be NULL (all 0). The caller owns *out and ends it with
 * ash_team_destroy(). Workers block all signals.
 *
 * ASH_ERR_ARGUMENT   more than ASH_TEAM_MAX_THREADS or fewer than 0 threads, or a CPU that is not in
 *                    the affinity mask
 * ASH_ERR_NO_MEMORY  no memory, or the system starts no more threads
 * On failure *out is untouched and no thread is left.
 */
enum ash_status ash_team_create(const struct ash_team_options *options, struct ash_team **out);

/* Takes NULL. No run may be under way. */
void ash_team_destroy(struct ash_team *team);

/* The workers, the caller included: worker numbers are below this. */
int ash_team_threads(const struct ash_team *team);

/* The CPU that a worker is pinned to, or -1. */
int ash_team_cpu(const struct ash_team *team, int worker);

/* On how many NUMA nodes the workers run; 1 where nothing is known of nodes. */
int ash_team_nodes(const struct ash_team *team);

/* The node, as the system numbers it, whose CPUs a worker stays on. */
int ash_team_node(const struct ash_team *team, int worker);

struct ash_team_work {
    int64_t phases;
    /*
     * Called once for each phase, in order, by some worker, after all chunks of all earlier phases
     * are complete and visible: returns the phase's chunks, 0 to ASH_TEAM_MAX_CHUNKS; 0 skips it.
     */
    int64_t (*open)(void *ctx, int64_t phase);
    /* Called once for each chunk, 0 <= chunk < what open() returned. Must not wait for others. */
    void (*chunk)(void *ctx, int64_t phase, int64_t chunk, int worker);
    void *ctx;
};

/*
 * Runs all phases and returns when the last chunk is complete and visible to the caller. `work` is
 * borrowed for the call. Which worker runs a chunk is left to chance in the end: results must not depend
 * on it. As a rule it is the one whose share it is in, ash_team_share().
 */
void ash_team_run(struct ash_team *team, const struct ash_team_work *work);

/*
 * The first of `chunks` chunks that are the share of `worker`, one of `threads`; its end is the first of
 * the next worker.
 */
static inline int64_t ash_team_share(int64_t chunks, int threads, int worker)
{
    return chunks * worker / threads;
}

/*
 * One phase over the numbers 0 <= i < count in runs of `grain` (0 = about four runs a worker):
 * fn(ctx, first, end, worker) for each run. The cuts depend on count and grain, and with grain 0 on
 * the number of threads. A grain that gives more than ASH_TEAM_MAX_CHUNKS runs is made larger.
 */
void ash_parallel_for(struct ash_team *team, int64_t count, int64_t grain,
    void (*fn)(void *ctx, int64_t first, int64_t end, int worker), void *ctx);

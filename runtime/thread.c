/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/thread.h"

#include "runtime/memory.h"
#include "runtime/thread_internal.h"

#include <assert.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* Two cache lines: processors fetch them in pairs. */
enum { APART = 128 };
enum { SPIN_DEFAULT_US = 100 };

/*
 * Where waiting threads sleep. A sleeper reads `wakes`, sets `occupied`, looks for work once more
 * and sleeps for as long as `wakes` stays; a waker publishes its work, and if the bed is occupied
 * changes `wakes`. All of these are sequentially consistent, so that one sees the other.
 */
struct bed {
    _Atomic uint32_t wakes;
    _Atomic uint32_t occupied;
};

struct worker {
    struct ash_team *team;
    pthread_t thread;
    int index;
    int cpu;  /* -1 = not pinned to one */
    int node; /* whose CPUs it runs on, where the team lies on several */
};

/*
 * What has been claimed of a worker's share: {sequence number of a phase : 32, chunks from the front :
 * 16, from the back : 16}. Under an older number nothing has been claimed yet, so that nobody needs to
 * write the shares of a phase before it begins.
 */
struct share {
    _Alignas(APART) _Atomic uint64_t claimed;
};

struct ash_team {
    /*
     * The open phase: {sequence number : 32, its chunks : 32}. A claim is a compare-and-swap of a share
     * under the number that was read here. It cannot succeed for a phase that is over: there, all of
     * the share is claimed, or its number is newer. Only a worker that is stopped between the two loads
     * for 2^31 phases could be deceived.
     */
    _Alignas(APART) _Atomic uint64_t shape;
    /* Of the open phase; whoever makes it all chunks owns what follows. */
    _Alignas(APART) _Atomic uint32_t complete;
    /* Belongs to whoever opens a phase; others may read it while they hold a claim. */
    _Alignas(APART) const struct ash_team_work *work;
    int64_t phase;
    uint32_t sequence;
    /* Changed once a run at most, read by whoever waits. */
    _Alignas(APART) _Atomic bool finished;
    _Atomic bool stop;
    struct bed crew_bed, caller_bed;
    /* Fixed at creation. */
    _Alignas(APART) int threads;
    int64_t spin_ns;
    bool (*idle)(void *ctx, int worker);
    void *idle_ctx;
    bool caller_pinned;
    cpu_set_t *caller_mask; /* what to give back; ASH_AFFINITY_MAX bits */
    int nodes;
    cpu_set_t *home_mask; /* where worker 0 may run; read only with several nodes */
    void *block;          /* what was allocated: this struct is aligned within it */
    struct worker *worker;
    struct share share[];
};

_Static_assert(ASH_TEAM_MAX_CHUNKS <= UINT16_MAX, "a share overflows");

static void pause_cpu(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("isb");
#endif
}

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

/* ---- Sleeping and waking ---- */

static void wake(struct bed *bed)
{
    if (!atomic_load(&bed->occupied))
        return;
    atomic_store(&bed->occupied, 0);
    atomic_fetch_add(&bed->wakes, 1);
    syscall(SYS_futex, &bed->wakes, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

/* Whether anything has happened since `seen` was the shape of the open phase. */
static bool something(struct ash_team *team, uint64_t seen, const _Atomic bool *end)
{
    return atomic_load(&team->shape) != seen || atomic_load(end);
}

static bool spin(struct ash_team *team, int worker, uint64_t seen, const _Atomic bool *end)
{
    bool idle = team->idle;
    int64_t deadline = now_ns() + team->spin_ns;
    do {
        for (int i = 0; i < 64; i++) { /* a look at the clock costs as much as a few of these */
            if (something(team, seen, end))
                return true;
            if (idle)
                idle = team->idle(team->idle_ctx, worker);
            else
                pause_cpu();
        }
    } while (now_ns() < deadline);
    return false;
}

/* Returns when there may be something to do; the caller looks again. */
static void await(struct ash_team *team, int worker, uint64_t seen, const _Atomic bool *end)
{
    struct bed *bed = worker == 0 ? &team->caller_bed : &team->crew_bed;
    if (team->spin_ns > 0 && spin(team, worker, seen, end))
        return;
    uint32_t wakes = atomic_load(&bed->wakes);
    atomic_store(&bed->occupied, 1);
    if (!something(team, seen, end))
        syscall(SYS_futex, &bed->wakes, FUTEX_WAIT_PRIVATE, wakes, NULL, NULL, 0);
}

/* ---- Running ---- */

/* More of a share of that phase than there can be. */
static uint64_t claimed_all(uint32_t sequence)
{
    return (uint64_t)sequence << 32 | UINT64_C(0xffff) << 16;
}

/* Takes a chunk of the share of `owner` in the phase `shape`: its own worker from the front. */
static bool claim_of(struct ash_team *team, uint64_t shape, int owner, bool front, uint32_t *chunk)
{
    const uint32_t begin = (uint32_t)ash_team_share((uint32_t)shape, team->threads, owner);
    const uint32_t end = (uint32_t)ash_team_share((uint32_t)shape, team->threads, owner + 1);
    const uint32_t sequence = (uint32_t)(shape >> 32);
    _Atomic uint64_t *share = &team->share[owner].claimed;
    uint64_t seen = atomic_load_explicit(share, memory_order_relaxed), claimed;
    do {
        int32_t age = (int32_t)(sequence - (uint32_t)(seen >> 32));
        claimed = age > 0 ? (uint64_t)sequence << 32 : seen;
        uint32_t first = begin + (claimed >> 16 & 0xffff), last = end - (claimed & 0xffff);
        if (age < 0 || first >= last)
            return false;
        *chunk = front ? first : last - 1;
        claimed += front ? 1 << 16 : 1;
    } while (!atomic_compare_exchange_weak_explicit(
        share, &seen, claimed, memory_order_relaxed, memory_order_relaxed));
    return true;
}

/*
 * Opens phases until one is worth sharing; a phase of a single chunk is run on the spot, unseen by the
 * others.
 */
static void open_phase(struct ash_team *team, int worker)
{
    const struct ash_team_work *work = team->work;
    int64_t count = 0;
    while (count < 2 && ++team->phase < work->phases) {
        count = work->open(work->ctx, team->phase);
        assert(count >= 0 && count <= ASH_TEAM_MAX_CHUNKS);
        if (count == 1)
            work->chunk(work->ctx, team->phase, 0, worker);
    }
    if (count < 2) {
        atomic_store(&team->finished, true);
        wake(&team->caller_bed);
        return;
    }
    const uint32_t sequence = ++team->sequence;
    if (sequence % (1U << 24) == 0) /* shares that nobody used must not grow older than 2^31 */
        for (int i = 0; i < team->threads; i++)
            atomic_store_explicit(
                &team->share[i].claimed, claimed_all(sequence - 1), memory_order_relaxed);
    atomic_store_explicit(&team->complete, 0, memory_order_relaxed);
    atomic_store(
        &team->shape, (uint64_t)sequence << 32 | (uint64_t)count); /* publishes the above */
    wake(&team->crew_bed);
    wake(&team->caller_bed);
}

/* Reports chunks that were run; true if they were the last and what follows has been opened. */
static bool report(struct ash_team *team, uint32_t chunks, uint32_t count, int worker)
{
    uint32_t before = atomic_fetch_add_explicit(&team->complete, chunks, memory_order_acq_rel);
    if (before + chunks < count)
        return false;
    open_phase(team, worker);
    return true;
}

static void run_chunk(struct ash_team *team, uint32_t chunk, int worker)
{
    team->work->chunk(team->work->ctx, team->phase, chunk, worker);
}

/* Runs what others have left of their shares; true if the last chunk was among it. */
static bool help(struct ash_team *team, uint64_t shape, int worker, bool own_node)
{
    uint32_t chunk;
    for (int i = 1; i < team->threads; i++) {
        const int other = (worker + i) % team->threads;
        if ((team->worker[other].node == team->worker[worker].node) != own_node)
            continue;
        while (claim_of(team, shape, other, false, &chunk)) {
            run_chunk(team, chunk, worker);
            if (report(team, 1, (uint32_t)shape, worker))
                return true;
        }
    }
    return false;
}

/*
 * Runs what is left of the worker's share of the phase `shape`, then what others have left of theirs,
 * first those whose memory is as near. The share is reported at once: it takes a cache line from the
 * others.
 */
static void run_phase(struct ash_team *team, uint64_t shape, int worker)
{
    const uint32_t count = (uint32_t)shape;
    uint32_t chunk, mine = 0;
    for (; claim_of(team, shape, worker, true, &chunk); mine++)
        run_chunk(team, chunk, worker);
    if (mine > 0 && report(team, mine, count, worker))
        return;
    if (!help(team, shape, worker, true) && team->nodes > 1)
        help(team, shape, worker, false);
}

/* Runs phases, and waits between them, until `end`. */
static void work_until(struct ash_team *team, int worker, const _Atomic bool *end)
{
    uint64_t seen = 0; /* no phase has this shape */
    while (!atomic_load(end)) {
        uint64_t shape = atomic_load_explicit(&team->shape, memory_order_acquire);
        if (shape == seen)
            await(team, worker, seen, end);
        else
            run_phase(team, seen = shape, worker);
    }
}

static void *crew(void *argument)
{
    struct worker *self = argument;
    work_until(self->team, self->index, &self->team->stop);
    return NULL;
}

static void run_alone(const struct ash_team_work *work)
{
    for (int64_t phase = 0; phase < work->phases; phase++) {
        int64_t count = work->open(work->ctx, phase);
        for (int64_t chunk = 0; chunk < count; chunk++)
            work->chunk(work->ctx, phase, chunk, 0);
    }
}

/* Share 0 is read by the calling thread: brings that to the node where it lies, and lets it go again. */
static void bring_caller(const struct ash_team *team)
{
    unsigned long bits[MASK_BYTES / sizeof(unsigned long)] = { 0 };
    cpu_set_t *mask = (cpu_set_t *)bits;
    const int cpu = sched_getcpu();
    if (cpu < 0 || CPU_ISSET_S((size_t)cpu, MASK_BYTES, team->home_mask) ||
        sched_getaffinity(0, MASK_BYTES, mask) != 0)
        return;
    if (sched_setaffinity(0, MASK_BYTES, team->home_mask) == 0)
        (void)sched_setaffinity(0, MASK_BYTES, mask);
}

void ash_team_run(struct ash_team *team, const struct ash_team_work *work)
{
    if (team->threads == 1) {
        run_alone(work);
        return;
    }
    if (team->nodes > 1)
        bring_caller(team);
    assert(!team->work); /* two runs at a time, or one from within a chunk */
    team->work = work;
    team->phase = -1;
    atomic_store_explicit(&team->finished, false, memory_order_relaxed);
    open_phase(team, 0);
    work_until(team, 0, &team->finished);
    team->work = NULL;
}

/* ---- The life of a team ---- */

static enum ash_status allocate(int threads, struct ash_team **out)
{
    const size_t count = (size_t)threads, workers_bytes = count * sizeof(struct worker);
    const size_t size = sizeof(struct ash_team) + count * sizeof(struct share);
    const size_t total = APART + size + workers_bytes + 2 * MASK_BYTES;
    char *block = ash_alloc_zero(total);
    if (!block)
        return ash_fail_memory(total, "a team of threads");
    struct ash_team *team = (void *)(((uintptr_t)block + APART - 1) & ~(uintptr_t)(APART - 1));
    team->block = block;
    team->threads = threads;
    team->worker = (void *)((char *)team + size);
    team->caller_mask = (void *)((char *)team + size + workers_bytes);
    team->home_mask = (void *)((char *)team->caller_mask + MASK_BYTES);
    *out = team;
    return ASH_OK;
}

/* The new thread inherits the creator's blocked signals: all, so that they go to the program's. */
static enum ash_status start(struct worker *worker)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&worker->thread, NULL, crew, worker);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error)
        return ash_fail(ASH_ERR_NO_MEMORY, "cannot start thread %d of %d: %s (see `ulimit -u`)",
            worker->index + 1, worker->team->threads, strerror(error));
    char name[16];
    snprintf(name, sizeof name, "ashlar-%d", worker->index);
    pthread_setname_np(worker->thread, name);
    return ASH_OK;
}

/* Best effort: a CPU may have gone since the mask was read, and the work can be done anywhere. */
static void place(struct worker *worker, const struct ash_team_plan *plan)
{
    unsigned long bits[MASK_BYTES / sizeof(unsigned long)];
    cpu_set_t *mask = (cpu_set_t *)bits;
    ash_team_plan_mask(plan, worker->index, mask);
    int error = pthread_setaffinity_np(worker->thread, MASK_BYTES, mask);
    worker->cpu = plan->pinned && !error ? plan->cpu[worker->index] : -1;
}

static void place_caller(struct ash_team *team, const struct ash_team_plan *plan)
{
    struct worker *self = &team->worker[0];
    if (pthread_getaffinity_np(self->thread, MASK_BYTES, team->caller_mask) != 0)
        return;
    place(self, plan);
    team->caller_pinned = true;
}

/* Ends the first `count` workers. */
static void end_crew(struct ash_team *team, int count)
{
    atomic_store(&team->stop, true);
    wake(&team->crew_bed);
    for (int i = 1; i < count; i++)
        pthread_join(team->worker[i].thread, NULL);
}

static enum ash_status create(
    const struct ash_team_options *options, const struct ash_team_plan *plan, struct ash_team **out)
{
    struct ash_team *team = NULL;
    ASH_TRY(allocate(plan->threads, &team));
    team->idle = options->idle;
    team->idle_ctx = options->idle_ctx;
    team->nodes = plan->nodes;
    ash_team_plan_mask(plan, 0, team->home_mask);
    if (plan->spins && options->spin_us >= 0)
        team->spin_ns = 1000 * (int64_t)(options->spin_us ? options->spin_us : SPIN_DEFAULT_US);
    for (int i = 0; i < plan->threads; i++)
        team->worker[i] = (struct worker){
            .team = team, .index = i, .cpu = -1, .node = ash_team_plan_node(plan, i)
        };
    team->worker[0].thread = pthread_self();
    for (int i = 1; i < plan->threads; i++) {
        enum ash_status status = start(&team->worker[i]);
        if (status != ASH_OK) {
            end_crew(team, i);
            ash_free(team->block);
            return status;
        }
        place(&team->worker[i], plan);
    }
    if (options->pin_caller)
        place_caller(team, plan);
    *out = team;
    return ASH_OK;
}

enum ash_status ash_team_create(const struct ash_team_options *options, struct ash_team **out)
{
    const struct ash_team_options defaults = { 0 };
    struct ash_team_plan *plan;
    options = options ? options : &defaults;
    ASH_TRY(ash_team_plan_create(options, &plan));
    enum ash_status status = create(options, plan, out);
    ash_free(plan);
    return status;
}

void ash_team_destroy(struct ash_team *team)
{
    if (!team)
        return;
    end_crew(team, team->threads);
    if (team->caller_pinned)
        (void)pthread_setaffinity_np(team->worker[0].thread, MASK_BYTES, team->caller_mask);
    ash_free(team->block);
}

int ash_team_threads(const struct ash_team *team)
{
    return team->threads;
}

int ash_team_cpu(const struct ash_team *team, int worker)
{
    assert(worker >= 0 && worker < team->threads);
    return team->worker[worker].cpu;
}

int ash_team_nodes(const struct ash_team *team)
{
    return team->nodes;
}

int ash_team_node(const struct ash_team *team, int worker)
{
    assert(worker >= 0 && worker < team->threads);
    return team->worker[worker].node;
}

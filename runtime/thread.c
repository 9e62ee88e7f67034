/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/thread.h"

#include "runtime/affinity.h"
#include "runtime/memory.h"

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
    int cpu; /* -1 = not pinned to one */
};

struct ash_team {
    /*
     * ticket: {sequence number of the open phase : 32, chunks complete : 16, next to claim : 16}
     * shape:  {the same sequence number : 32, its chunks : 32}
     * One addition to the ticket reports a chunk and claims the next; the one that makes the
     * complete chunks all chunks owns what follows. A claim is good if its number is that of
     * `shape` and its chunk is below the count: a phase with a good claim outstanding cannot be
     * complete, so `shape`, which is stored before `ticket`, cannot have moved on. Only a worker
     * that is stopped between the two loads for exactly 2^32 phases could be deceived.
     */
    _Alignas(APART) _Atomic uint64_t ticket;
    _Atomic uint64_t shape;
    /* Belongs to whoever opens a phase; others may read it while they hold a good claim. */
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
    bool caller_pinned;
    cpu_set_t *caller_mask; /* what to give back; ASH_AFFINITY_MAX bits */
    void *block;            /* what was allocated: this struct is aligned within it */
    struct worker worker[];
};

enum { MASK_BYTES = ASH_AFFINITY_MAX / 8 };

/* Every worker may claim once past the end of a phase: `next` must not reach `complete`. */
_Static_assert(ASH_TEAM_MAX_CHUNKS + 2 * ASH_TEAM_MAX_THREADS <= UINT16_MAX, "ticket overflows");
static const uint64_t ONE_CLAIMED = 1, ONE_COMPLETE = UINT64_C(1) << 16;

static uint32_t ticket_next(uint64_t ticket)
{
    return ticket & 0xffff;
}

static uint32_t ticket_complete(uint64_t ticket)
{
    return ticket >> 16 & 0xffff;
}

static bool claimable(uint64_t ticket, uint64_t shape)
{
    return ticket >> 32 == shape >> 32 && ticket_next(ticket) < (uint32_t)shape;
}

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

/* Is there a chunk to claim, or an end to the wait? */
static bool something(struct ash_team *team, const _Atomic bool *end)
{
    uint64_t ticket = atomic_load(&team->ticket), shape = atomic_load(&team->shape);
    return claimable(ticket, shape) || atomic_load(end);
}

static bool spin(struct ash_team *team, const _Atomic bool *end)
{
    int64_t deadline = now_ns() + team->spin_ns;
    do {
        for (int i = 0; i < 64; i++) { /* a look at the clock costs as much as a few of these */
            if (something(team, end))
                return true;
            pause_cpu();
        }
    } while (now_ns() < deadline);
    return false;
}

/* Returns when there may be something to do; the caller looks again. */
static void await(struct ash_team *team, struct bed *bed, const _Atomic bool *end)
{
    if (team->spin_ns > 0 && spin(team, end))
        return;
    uint32_t wakes = atomic_load(&bed->wakes);
    atomic_store(&bed->occupied, 1);
    if (!something(team, end))
        syscall(SYS_futex, &bed->wakes, FUTEX_WAIT_PRIVATE, wakes, NULL, NULL, 0);
}

/* ---- Running ---- */

/*
 * Opens phases until one is worth sharing, and keeps its chunk 0 for the caller; a phase of a single
 * chunk is run on the spot, unseen by the others. Returns the chunks, 0 when the run is over.
 */
static uint32_t open_phase(struct ash_team *team, int worker)
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
        return 0;
    }
    uint64_t sequence = (uint64_t)++team->sequence << 32;
    atomic_store_explicit(&team->shape, sequence | (uint64_t)count, memory_order_relaxed);
    atomic_store(&team->ticket, sequence | ONE_CLAIMED); /* publishes the above */
    wake(&team->crew_bed);
    wake(&team->caller_bed);
    return (uint32_t)count;
}

/* Takes the next chunk of the open phase, whichever it is. */
static bool claim(struct ash_team *team, uint32_t *chunk, uint32_t *count)
{
    /* Looking first keeps the overshoot below one per worker, so that `next` never overflows. */
    uint64_t ticket = atomic_load_explicit(&team->ticket, memory_order_acquire);
    if (!claimable(ticket, atomic_load_explicit(&team->shape, memory_order_relaxed)))
        return false;
    ticket = atomic_fetch_add_explicit(&team->ticket, ONE_CLAIMED, memory_order_acq_rel);
    uint64_t shape = atomic_load_explicit(&team->shape, memory_order_relaxed);
    *chunk = ticket_next(ticket);
    *count = (uint32_t)shape;
    return claimable(ticket, shape);
}

/* Runs a claimed chunk and all others it can get, here and in the phases that this worker opens. */
static void run_from(struct ash_team *team, uint32_t chunk, uint32_t count, int worker)
{
    while (chunk < count) {
        const struct ash_team_work *work = team->work;
        work->chunk(work->ctx, team->phase, chunk, worker);
        uint64_t ticket = atomic_fetch_add_explicit(
            &team->ticket, ONE_COMPLETE | ONE_CLAIMED, memory_order_acq_rel);
        chunk = ticket_next(ticket);
        if (ticket_complete(ticket) + 1 == count) {
            count = open_phase(team, worker);
            chunk = 0;
        }
    }
}

static void *crew(void *argument)
{
    struct worker *self = argument;
    struct ash_team *team = self->team;
    uint32_t chunk, count;
    while (!atomic_load(&team->stop))
        if (claim(team, &chunk, &count))
            run_from(team, chunk, count, self->index);
        else
            await(team, &team->crew_bed, &team->stop);
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

void ash_team_run(struct ash_team *team, const struct ash_team_work *work)
{
    if (team->threads == 1) {
        run_alone(work);
        return;
    }
    assert(!team->work); /* two runs at a time, or one from within a chunk */
    team->work = work;
    team->phase = -1;
    atomic_store_explicit(&team->finished, false, memory_order_relaxed);
    uint32_t chunk = 0, count = open_phase(team, 0);
    run_from(team, chunk, count, 0);
    while (!atomic_load(&team->finished))
        if (claim(team, &chunk, &count))
            run_from(team, chunk, count, 0);
        else
            await(team, &team->caller_bed, &team->finished);
    team->work = NULL;
}

/* ---- The life of a team ---- */

static void mask_of(const int *cpus, int count, cpu_set_t *out)
{
    CPU_ZERO_S(MASK_BYTES, out);
    for (int i = 0; i < count; i++)
        CPU_SET_S((size_t)cpus[i], MASK_BYTES, out);
}

static bool contains(const int *cpus, int count, int cpu)
{
    for (int i = 0; i < count; i++)
        if (cpus[i] == cpu)
            return true;
    return false;
}

/* What the options come to on this machine. */
struct plan {
    int threads, cpu_count;
    bool pinned;               /* worker i on cpu[i] */
    bool spins;                /* a CPU for each thread */
    int cpu[ASH_AFFINITY_MAX]; /* where the workers may run */
};

static enum ash_status plan_team(const struct ash_team_options *options, struct plan *out)
{
    const int usable = ash_affinity_usable();
    out->threads = options->threads ? options->threads : usable;
    if (out->threads < 1 || out->threads > ASH_TEAM_MAX_THREADS)
        return ash_fail(ASH_ERR_ARGUMENT, "a team has 1 to %d threads, not %d",
            ASH_TEAM_MAX_THREADS, out->threads);
    out->cpu_count = ash_affinity_cpus(ASH_AFFINITY_MAX, out->cpu);
    out->pinned = out->threads == out->cpu_count;
    if (options->cpus) {
        if (options->cpu_count < 1 || options->cpu_count > ASH_AFFINITY_MAX)
            return ash_fail(ASH_ERR_ARGUMENT, "a list of %d CPUs", options->cpu_count);
        for (int i = 0; i < options->cpu_count; i++)
            if (!contains(out->cpu, out->cpu_count, options->cpus[i]))
                return ash_fail(ASH_ERR_ARGUMENT,
                    "CPU %d is not among the %d that this process may run on (see `taskset -p $$`)",
                    options->cpus[i], out->cpu_count);
        out->cpu_count = options->cpu_count;
        memcpy(out->cpu, options->cpus, (size_t)out->cpu_count * sizeof *out->cpu);
        out->pinned = out->threads <= out->cpu_count;
    }
    out->spins = out->threads <= usable && out->threads <= out->cpu_count;
    return ASH_OK;
}

static enum ash_status allocate(int threads, struct ash_team **out)
{
    const size_t size = sizeof(struct ash_team) + (size_t)threads * sizeof(struct worker);
    const size_t total = APART + size + MASK_BYTES;
    char *block = ash_alloc_zero(total);
    if (!block)
        return ash_fail_memory(total, "a team of threads");
    struct ash_team *team = (void *)(((uintptr_t)block + APART - 1) & ~(uintptr_t)(APART - 1));
    team->block = block;
    team->threads = threads;
    team->caller_mask = (cpu_set_t *)((char *)team + size);
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
static void place(struct worker *worker, const struct plan *plan)
{
    unsigned long bits[MASK_BYTES / sizeof(unsigned long)];
    cpu_set_t *mask = (cpu_set_t *)bits;
    mask_of(plan->pinned ? &plan->cpu[worker->index] : plan->cpu,
        plan->pinned ? 1 : plan->cpu_count, mask);
    int error = pthread_setaffinity_np(worker->thread, MASK_BYTES, mask);
    worker->cpu = plan->pinned && !error ? plan->cpu[worker->index] : -1;
}

static void place_caller(struct ash_team *team, const struct plan *plan)
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

enum ash_status ash_team_create(const struct ash_team_options *options, struct ash_team **out)
{
    const struct ash_team_options defaults = { 0 };
    struct plan plan;
    struct ash_team *team = NULL;
    options = options ? options : &defaults;
    ASH_TRY(plan_team(options, &plan));
    ASH_TRY(allocate(plan.threads, &team));
    if (plan.spins && options->spin_us >= 0)
        team->spin_ns = 1000 * (int64_t)(options->spin_us ? options->spin_us : SPIN_DEFAULT_US);
    for (int i = 0; i < plan.threads; i++)
        team->worker[i] = (struct worker){ .team = team, .index = i, .cpu = -1 };
    team->worker[0].thread = pthread_self();
    for (int i = 1; i < plan.threads; i++) {
        enum ash_status status = start(&team->worker[i]);
        if (status != ASH_OK) {
            end_crew(team, i);
            ash_free(team->block);
            return status;
        }
        place(&team->worker[i], &plan);
    }
    if (options->pin_caller)
        place_caller(team, &plan);
    *out = team;
    return ASH_OK;
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

/* ---- A loop as a program of one phase ---- */

struct loop {
    int64_t count, grain, chunks;
    void (*fn)(void *ctx, int64_t first, int64_t end, int worker);
    void *ctx;
};

static int64_t open_loop(void *ctx, int64_t phase)
{
    (void)phase;
    const struct loop *loop = ctx;
    return loop->chunks;
}

static void run_loop(void *ctx, int64_t phase, int64_t chunk, int worker)
{
    (void)phase;
    const struct loop *loop = ctx;
    int64_t first = chunk * loop->grain;
    int64_t left = loop->count - first;
    loop->fn(loop->ctx, first, first + (left < loop->grain ? left : loop->grain), worker);
}

/* For count >= 0 and by >= 1; does not overflow as (count + by - 1) / by does. */
static int64_t divide_up(int64_t count, int64_t by)
{
    return count / by + (count % by != 0);
}

void ash_parallel_for(struct ash_team *team, int64_t count, int64_t grain,
    void (*fn)(void *ctx, int64_t first, int64_t end, int worker), void *ctx)
{
    assert(count >= 0 && grain >= 0);
    if (count == 0)
        return;
    if (grain == 0)
        grain = divide_up(count, 4 * (int64_t)team->threads);
    const int64_t least = divide_up(count, ASH_TEAM_MAX_CHUNKS);
    struct loop loop = {
        .count = count, .grain = grain > least ? grain : least, .fn = fn, .ctx = ctx
    };
    loop.chunks = divide_up(count, loop.grain);
    ash_team_run(team,
        &(struct ash_team_work){ .phases = 1, .open = open_loop, .chunk = run_loop, .ctx = &loop });
}

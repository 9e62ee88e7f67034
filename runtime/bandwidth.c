/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/bandwidth.h"

#include "runtime/bandwidth_internal.h"
#include "runtime/cpu.h"
#include "runtime/memory.h"
#include "runtime/thread.h"

#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

enum {
    PIECE_BYTES = 1 << 20, /* of the buffer, to a worker at a time */
    PIECES = ASH_BANDWIDTH_BUFFER_BYTES / PIECE_BYTES,
    PARTS_PER_THREAD = 4,       /* of a computation, so that a disturbed worker gives some away */
    PART_OPERATIONS = 40000000, /* a tenth of a millisecond to a few */
    FIGURE_NS = 60000000,       /* tries of one figure go on for this long */
};

struct measure {
    struct ash_bandwidth_kernels kernels;
    const struct ash_bandwidth_peak *peak; /* the one being measured */
    char *buffer;
    _Atomic uint64_t result; /* of everything, so that nothing is left out */
};

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

static void keep(struct measure *measure, uint64_t result)
{
    atomic_fetch_add_explicit(&measure->result, result, memory_order_relaxed);
}

static void touch(void *ctx, int64_t first, int64_t end, int worker)
{
    (void)worker;
    struct measure *measure = ctx;
    memset(measure->buffer + first * PIECE_BYTES, 1, (size_t)(end - first) * PIECE_BYTES);
}

static void read_pieces(void *ctx, int64_t first, int64_t end, int worker)
{
    (void)worker;
    struct measure *measure = ctx;
    keep(measure, measure->kernels.read(
                      measure->buffer + first * PIECE_BYTES, (size_t)(end - first) * PIECE_BYTES));
}

static int64_t rounds_of(const struct ash_bandwidth_peak *peak)
{
    return PART_OPERATIONS / peak->per_round;
}

static void multiply(void *ctx, int64_t first, int64_t end, int worker)
{
    (void)worker;
    struct measure *measure = ctx;
    keep(measure, measure->peak->run((end - first) * rounds_of(measure->peak)));
}

/* `amount` of something for each i, over all i < count, by the team or (NULL) alone: the best rate. */
static double best_rate(struct ash_team *team, struct measure *measure, int64_t count,
    double amount, void (*fn)(void *ctx, int64_t first, int64_t end, int worker))
{
    double best = 0;
    const int64_t start = now_ns();
    for (int tries = 0; tries < 2 || now_ns() - start < FIGURE_NS; tries++) {
        const int64_t before = now_ns();
        if (team)
            ash_parallel_for(team, count, 1, fn, measure);
        else
            fn(measure, 0, count, 0);
        const int64_t took = now_ns() - before;
        const double rate = (double)count * amount / (double)(took > 0 ? took : 1);
        best = rate > best ? rate : best;
    }
    return best; /* a number in a nanosecond is 10^9 of them in a second */
}

/* Of a unit, 10^9 a second; 0 where there is none. What is counted is what is run: whole rounds. */
static double best_gops(
    struct ash_team *team, struct measure *measure, const struct ash_bandwidth_peak *peak)
{
    if (!peak->run)
        return 0;
    const int64_t parts = (team ? ash_team_threads(team) : 1) * (int64_t)PARTS_PER_THREAD;
    measure->peak = peak;
    return best_rate(
        team, measure, parts, (double)rounds_of(peak) * (double)peak->per_round, multiply);
}

static struct ash_bandwidth measure_all(struct ash_team *team, struct measure *measure)
{
    const struct ash_bandwidth_kernels *kernels = &measure->kernels;
    return (struct ash_bandwidth){
        .threads = team ? ash_team_threads(team) : 1,
        .read_gbps = best_rate(team, measure, PIECES, PIECE_BYTES, read_pieces),
        .int8_gops = best_gops(team, measure, &kernels->int8),
        .fp32_gops = best_gops(team, measure, &kernels->fp32),
        .int8_kernel = kernels->int8.name,
        .fp32_kernel = kernels->fp32.name,
        .amx_int8_gops = best_gops(team, measure, &kernels->amx_int8),
        .amx_bf16_gops = best_gops(team, measure, &kernels->amx_bf16),
    };
}

enum ash_status ash_bandwidth_measure(
    struct ash_team *team, struct ash_bandwidth *out_one, struct ash_bandwidth *out_all)
{
    /* No pool: the workers touch the pages, so that they lie on all nodes that the team runs on. */
    char *buffer = mmap(NULL, ASH_BANDWIDTH_BUFFER_BYTES, PROT_READ | PROT_WRITE,
        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (buffer == MAP_FAILED)
        return ash_fail_memory(ASH_BANDWIDTH_BUFFER_BYTES, "a buffer to measure the memory with");
    (void)madvise(buffer, ASH_BANDWIDTH_BUFFER_BYTES, MADV_HUGEPAGE);
    struct measure measure = { .kernels = ash_bandwidth_kernels(ash_cpu_features()),
        .buffer = buffer };
    ash_parallel_for(team, PIECES, 1, touch, &measure);
    *out_one = measure_all(NULL, &measure);
    *out_all = ash_team_threads(team) > 1 ? measure_all(team, &measure) : *out_one;
    munmap(buffer, ASH_BANDWIDTH_BUFFER_BYTES);
    return ASH_OK;
}

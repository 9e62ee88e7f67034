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

static void multiply_bytes(void *ctx, int64_t first, int64_t end, int worker)
{
    (void)worker;
    struct measure *measure = ctx;
    const int64_t rounds = PART_OPERATIONS / measure->kernels.int8_per_round;
    keep(measure, measure->kernels.int8((end - first) * rounds));
}

static void multiply_floats(void *ctx, int64_t first, int64_t end, int worker)
{
    (void)worker;
    struct measure *measure = ctx;
    const int64_t rounds = PART_OPERATIONS / measure->kernels.fp32_per_round;
    keep(measure, measure->kernels.fp32((end - first) * rounds));
}

static void multiply_int8_tiles(void *ctx, int64_t first, int64_t end, int worker)
{
    (void)worker;
    struct measure *measure = ctx;
    const int64_t rounds = PART_OPERATIONS / measure->kernels.amx_int8_per_round;
    keep(measure, measure->kernels.amx_int8((end - first) * rounds));
}

static void multiply_bf16_tiles(void *ctx, int64_t first, int64_t end, int worker)
{
    (void)worker;
    struct measure *measure = ctx;
    const int64_t rounds = PART_OPERATIONS / measure->kernels.amx_bf16_per_round;
    keep(measure, measure->kernels.amx_bf16((end - first) * rounds));
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

/* The tile unit's figures, where there is one. */
static void measure_tiles(struct ash_team *team, struct measure *measure, struct ash_bandwidth *out)
{
    const struct ash_bandwidth_kernels *kernels = &measure->kernels;
    const int64_t parts = (int64_t)out->threads * PARTS_PER_THREAD;
    if (kernels->amx_int8)
        out->amx_int8_gops = best_rate(team, measure, parts,
            PART_OPERATIONS / kernels->amx_int8_per_round * (double)kernels->amx_int8_per_round,
            multiply_int8_tiles);
    if (kernels->amx_bf16)
        out->amx_bf16_gops = best_rate(team, measure, parts,
            PART_OPERATIONS / kernels->amx_bf16_per_round * (double)kernels->amx_bf16_per_round,
            multiply_bf16_tiles);
}

static struct ash_bandwidth measure_all(struct ash_team *team, struct measure *measure)
{
    const int threads = team ? ash_team_threads(team) : 1;
    const int64_t parts = (int64_t)threads * PARTS_PER_THREAD;
    const struct ash_bandwidth_kernels *kernels = &measure->kernels;
    /* Whole rounds: what is counted must be what is run. */
    const double int8 = PART_OPERATIONS / kernels->int8_per_round * (double)kernels->int8_per_round;
    const double fp32 = PART_OPERATIONS / kernels->fp32_per_round * (double)kernels->fp32_per_round;
    struct ash_bandwidth found = {
        .threads = threads,
        .read_gbps = best_rate(team, measure, PIECES, PIECE_BYTES, read_pieces),
        .int8_gops = best_rate(team, measure, parts, int8, multiply_bytes),
        .fp32_gops = best_rate(team, measure, parts, fp32, multiply_floats),
        .int8_kernel = kernels->int8_name,
        .fp32_kernel = kernels->fp32_name,
    };
    measure_tiles(team, measure, &found);
    return found;
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

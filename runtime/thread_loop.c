/* SPDX-License-Identifier: Apache-2.0 */
/* A loop as a program of one phase. */
#include "runtime/thread.h"

#include <assert.h>

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
        grain = divide_up(count, 4 * (int64_t)ash_team_threads(team));
    const int64_t least = divide_up(count, ASH_TEAM_MAX_CHUNKS);
    struct loop loop = {
        .count = count, .grain = grain > least ? grain : least, .fn = fn, .ctx = ctx
    };
    loop.chunks = divide_up(count, loop.grain);
    ash_team_run(team,
        &(struct ash_team_work){ .phases = 1, .open = open_loop, .chunk = run_loop, .ctx = &loop });
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/thread.h"

#include "runtime/affinity.h"
#include "runtime/memory.h"
#include "tests/runtime/thread_program.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { SANITIZED = 1 };
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
enum { SANITIZED = 1 };
#else
enum { SANITIZED = 0 };
#endif
#else
enum { SANITIZED = 0 };
#endif

static struct ash_team *team_of(int threads, int spin_us)
{
    struct ash_team *team = NULL;
    struct ash_team_options options = { .threads = threads, .spin_us = spin_us };
    cr_assert_eq(ash_team_create(&options, &team), ASH_OK, "%s", ash_error());
    cr_assert_eq(ash_team_threads(team), threads);
    return team;
}

static void sleep_ms(long ms)
{
    struct timespec time = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };
    nanosleep(&time, NULL);
}

static void run_checked(struct ash_team *team, int64_t phases, int64_t most, unsigned *seed)
{
    cr_assert_eq(ash_program_run(team, phases, most, seed), 0);
}

Test(thread, every_chunk_runs_once_and_phases_follow_one_another)
{
    unsigned seed = 1;
    for (int threads = 1; threads <= 8; threads++)
        for (int spin_us = -1; spin_us <= 20; spin_us += 21) {
            struct ash_team *team = team_of(threads, spin_us);
            for (int run = 0; run < 20; run++)
                run_checked(team, 40, run % 13, &seed);
            run_checked(team, 0, 0, &seed);
            run_checked(team, 1, 1000, &seed);
            ash_team_destroy(team);
        }
}

Test(thread, many_short_runs_and_single_chunks)
{
    unsigned seed = 2;
    struct ash_team *team = team_of(3, 5);
    for (int run = 0; run < 3000; run++)
        run_checked(team, rand_r(&seed) % 4, 2, &seed);
    ash_team_destroy(team);
}

Test(thread, workers_that_fell_asleep_come_back)
{
    unsigned seed = 3;
    struct ash_team *team = team_of(2, 1);
    for (int run = 0; run < 20; run++) {
        sleep_ms(2);
        run_checked(team, 5, 9, &seed);
    }
    ash_team_destroy(team);
}

Test(thread, a_team_can_be_destroyed_before_during_and_after_its_first_sleep)
{
    for (int ms = 0; ms < 6; ms++)
        for (int threads = 1; threads <= 8; threads++) {
            struct ash_team *team = team_of(threads, 1);
            sleep_ms(ms);
            ash_team_destroy(team);
        }
    ash_team_destroy(NULL);
}

/* Both chunks wait for one another: only two workers at once get through. */
static void meet(void *ctx, int64_t phase, int64_t chunk, int worker)
{
    (void)phase, (void)chunk, (void)worker;
    _Atomic int *here = ctx;
    atomic_fetch_add(here, 1);
    for (int i = 0; i < 10000 && atomic_load(here) < 2; i++)
        sleep_ms(1);
}

static int64_t open_two(void *ctx, int64_t phase)
{
    (void)ctx, (void)phase;
    return 2;
}

Test(thread, chunks_of_a_phase_run_at_the_same_time, .timeout = 60)
{
    struct ash_team *team = team_of(2, 0);
    for (int run = 0; run < 3; run++) {
        _Atomic int here = 0;
        sleep_ms(5 * run); /* asleep from the second run on */
        ash_team_run(team, &(struct ash_team_work){ 1, open_two, meet, &here });
        cr_assert_eq(here, 2);
    }
    ash_team_destroy(team);
}

struct sum {
    _Atomic int64_t total, calls;
    int64_t longest;
};

static void add_range(void *ctx, int64_t first, int64_t end, int worker)
{
    (void)worker;
    struct sum *sum = ctx;
    int64_t part = 0;
    for (int64_t i = first; i < end; i++)
        part += i;
    atomic_fetch_add(&sum->total, part);
    atomic_fetch_add(&sum->calls, 1);
}

Test(thread, parallel_for_covers_the_range_once)
{
    static const struct {
        int64_t count, grain, calls; /* calls 0 = not fixed */
    } cases[] = { { 0, 1, 0 }, { 1, 0, 1 }, { 1, 1, 1 }, { 10, 3, 4 }, { 9, 3, 3 }, { 5, 100, 1 },
        { 100000, 0, 0 }, { 7, INT64_MAX, 1 }, { 100000, 1, 25000 } };
    for (int threads = 1; threads <= 3; threads++) {
        struct ash_team *team = team_of(threads, 0);
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
            struct sum sum = { 0 };
            ash_parallel_for(team, cases[i].count, cases[i].grain, add_range, &sum);
            cr_assert_eq(sum.total, cases[i].count * (cases[i].count - 1) / 2);
            if (cases[i].calls)
                cr_assert_eq(sum.calls, cases[i].calls);
        }
        ash_team_destroy(team);
    }
}

static void count_calls(void *ctx, int64_t first, int64_t end, int worker)
{
    (void)worker;
    struct sum *sum = ctx;
    atomic_fetch_add(&sum->total, end - first);
    sum->longest = end == INT64_MAX ? end : sum->longest;
}

Test(thread, parallel_for_makes_a_grain_larger_that_gives_too_many_runs)
{
    struct ash_team *team = team_of(1, 0);
    struct sum sum = { 0 };
    ash_parallel_for(team, INT64_MAX, INT64_MAX / 3, count_calls, &sum);
    cr_assert_eq(sum.total, INT64_MAX);
    cr_assert_eq(sum.longest, INT64_MAX);
    ash_team_destroy(team);
}

Test(thread, create_survives_every_failed_allocation)
{
    int64_t nth = 0;
    for (;; nth++) {
        struct ash_team *team = NULL;
        struct ash_team_options options = { .threads = 3 };
        ash_memory_fail_from(nth);
        enum ash_status status = ash_team_create(&options, &team);
        ash_memory_fail_from(-1);
        if (status == ASH_OK) {
            ash_team_destroy(team);
            break;
        }
        cr_assert_eq(status, ASH_ERR_NO_MEMORY);
        cr_assert_null(team);
    }
    cr_assert_geq(nth, 1);
}

static int threads_alive(void)
{
    int count = 0;
    char text[4096], *at;
    FILE *file = fopen("/proc/self/status", "r");
    size_t length = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[length] = '\0';
    if ((at = strstr(text, "Threads:")))
        sscanf(at, "Threads: %d", &count);
    return count;
}

Test(thread, create_ends_the_threads_it_started_when_the_system_gives_no_more)
{
    if (SANITIZED)
        cr_skip_test("sanitizers need the address space that is limited here");
    int before = threads_alive();
    struct rlimit limit = { .rlim_cur = 512u << 20, .rlim_max = 512u << 20 };
    cr_assert_eq(setrlimit(RLIMIT_AS, &limit), 0);
    struct ash_team *team = NULL;
    struct ash_team_options options = { .threads = 1000 }; /* 8 MB of stack each */
    cr_assert_eq(ash_team_create(&options, &team), ASH_ERR_NO_MEMORY);
    cr_assert(strstr(ash_error(), "of 1000"), "%s", ash_error());
    cr_assert_null(team);
    for (int i = 0; i < 1000 && threads_alive() > before; i++)
        sleep_ms(1); /* joined threads leave /proc a moment later */
    cr_assert_eq(threads_alive(), before);
}

Test(thread, options_that_cannot_be_are_refused_with_a_reason)
{
    const int none[] = { ASH_AFFINITY_MAX + 5 }, negative[] = { -1 };
    const struct {
        struct ash_team_options options;
        const char *reason;
    } cases[] = {
        { { .threads = -1 }, "not -1" },
        { { .threads = ASH_TEAM_MAX_THREADS + 1 }, "not 4097" },
        { { .threads = 1, .cpus = none, .cpu_count = 1 }, "CPU 8197" },
        { { .threads = 1, .cpus = negative, .cpu_count = 1 }, "CPU -1" },
        { { .threads = 1, .cpus = none, .cpu_count = 0 }, "list of 0" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct ash_team *team = NULL;
        cr_assert_eq(ash_team_create(&cases[i].options, &team), ASH_ERR_ARGUMENT);
        cr_assert(strstr(ash_error(), cases[i].reason), "%s", ash_error());
        cr_assert_null(team);
    }
}

static void note_cpu(void *ctx, int64_t phase, int64_t chunk, int worker)
{
    (void)phase, (void)chunk;
    ((_Atomic int *)ctx)[worker] = sched_getcpu();
    sleep_ms(2); /* so that the others take some, too */
}

static int64_t open_sixteen(void *ctx, int64_t phase)
{
    (void)ctx, (void)phase;
    return 16;
}

Test(thread, workers_run_where_they_were_put)
{
    int cpus[2];
    if (ash_affinity_cpus(2, cpus) < 2)
        cr_skip_test("one CPU only");
    int swapped[] = { cpus[1], cpus[0] };
    struct ash_team *team;
    struct ash_team_options options = {
        .threads = 2, .cpus = swapped, .cpu_count = 2, .pin_caller = true
    };
    cr_assert_eq(ash_team_create(&options, &team), ASH_OK);
    _Atomic int seen[2] = { -1, -1 };
    ash_team_run(team, &(struct ash_team_work){ 1, open_sixteen, note_cpu, seen });
    for (int worker = 0; worker < 2; worker++) {
        cr_assert_eq(ash_team_cpu(team, worker), swapped[worker]);
        cr_assert(seen[worker] == swapped[worker] || seen[worker] == -1);
    }
    cr_assert_eq(ash_affinity_cpus(0, NULL), 1);
    ash_team_destroy(team);
    cr_assert_geq(ash_affinity_cpus(0, NULL), 2, "the caller gets its mask back");
}

static void note_signals(void *ctx, int64_t phase, int64_t chunk, int worker)
{
    (void)phase, (void)chunk;
    sigset_t mask;
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    if (worker > 0 && !sigismember(&mask, SIGINT))
        atomic_fetch_add((_Atomic int *)ctx, 1);
    sleep_ms(1);
}

Test(thread, workers_leave_signals_to_the_program)
{
    struct ash_team *team = team_of(3, 0);
    _Atomic int open_to_signals = 0;
    ash_team_run(team, &(struct ash_team_work){ 1, open_sixteen, note_signals, &open_to_signals });
    cr_assert_eq(open_to_signals, 0);
    sigset_t mask;
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    cr_assert(!sigismember(&mask, SIGINT));
    ash_team_destroy(team);
}

Test(thread, a_run_allocates_nothing)
{
    struct ash_team *team = team_of(2, 0);
    struct sum sum = { 0 };
    ash_memory_fail_from(0);
    ash_parallel_for(team, 1000, 10, add_range, &sum);
    cr_assert_eq(ash_memory_fail_from(-1), 0);
    cr_assert_eq(sum.total, 499500);
    ash_team_destroy(team);
}

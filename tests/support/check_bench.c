/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/cpu.h"
#include "tests/support/check_internal.h"

#include <string.h>
#include <time.h>

enum { REPEATS = 15, REPEAT_NS = 2000000 };

static double now_ns(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double time_calls(struct call *call, const struct problem *problem,
    const struct ash_kernel *kernel, int64_t calls)
{
    double begin = now_ns();
    for (int64_t i = 0; i < calls; i++)
        call_run(call, problem->op, kernel, SPLIT_NONE, 0);
    return (now_ns() - begin) / (double)calls;
}

static void bench_kernel(
    const struct problem *problem, const struct ash_kernel *kernel, FILE *report)
{
    struct call call;
    struct selection all = selection_all(problem);
    call_init(&call, problem, &all, kernel, ASH_F32, 0, 0);
    double once = time_calls(&call, problem, kernel, 3), ns[REPEATS];
    int64_t calls = once < REPEAT_NS ? (int64_t)(REPEAT_NS / once) + 1 : 1;
    for (int r = 0; r < REPEATS; r++)
        ns[r] = time_calls(&call, problem, kernel, calls);
    qsort(ns, REPEATS, sizeof ns[0], by_value);
    struct ash_cost cost;
    problem->op->cost(&call.args, &cost);
    double median = ns[REPEATS / 2];
    fprintf(report, "%-10s %-28s %-12s %11.0f %11.0f %11.0f %8.2f %8.2f\n", problem->op->name,
        problem->row->name, kernel->name, ns[0], median, ns[REPEATS - 1],
        (cost.bytes_read + cost.bytes_written) / median, cost.flops / median);
    call_finish(&call);
}

static void bench_case(const struct ash_op *op, const struct ash_case *row, FILE *report)
{
    struct problem problem;
    problem_init(&problem, op, row, &check_kinds[0], false);
    struct ash_args args = { .params = row->params };
    memcpy(args.in, problem.in, sizeof args.in);
    check_must(ash_op_infer(op, &args, &args.out) == ASH_OK);
    for (const struct ash_kernel *kernel = op->kernels; kernel && kernel->run; kernel++) {
        struct ash_op alone = { .kernels = (struct ash_kernel[]){ *kernel, { 0 } } };
        if (ash_op_choose(&alone, &args, ash_cpu_features()))
            bench_kernel(&problem, kernel, report);
    }
    problem_finish(&problem);
}

void ash_bench_op(
    const struct ash_op *op, const struct ash_case *cases, const char *filter, FILE *report)
{
    for (const struct ash_case *row = cases; row->name; row++) {
        char name[128];
        snprintf(name, sizeof name, "%s/%s", op->name, row->name);
        if (row->bench && (!filter || strstr(name, filter)))
            bench_case(op, row, report);
    }
}

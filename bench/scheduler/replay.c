/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a step of a replay costs beside its kernel: plans of operators that do nothing.
 * Prints figures and passes no verdict. Usage: bench-replay [MOST-THREADS]
 *
 *   chain   each step waits for the last one
 *   wide    four steps to a phase
 *   shared  a chain of steps that claim to be worth all threads: each is cut and handed over
 */
#include "drivers/drivers.h"
#include "runtime/config.h"
#include "runtime/trace.h"
#include "scheduler/plan.h"

#include <stdio.h>
#include <stdlib.h>

enum { STEPS = 2000, REPEATS = 31, REPLAYS = 20, WIDE = 4, ROWS = 64 };

struct nothing_params {
    double bytes; /* what it claims to move */
};

static enum ash_status nothing_infer(const struct ash_args *args, struct ash_tensor *out)
{
    (void)args;
    ASH_TRY(ash_tensor_init(ASH_F32, 2, (int64_t[]){ 1, 16 }, out));
    out->extent = ASH_EXTENT_TOKENS;
    return ASH_OK;
}

static void nothing_cost(const struct ash_args *args, struct ash_cost *out)
{
    const struct nothing_params *params = args->params;
    *out = (struct ash_cost){ .bytes_read = params->bytes };
}

static void nothing_reference(const struct ash_args *args)
{
    (void)args;
}

static void nothing_run(const struct ash_args *args, int64_t first_row, int64_t last_row)
{
    (void)args, (void)first_row, (void)last_row;
}

static const struct ash_kernel kernels[] = {
    { .name = "nothing", .grain = 1, .run = nothing_run },
    { 0 },
};

static const struct ash_op nothing = {
    .name = "nothing",
    .inputs = 1,
    .optional = 1,
    .params_bytes = sizeof(struct nothing_params),
    .infer = nothing_infer,
    .cost = nothing_cost,
    .reference = nothing_reference,
    .kernels = kernels,
};

static void must(enum ash_status status)
{
    if (status == ASH_OK)
        return;
    fprintf(stderr, "bench-replay: %s\n", ash_error());
    exit(1);
}

static struct ash_plan *make_plan(struct ash_device *device, int wide, double bytes)
{
    struct ash_graph *graph;
    struct nothing_params params = { bytes };
    must(ash_graph_create(ROWS, 1, &graph));
    ash_value last = ASH_NO_VALUE;
    for (int i = 0; i < STEPS; i += wide) {
        ash_value made = ASH_NO_VALUE;
        for (int k = 0; k < wide; k++)
            made = ash_graph_add(graph, "step", &nothing, &last, 1, &params);
        last = made;
    }
    struct ash_plan_options options = { .devices = &device, .device_count = 1 };
    struct ash_plan *plan;
    must(ash_plan_create(graph, &options, &plan));
    ash_graph_destroy(graph);
    return plan;
}

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* `vary`: another number of tokens each time, so that every step is bound and cut again. */
static void measure(struct ash_plan *plan, const char *name, int threads, bool vary)
{
    double ns[REPEATS];
    struct ash_batch batch = { .tokens = ROWS };
    must(ash_plan_run(plan, &batch));
    for (int i = 0; i < REPEATS; i++) {
        int64_t start_ns = ash_now_ns();
        for (int k = 0; k < REPLAYS; k++) {
            batch.tokens = ROWS - (vary ? k : 0);
            must(ash_plan_run(plan, &batch));
        }
        ns[i] = (double)(ash_now_ns() - start_ns) / (REPLAYS * STEPS);
    }
    qsort(ns, REPEATS, sizeof *ns, ascending);
    printf("%-8s %7d %-8s %8.1f %8.1f %8.1f\n", name, threads, vary ? "changing" : "same", ns[0],
        ns[REPEATS / 2], ns[REPEATS - 1]);
}

static void measure_all(struct ash_device *device, int threads)
{
    static const struct {
        const char *name;
        int wide;
        double bytes;
    } cases[] = { { "chain", 1, 0 }, { "wide", WIDE, 0 }, { "shared", 1, 1e6 } };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct ash_plan *plan = make_plan(device, cases[i].wide, cases[i].bytes);
        measure(plan, cases[i].name, threads, false);
        measure(plan, cases[i].name, threads, true);
        ash_plan_destroy(plan);
    }
}

int main(int count, char *arguments[])
{
    int most = count > 1 ? atoi(arguments[1]) : 2, found;
    struct ash_device_info infos[16];
    const struct ash_device_info *info;
    must(ash_devices_probe(NULL, infos, 16, &found));
    must(ash_device_find(infos, found, "cpu", &info));
    printf("ns per step of no work, %d steps\n", STEPS);
    printf("%-8s %7s %-8s %8s %8s %8s\n", "graph", "threads", "T", "min", "median", "max");
    for (int threads = 1; threads <= most; threads *= 2) {
        struct ash_config config = { .threads = threads };
        struct ash_device *device;
        must(info->driver->open(info, &config, &device));
        measure_all(device, threads);
        device->driver->close(device);
    }
    return 0;
}

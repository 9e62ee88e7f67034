/* SPDX-License-Identifier: Apache-2.0 */
/* Every operator, at every shape, in every phase, with every kernel that this machine can run. */
#include "drivers/runtime.h"
#include "kernels/ops.h"
#include "runtime/cpu.h"
#include "runtime/json.h"
#include "runtime/memory.h"
#include "runtime/trace.h"
#include "tools/ashlar/bench_subject.h"

#include <math.h>
#include <string.h>

enum {
    SAMPLE_NS = 5000000,         /* a sample takes at least this long */
    COMPUTE_FLOPS_PER_BYTE = 16, /* from here on, a second cache feeds any processor's units */
};

struct bench {
    struct ash_cli *cli;
    const struct bench_options *options;
    const char *filter;
    struct ash_runtime *runtime;
    struct ash_bandwidth roof;
    struct ash_table *table;
    double *sample_ns;
    int64_t measured;
};

/* ---- Rows ---- */

static const struct ash_column columns[] = {
    { "OPERATOR", "operator", ASH_ALIGN_LEFT },
    { "CASE", "case", ASH_ALIGN_LEFT },
    { "KERNEL", "kernel", ASH_ALIGN_LEFT },
    { "US", "us", ASH_ALIGN_RIGHT },
    { "LEAST", "us_min", ASH_ALIGN_RIGHT },
    { "MOST", "us_max", ASH_ALIGN_RIGHT },
    { "GB/S", "gbps", ASH_ALIGN_RIGHT },
    { "GOP/S", "gops", ASH_ALIGN_RIGHT },
    { "ROOF", "roof", ASH_ALIGN_LEFT },
    { "OF ROOF %", "percent_of_roof", ASH_ALIGN_RIGHT },
};

/*
 * What bounds the operator on this machine, and the nanoseconds it would take at that bound: memory,
 * where most of the bytes come from there and take longer than the arithmetic; else arithmetic, where
 * there is much of it for each byte; else caches, whose bandwidth is not measured (NAN).
 */
static const char *find_roof(
    const struct ash_bandwidth *roof, const struct bench_subject *subject, double *out_ns)
{
    *out_ns = (double)NAN;
    if (roof->threads == 0)
        return NULL;
    const char *unit;
    double peak_gops =
        bench_peak_gops(roof, subject->kernel[0].needs, subject->args.in[0].type, &unit);
    double flops = subject->cost.flops;
    double bytes = subject->cost.bytes_read + subject->cost.bytes_written;
    double from_memory = bench_memory_bytes(&subject->args, &subject->cost);
    double memory_ns = from_memory / roof->read_gbps;
    double compute_ns = flops / peak_gops;
    if (from_memory >= bytes / 2 && memory_ns >= compute_ns) {
        *out_ns = memory_ns;
        return "memory";
    }
    if (flops < COMPUTE_FLOPS_PER_BYTE * bytes)
        return "caches";
    *out_ns = compute_ns;
    return unit;
}

static void add_row(struct bench *bench, const struct bench_subject *subject, const char *name,
    const struct bench_summary *ns)
{
    double roof_ns, bytes = subject->cost.bytes_read + subject->cost.bytes_written;
    const char *roof = find_roof(&bench->roof, subject, &roof_ns);
    ash_table_text(bench->table, subject->row->op->name);
    ash_table_text(bench->table, name);
    ash_table_text(bench->table, subject->loaded->kernel);
    ash_table_real(bench->table, ns->median * 1e-3, 2);
    ash_table_real(bench->table, ns->min * 1e-3, 2);
    ash_table_real(bench->table, ns->max * 1e-3, 2);
    ash_table_real(bench->table, bytes / ns->median, 2);
    ash_table_real(bench->table, subject->cost.flops / ns->median, 2);
    ash_table_text(bench->table, roof);
    ash_table_real(bench->table, 100 * roof_ns / ns->median, 0);
    bench->measured++;
}

static enum ash_status measure_samples(
    struct bench *bench, const struct bench_subject *subject, const char *name)
{
    double once_ns;
    ASH_TRY(bench_subject_run(subject, 1, &once_ns));
    ASH_TRY(bench_subject_run(subject, 1, &once_ns)); /* the first one met cold caches and pages */
    int64_t runs = (int64_t)(SAMPLE_NS / (once_ns * subject->steps)) + 1;
    for (int64_t i = 0; i < bench->options->repeats; i++)
        ASH_TRY(bench_subject_run(subject, runs, &bench->sample_ns[i]));
    struct bench_summary ns = bench_summarise(bench->sample_ns, bench->options->repeats);
    add_row(bench, subject, name, &ns);
    return ASH_OK;
}

static enum ash_status measure_kernel(struct bench *bench, const struct bench_subject *described,
    const struct ash_kernel *kernel, const char *name)
{
    struct bench_subject subject = *described;
    if (!bench_subject_choose(&subject, kernel))
        return ASH_OK;
    enum ash_status status = bench_subject_prepare(&subject);
    if (status == ASH_OK)
        status = measure_samples(bench, &subject, name);
    bench_subject_finish(&subject);
    return ash_fail_in(status, "%s, %s", described->row->op->name, name);
}

static enum ash_status measure_case(
    struct bench *bench, struct bench_subject *subject, enum ash_type type)
{
    char name[96], full[128];
    snprintf(name, sizeof name, "%s %s%s%s %s", subject->shape->name, subject->row->name,
        subject->row->typed ? " " : "", subject->row->typed ? ash_type_info(type)->name : "",
        subject->phase->name);
    snprintf(full, sizeof full, "%s/%s", subject->row->op->name, name);
    if (bench->filter && !strstr(full, bench->filter))
        return ASH_OK;
    bench_say(bench->cli, full);
    ASH_TRY(bench_subject_shape(subject, type));
    for (const struct ash_kernel *kernel = subject->row->op->kernels; kernel && kernel->run;
         kernel++)
        ASH_TRY(measure_kernel(bench, subject, kernel, name));
    return ASH_OK;
}

/* Every size, type and phase of a row. */
static enum ash_status measure_row(struct bench *bench, const struct bench_row *row)
{
    static const enum ash_type untyped[] = { ASH_F16, ASH_F32 };
    const enum ash_type *types = row->types ? row->types : untyped;
    for (const struct bench_shape *shape = bench_shapes; shape->name; shape++)
        for (const enum ash_type *type = types; *type != ASH_F32; type++)
            for (const struct bench_phase *phase = bench_phases; phase->name; phase++) {
                struct bench_subject subject = {
                    .device = bench->runtime->device[0], .row = row, .shape = shape, .phase = phase
                };
                if (!phase->deep || row->op == &ash_op_attention)
                    ASH_TRY(measure_case(bench, &subject, *type));
            }
    return ASH_OK;
}

/* ---- All of it ---- */

static enum ash_status print(const struct bench *bench, double foreign_percent)
{
    bench_say(bench->cli, NULL);
    if (!bench->options->json) {
        ASH_TRY(ash_table_print(bench->table, stdout));
        bench_print_conditions(&bench->roof, foreign_percent, stdout);
        return ASH_OK;
    }
    const struct ash_device *device = bench->runtime->device[0];
    json_t *object = json_pack("{s:s, s:s, s:I, s:I, s:o}", "driver", device->driver->name,
        "device", device->info.name, "threads", (json_int_t)bench->runtime->config.threads,
        "repeats", (json_int_t)bench->options->repeats, "results", ash_table_json(bench->table));
    bool failed = !object || bench_json_conditions(object, &bench->roof, foreign_percent);
    enum ash_status status = ash_json_print(failed ? NULL : object, stdout);
    json_decref(object);
    return status;
}

static enum ash_status fail_unknown(const char *filter)
{
    char names[512] = "";
    for (const struct ash_op *const *op = ash_ops; *op; op++) {
        size_t length = strlen(names);
        snprintf(names + length, sizeof names - length, "%s%s", length ? ", " : "", (*op)->name);
    }
    return ash_fail(ASH_ERR_NOT_FOUND,
        "no operator's name or case holds \"%s\", or none of its kernels runs here; there are %s",
        filter ? filter : "", names);
}

static enum ash_status measure(struct bench *bench)
{
    struct bench_cpu before, after;
    const struct ash_device *device = bench->runtime->device[0];
    if (!device->driver->compile || strcmp(device->driver->name, "cpu") != 0)
        return ash_fail(ASH_ERR_UNSUPPORTED,
            "operators are measured on the processor; found --device %s: take --device cpu",
            device->driver->name);
    size_t repeats = (size_t)bench->options->repeats;
    bench->sample_ns = ash_alloc_array(repeats, sizeof *bench->sample_ns);
    if (!bench->sample_ns)
        return ash_fail_memory(repeats * sizeof *bench->sample_ns, "samples");
    ASH_TRY(ash_table_create(columns, sizeof columns / sizeof *columns, &bench->table));
    bench_cpu_read(&before);
    for (const struct bench_row *row = bench_rows; row->op; row++)
        ASH_TRY(measure_row(bench, row));
    bench_cpu_read(&after);
    if (bench->measured == 0)
        return fail_unknown(bench->filter);
    return print(bench, bench_foreign_percent(&before, &after));
}

enum ash_status bench_ops(struct ash_cli *cli, const char *filter)
{
    struct bench bench = { .cli = cli, .options = cli->options, .filter = filter };
    ASH_TRY(bench_roof(cli, &bench.roof));
    ASH_TRY(ash_runtime_open(&cli->config, &bench.runtime));
    enum ash_status status = measure(&bench);
    ash_table_destroy(bench.table);
    ash_free(bench.sample_ns);
    ash_runtime_destroy(bench.runtime);
    return status;
}

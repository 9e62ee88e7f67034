/* SPDX-License-Identifier: Apache-2.0 */
/* Samples, the machine's roof, and the noise that others make. */
#include "runtime/affinity.h"
#include "runtime/cpu.h"
#include "runtime/memory.h"
#include "runtime/thread.h"
#include "runtime/trace.h"
#include "tools/ashlar/bench.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

struct bench_summary bench_summarise(double *sample, int64_t count)
{
    qsort(sample, (size_t)count, sizeof *sample, by_value);
    double lower = sample[(count - 1) / 2], upper = sample[count / 2];
    return (struct bench_summary){ sample[0], (lower + upper) / 2, sample[count - 1] };
}

/* ---- Noise ---- */

static int by_number(const void *a, const void *b)
{
    return *(const int *)a - *(const int *)b;
}

/*
 * The busy ticks in one "cpuN ..." line of /proc/stat: all but the idle ones, proc(5). Guests' time is
 * in "user" already and stands behind what is read here.
 */
static bool busy_ticks(const char *line, int *cpu, double *ticks)
{
    double user, nice, system, idle, wait, irq, softirq, steal;
    if (sscanf(line, "cpu%d %lf %lf %lf %lf %lf %lf %lf %lf", cpu, &user, &nice, &system, &idle,
            &wait, &irq, &softirq, &steal) != 9)
        return false;
    *ticks = user + nice + system + irq + softirq + steal;
    return true;
}

static double busy_seconds(const int *cpus, int count)
{
    FILE *file = fopen("/proc/stat", "re");
    if (!file)
        return (double)NAN;
    char line[1024];
    double sum = 0, ticks;
    int found = 0, cpu;
    while (fgets(line, sizeof line, file))
        if (busy_ticks(line, &cpu, &ticks) &&
            bsearch(&cpu, cpus, (size_t)count, sizeof *cpus, by_number)) {
            sum += ticks;
            found++;
        }
    fclose(file);
    return found == count ? sum / (double)sysconf(_SC_CLK_TCK) : (double)NAN;
}

static double timeval_seconds(struct timeval time)
{
    return (double)time.tv_sec + (double)time.tv_usec * 1e-6;
}

void bench_cpu_read(struct bench_cpu *out)
{
    static const int most = 1024; /* a larger machine's noise is that of its first processors */
    int cpus[1024];
    int count = ash_affinity_cpus(most, cpus);
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    *out = (struct bench_cpu){
        .wall_s = (double)ash_now_ns() * 1e-9,
        .own_s = timeval_seconds(usage.ru_utime) + timeval_seconds(usage.ru_stime),
        .cpus = count < most ? count : most,
    };
    out->busy_s = busy_seconds(cpus, out->cpus);
}

double bench_foreign_percent(const struct bench_cpu *from, const struct bench_cpu *to)
{
    double wall = to->wall_s - from->wall_s;
    double foreign = (to->busy_s - from->busy_s) - (to->own_s - from->own_s);
    if (!(wall >= 0.3) || isnan(foreign))
        return (double)NAN;
    return foreign > 0 ? 100 * foreign / (wall * to->cpus) : 0;
}

/* ---- Roof ---- */

enum ash_status bench_roof(const struct ash_cli *cli, struct ash_bandwidth *out)
{
    const struct bench_options *options = cli->options;
    *out = (struct ash_bandwidth){ 0 };
    if (options->no_roof)
        return ASH_OK;
    bench_say(cli, "measuring this machine");
    struct ash_team *team;
    struct ash_bandwidth one;
    ASH_TRY(
        ash_team_create(&(struct ash_team_options){ .threads = (int)cli->config.threads }, &team));
    enum ash_status status = ash_bandwidth_measure(team, &one, out);
    ash_team_destroy(team);
    return status;
}

double bench_peak_gops(const struct ash_bandwidth *roof, uint64_t needs, enum ash_type activation,
    const char **unit_out)
{
    double gops = 0;
    if (needs & (ASH_CPU_AMX_INT8 | ASH_CPU_AMX_BF16)) {
        bool int8 = needs & ASH_CPU_AMX_INT8;
        gops = int8 ? roof->amx_int8_gops : roof->amx_bf16_gops;
        *unit_out = int8 ? "AMX int8" : "AMX bf16";
    } else {
        bool int8 = activation == ASH_A8;
        gops = int8 ? roof->int8_gops : roof->fp32_gops;
        *unit_out = int8 ? "int8" : "fp32";
    }
    return gops > 0 ? gops : (double)NAN;
}

double bench_percent(double part, double whole)
{
    return whole > 0 ? 100 * part / whole : (double)NAN;
}

void bench_print_conditions(const struct ash_bandwidth *roof, double foreign_percent, FILE *out)
{
    if (roof->threads > 0)
        fprintf(out,
            "\nThis machine, measured with %d thread%s: reads %.1f GB/s; int8 %.0f GOP/s (%s), "
            "fp32 %.0f GOP/s (%s)",
            roof->threads, roof->threads == 1 ? "" : "s", roof->read_gbps, roof->int8_gops,
            roof->int8_kernel, roof->fp32_gops, roof->fp32_kernel);
    if (roof->amx_int8_gops > 0)
        fprintf(out, "; AMX int8 %.0f GOP/s", roof->amx_int8_gops);
    if (roof->amx_bf16_gops > 0)
        fprintf(out, "; AMX bf16 %.0f GOP/s", roof->amx_bf16_gops);
    if (roof->threads > 0)
        fputs(".\n", out);
    if (!isnan(foreign_percent))
        fprintf(out, "%sNoise: others used %.1f %% of the processors' time meanwhile.\n",
            roof->threads > 0 ? "" : "\n", foreign_percent);
}

static json_t *real_or_null(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

int bench_json_conditions(json_t *object, const struct ash_bandwidth *roof, double foreign_percent)
{
    json_t *machine = json_null();
    if (roof->threads > 0)
        machine = json_pack("{s:i, s:f, s:f, s:s, s:f, s:s, s:f, s:f}", "threads", roof->threads,
            "read_gbps", roof->read_gbps, "int8_gops", roof->int8_gops, "int8_kernel",
            roof->int8_kernel, "fp32_gops", roof->fp32_gops, "fp32_kernel", roof->fp32_kernel,
            "amx_int8_gops", roof->amx_int8_gops, "amx_bf16_gops", roof->amx_bf16_gops);
    int failed = json_object_set_new(object, "roof", machine);
    return failed |
           json_object_set_new(object, "foreign_cpu_percent", real_or_null(foreign_percent));
}

double bench_memory_bytes(const struct ash_args *args, const struct ash_cost *cost)
{
    double bytes = cost->bytes_read;
    for (int i = 0; i < ASH_MAX_INPUTS; i++)
        if (args->in[i].rank > 0 && args->in[i].extent != ASH_EXTENT_FIXED)
            bytes -= (double)ash_tensor_bytes(&args->in[i]);
    return bytes > 0 ? bytes : 0;
}

void bench_say(const struct ash_cli *cli, const char *what)
{
    if (cli->quiet || !isatty(STDERR_FILENO))
        return;
    fprintf(stderr, "\r%s\033[K", what ? what : "");
    fflush(stderr);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* `ashlar info`: the machine, what may run on it, and how fast it is. */
#include "drivers/drivers.h"
#include "runtime/affinity.h"
#include "runtime/bandwidth.h"
#include "runtime/config.h"
#include "runtime/cpu.h"
#include "runtime/json.h"
#include "runtime/memory.h"
#include "runtime/thread.h"
#include "runtime/topology.h"
#include "tools/ashlar/commands.h"
#include "tools/ashlar/info_devices.h"
#include "tools/ashlar/info_numa.h"
#include "tools/ashlar/table.h"

#include <errno.h>
#include <string.h>

struct options {
    bool json, measure;
    const char *svg, *machine;
};

/* Everything that is shown; what does not apply is 0. */
struct findings {
    struct ash_topology *topology;
    char features[512]; /* of the processor, where it is this machine's */
    int usable_cpus;
    struct ash_table *nodes;
    struct ash_info_devices found;
    struct ash_table *devices;   /* NULL: not this machine */
    struct ash_table *measured;  /* NULL: not asked for */
    struct ash_table *transfers; /* NULL: likewise */
    struct ash_kernel_ranks ranks;
    struct ash_table *kernels; /* NULL: as listed */
};

static const struct ash_column measured_columns[] = {
    { "THREADS", "threads", ASH_ALIGN_RIGHT },
    { "READ GB/S", "read_gbps", ASH_ALIGN_RIGHT },
    { "INT8 GOP/S", "int8_gops", ASH_ALIGN_RIGHT },
    { "WITH", "int8_kernel", ASH_ALIGN_LEFT },
    { "FP32 GOP/S", "fp32_gops", ASH_ALIGN_RIGHT },
    { "WITH", "fp32_kernel", ASH_ALIGN_LEFT },
    { "AMX INT8", "amx_int8_gops", ASH_ALIGN_RIGHT },
    { "AMX BF16", "amx_bf16_gops", ASH_ALIGN_RIGHT },
};

static const struct ash_column kernel_columns[] = {
    { "OPERATOR", "operator", ASH_ALIGN_LEFT },
    { "WEIGHT OR CACHE", "type", ASH_ALIGN_LEFT },
    { "KERNEL", "kernel", ASH_ALIGN_LEFT },
    { "TOKEN us", "token_us", ASH_ALIGN_RIGHT },
    { "PREFILL us", "prefill_us", ASH_ALIGN_RIGHT },
    { "TAKEN FOR", "taken_for", ASH_ALIGN_LEFT },
};

static void add_measurement(struct ash_table *table, const struct ash_bandwidth *roof)
{
    ash_table_integer(table, roof->threads);
    ash_table_real(table, roof->read_gbps, 1);
    ash_table_real(table, roof->int8_gops, 0);
    ash_table_text(table, roof->int8_kernel);
    ash_table_real(table, roof->fp32_gops, 0);
    ash_table_text(table, roof->fp32_kernel);
    for (int i = 0; i < 2; i++) { /* no such unit: no figure */
        double gops = i ? roof->amx_bf16_gops : roof->amx_int8_gops;
        if (gops > 0)
            ash_table_real(table, gops, 0);
        else
            ash_table_text(table, NULL);
    }
}

static enum ash_status measure(int64_t threads, struct findings *findings)
{
    struct ash_team *team;
    struct ash_bandwidth one, all;
    ASH_TRY(ash_team_create(&(struct ash_team_options){ .threads = (int)threads }, &team));
    enum ash_status status = ash_bandwidth_measure(team, &one, &all);
    ash_team_destroy(team);
    ASH_TRY(status);
    ASH_TRY(ash_table_create(
        measured_columns, sizeof measured_columns / sizeof *measured_columns, &findings->measured));
    add_measurement(findings->measured, &one);
    if (all.threads != one.threads)
        add_measurement(findings->measured, &all);
    return ASH_OK;
}

static void add_kernel(void *table, const struct ash_kernel_rank *rank)
{
    ash_table_text(table, rank->op);
    ash_table_text(table, rank->type);
    ash_table_text(table, rank->kernel);
    ash_table_real(table, (double)rank->token_ns * 1e-3, 1);
    ash_table_real(table, (double)rank->prefill_ns * 1e-3, 1);
    ash_table_text(table, rank->taken_for);
}

/* Which kernels a model would be given, of the first device that measures its own. */
static enum ash_status find_kernels(const struct ash_config *config, struct findings *findings)
{
    ASH_TRY(ash_table_create(
        kernel_columns, sizeof kernel_columns / sizeof *kernel_columns, &findings->kernels));
    findings->ranks.add = add_kernel;
    findings->ranks.context = findings->kernels;
    for (int i = 0; i < findings->found.count; i++) {
        const struct ash_device_info *info = &findings->found.info[i];
        if (info->usable && info->driver->rank)
            return info->driver->rank(info, config, &findings->ranks);
    }
    return ASH_OK;
}

static enum ash_status find(const struct ash_cli *cli, struct findings *findings)
{
    const struct options *chosen = cli->options;
    ASH_TRY(ash_topology_load(chosen->machine, 0, &findings->topology));
    if (!findings->topology->live && chosen->measure)
        return ash_fail(ASH_ERR_ARGUMENT, "info: only the machine at hand can be measured");
    ASH_TRY(ash_info_nodes(
        findings->topology, (int)cli->config.threads, chosen->measure, &findings->nodes));
    if (!findings->topology->live)
        return ASH_OK;
    ASH_TRY(ash_cpu_override_check());
    ash_cpu_describe(ash_cpu_features(), findings->features, sizeof findings->features);
    findings->usable_cpus = ash_affinity_usable();
    ASH_TRY(ash_devices_configure(&cli->config));
    ASH_TRY(ash_info_find_devices(findings->topology, &findings->found));
    ASH_TRY(ash_info_devices(
        &findings->found, findings->topology, cli->config.cache_dir, &findings->devices));
    if (cli->config.kernels != ASH_KERNELS_LISTED)
        ASH_TRY(find_kernels(&cli->config, findings));
    if (!chosen->measure)
        return ASH_OK;
    ASH_TRY(measure(cli->config.threads, findings));
    return ash_info_transfers(&findings->found, &cli->config, &findings->transfers);
}

static void forget(struct findings *findings)
{
    ash_topology_destroy(findings->topology);
    ash_table_destroy(findings->nodes);
    ash_table_destroy(findings->devices);
    ash_table_destroy(findings->measured);
    ash_table_destroy(findings->kernels);
    ash_table_destroy(findings->transfers);
    ash_free(findings->found.info);
}

static enum ash_status print_text(const struct findings *findings)
{
    ASH_TRY(ash_topology_print(findings->topology, stdout));
    if (ash_info_node_count(findings->topology) > 1) {
        putchar('\n');
        ASH_TRY(ash_table_print(findings->nodes, stdout));
    }
    if (findings->devices) {
        printf("\nInstruction sets: %s\nThreads that can run at once: %d\n\n", findings->features,
            findings->usable_cpus);
        ASH_TRY(ash_table_print(findings->devices, stdout));
    }
    if (findings->ranks.how[0]) {
        printf("\nKernels: %s\n", findings->ranks.how);
        if (findings->ranks.count > 0)
            ASH_TRY(ash_table_print(findings->kernels, stdout));
    }
    if (findings->measured) {
        putchar('\n');
        ASH_TRY(ash_table_print(findings->measured, stdout));
    }
    if (findings->transfers) {
        printf("\nCopies between the host's memory and each device's:\n");
        ASH_TRY(ash_table_print(findings->transfers, stdout));
    }
    return ASH_OK;
}

/* A member, taken; NULL is an allocation that failed. */
static bool put(json_t *object, const char *key, json_t *value)
{
    return json_object_set_new(object, key, value) == 0;
}

static enum ash_status print_json(const struct findings *findings)
{
    json_t *topology;
    ASH_TRY(ash_topology_json(findings->topology, &topology));
    json_t *object = json_object();
    bool good = put(object, "topology", topology) &&
                put(object, "numa_nodes", ash_table_json(findings->nodes));
    if (findings->devices)
        good = good && put(object, "instruction_sets", json_string(findings->features)) &&
               put(object, "usable_cpus", json_integer(findings->usable_cpus)) &&
               put(object, "devices", ash_table_json(findings->devices));
    if (findings->ranks.how[0])
        good = good &&
               put(object, "kernels_how",
                   ash_json_text(findings->ranks.how, strlen(findings->ranks.how))) &&
               put(object, "kernels", ash_table_json(findings->kernels));
    if (findings->measured)
        good = good && put(object, "measured", ash_table_json(findings->measured));
    if (findings->transfers)
        good = good && put(object, "transfers", ash_table_json(findings->transfers));
    enum ash_status status = ash_json_print(good ? object : NULL, stdout);
    json_decref(object);
    return status;
}

static enum ash_status save_svg(const struct ash_topology *topology, const char *path)
{
    FILE *out = fopen(path, "we");
    if (!out)
        return ash_fail(ASH_ERR_IO, "cannot create %s: %s", path, strerror(errno));
    enum ash_status status = ash_topology_svg(topology, out);
    if (fclose(out) != 0 && status == ASH_OK)
        status = ash_fail(ASH_ERR_IO, "%s", strerror(errno));
    return ash_fail_in(status, "cannot write %s", path);
}

static enum ash_status run(struct ash_cli *cli)
{
    const struct options *chosen = cli->options;
    struct findings findings = { 0 };
    enum ash_status status = find(cli, &findings);
    if (status == ASH_OK && chosen->svg)
        status = save_svg(findings.topology, chosen->svg);
    if (status == ASH_OK && chosen->json)
        status = print_json(&findings);
    else if (status == ASH_OK && !chosen->svg)
        status = print_text(&findings);
    forget(&findings);
    return status;
}

static const struct ash_option options[] = {
    { .name = "json", .offset = offsetof(struct options, json), .help = "write JSON" },
    { .name = "svg",
        .type = ASH_OPTION_FILE,
        .offset = offsetof(struct options, svg),
        .argument = "FILE",
        .help = "draw the machine into an SVG file instead" },
    { .name = "measure",
        .offset = offsetof(struct options, measure),
        .help =
            "measure memory bandwidth and peak arithmetic, with one thread and with all, and how fast and how "
            "late copies to each device are" },
    { .name = "machine",
        .type = ASH_OPTION_FILE,
        .offset = offsetof(struct options, machine),
        .argument = "FILE",
        .help = "show another machine: XML that lstopo wrote, or synthetic:DESCRIPTION as hwloc(7) "
                "has it" },
    { .name = NULL },
};

static const struct ash_example examples[] = {
    { "ashlar info", "Draw this machine and list its devices." },
    { "ashlar info --svg machine.svg", "Draw it into a file." },
    { "ashlar info --json --measure", "Everything there is to know, for a program." },
    { "ashlar info --machine \"synthetic:Package:2 Core:8 PU:2\"",
        "Draw a machine of that shape." },
    { NULL, NULL },
};

const struct ash_command ash_command_info = {
    .name = "info",
    .summary = "show the machine: processors, caches, memory, devices",
    .description =
        "Draws the machine as nested boxes, in the manner of lstopo, and lists the instruction sets that "
        "are used and the devices of every driver; of a device that cannot be used it says why. With "
        "several NUMA nodes it says which CPUs and workers are near whose memory, and how fast they "
        "read it (--measure).\n\n"
        "Of the operators that the processor has several kernels for, it shows what each took in the "
        "measurement of the first start (remove the file named to have another), a token with weights "
        "or cache from memory and a prefill of 128 tokens, and which is taken for answers and for "
        "prompts.",
    .options = options,
    .options_bytes = sizeof(struct options),
    .settings = (const char *const[]){ "threads", "kernels", "pjrt_plugin", "cache_dir", NULL },
    .examples = examples,
    .run = run,
};

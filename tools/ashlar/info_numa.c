/* SPDX-License-Identifier: Apache-2.0 */
/* The NUMA nodes in `ashlar info`. */
#include "tools/ashlar/info_numa.h"

#include "runtime/bandwidth.h"
#include "runtime/memory.h"
#include "runtime/numa_node.h"
#include "runtime/pool.h"
#include "runtime/thread.h"
#include "runtime/topology.h"

static const struct ash_column columns[] = {
    { "NODE", "node", ASH_ALIGN_RIGHT },
    { "MEMORY", "memory_bytes", ASH_ALIGN_RIGHT },
    { "FREE", "free_bytes", ASH_ALIGN_RIGHT },
    { "CPUS", "cpus", ASH_ALIGN_LEFT },
    { "WORKERS", "workers", ASH_ALIGN_LEFT },
    { "READ GB/S", "read_gbps", ASH_ALIGN_RIGHT },
};

/* "0-3,8" out of those of 0 ... count - 1 that `has` says yes to; a long list is cut. */
static const char *write_list(bool (*has)(const void *of, int i, int node), const void *of,
    int count, int node, char text[64])
{
    int used = 0;
    text[0] = '\0';
    for (int first = 0; first < count; first++) {
        int last = first;
        if (!has(of, first, node))
            continue;
        while (last + 1 < count && has(of, last + 1, node))
            last++;
        if (used > 40) {
            snprintf(text + used, (size_t)(64 - used), ",...");
            return text;
        }
        used += snprintf(text + used, (size_t)(64 - used), first < last ? "%s%d-%d" : "%s%d",
            used ? "," : "", first, last);
        first = last;
    }
    return used ? text : NULL;
}

static bool has_cpu(const void *of, int cpu, int node)
{
    return ((const struct ash_numa *)of)->of_cpu[cpu] == node;
}

static bool has_worker(const void *of, int worker, int node)
{
    return ash_team_node(of, worker) == node;
}

/* By the CPUs of a node that this process may use; 0 if those are none. */
static enum ash_status measure_node(const struct ash_numa *numa, int node, double *out)
{
    struct ash_team *team;
    struct ash_bandwidth one, all;
    int *cpu = ash_alloc_array(ASH_AFFINITY_MAX, sizeof *cpu), near = 0;
    *out = 0;
    if (!cpu)
        return ash_fail_memory(ASH_AFFINITY_MAX * sizeof *cpu, "a list of CPUs");
    const int count = ash_affinity_cpus(ASH_AFFINITY_MAX, cpu);
    for (int i = 0; i < count; i++)
        if (numa->of_cpu[cpu[i]] == node)
            cpu[near++] = cpu[i];
    struct ash_team_options options = {
        .threads = near, .cpus = cpu, .cpu_count = near, .pin_caller = true
    };
    enum ash_status status = near ? ash_team_create(&options, &team) : ASH_OK;
    ash_free(cpu);
    if (status != ASH_OK || near == 0)
        return status;
    status = ash_bandwidth_measure(team, &one, &all);
    ash_team_destroy(team);
    *out = status == ASH_OK ? all.read_gbps : 0;
    return status;
}

static enum ash_status add_node(struct ash_table *table, const struct ash_numa *numa,
    const struct ash_numa_node *node, const struct ash_team *team, bool measure)
{
    char text[64];
    double gbps = 0;
    if (measure)
        ASH_TRY(measure_node(numa, node->index, &gbps));
    ash_table_integer(table, node->index);
    ash_table_bytes(table, (uint64_t)node->memory_bytes);
    if (team)
        ash_table_bytes(table, (uint64_t)ash_pool_room(node->index));
    else
        ash_table_text(table, NULL);
    ash_table_text(table, write_list(has_cpu, numa, ASH_AFFINITY_MAX, node->index, text));
    ash_table_text(table,
        team ? write_list(has_worker, team, ash_team_threads(team), node->index, text) : NULL);
    if (gbps > 0)
        ash_table_real(table, gbps, 1);
    else
        ash_table_text(table, NULL);
    return ASH_OK;
}

static enum ash_status fill(
    struct ash_table *table, const struct ash_numa *numa, const struct ash_team *team, bool measure)
{
    for (int i = 0; i < numa->count; i++)
        ASH_TRY(add_node(table, numa, &numa->node[i], team, measure && numa->count > 1));
    return ASH_OK;
}

int ash_info_node_count(const struct ash_topology *topology)
{
    return topology->number[ASH_TOPOLOGY_MEMORY];
}

enum ash_status ash_info_nodes(
    const struct ash_topology *topology, int threads, bool measure, struct ash_table **out)
{
    struct ash_numa *numa = NULL;
    struct ash_team *team = NULL;
    struct ash_table *table = NULL;
    enum ash_status status = topology->live ? ash_numa_find(&numa) : ash_numa_read(topology, &numa);
    if (status == ASH_OK && topology->live)
        status = ash_team_create(&(struct ash_team_options){ .threads = threads }, &team);
    if (status == ASH_OK)
        status = ash_table_create(columns, sizeof columns / sizeof *columns, &table);
    if (status == ASH_OK)
        status = fill(table, numa, team, measure);
    ash_team_destroy(team);
    ash_numa_destroy(numa);
    if (status != ASH_OK) {
        ash_table_destroy(table);
        return status;
    }
    *out = table;
    return ASH_OK;
}

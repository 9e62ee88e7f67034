/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/numa_node.h"

#include "runtime/memory.h"
#include "runtime/topology.h"

#include <numa.h>
#include <numaif.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

/* No Linux is configured for more. */
enum { MOST_NODES = 1024 };

static enum ash_status allocate(int nodes, struct ash_numa **out)
{
    const size_t size = sizeof(struct ash_numa) + (size_t)nodes * sizeof(struct ash_numa_node);
    struct ash_numa *numa = ash_alloc_zero(size);
    if (!numa)
        return ash_fail_memory(size, "the nodes of the machine");
    memset(numa->of_cpu, -1, sizeof numa->of_cpu);
    *out = numa;
    return ASH_OK;
}

void ash_numa_destroy(struct ash_numa *numa)
{
    ash_free(numa);
}

static void count_cpus(struct ash_numa *numa)
{
    for (int cpu = 0; cpu < ASH_AFFINITY_MAX; cpu++)
        for (int i = 0; i < numa->count && numa->of_cpu[cpu] >= 0; i++)
            numa->node[i].cpus += numa->node[i].index == numa->of_cpu[cpu];
}

/* ---- This machine ---- */

static int64_t memory_of(int node)
{
    long long free_bytes, bytes = numa_node_size64(node, &free_bytes);
    return bytes > 0 ? bytes : 0;
}

/* The node itself if it has memory, else the nearest that has; -1 if none has. */
static int nearest(const struct ash_numa *numa, int node)
{
    int best = -1, least = 0;
    for (int i = 0; i < numa->count; i++) {
        const struct ash_numa_node *other = &numa->node[i];
        int distance = other->index == node ? 0 : numa_distance(node, other->index);
        if (other->memory_bytes > 0 && (best < 0 || distance < least)) {
            best = other->index;
            least = distance;
        }
    }
    return best;
}

static void find_nodes(struct ash_numa *numa)
{
    int near[MOST_NODES];
    for (int i = 0; i < MOST_NODES && i <= numa_max_node(); i++)
        if (numa_bitmask_isbitset(numa_nodes_ptr, (unsigned)i))
            numa->node[numa->count++] =
                (struct ash_numa_node){ .index = i, .memory_bytes = memory_of(i) };
    for (int i = 0; i < numa->count; i++)
        near[numa->node[i].index] = nearest(numa, numa->node[i].index);
    for (int cpu = 0; cpu < ASH_AFFINITY_MAX && cpu < numa_num_possible_cpus(); cpu++) {
        int node = numa_node_of_cpu(cpu);
        if (node >= 0 && node < MOST_NODES && numa_bitmask_isbitset(numa_nodes_ptr, (unsigned)node))
            numa->of_cpu[cpu] = (int16_t)near[node];
    }
}

/* One node, which nobody needs to be asked about. */
static void assume_one(struct ash_numa *numa)
{
    const int64_t pages = sysconf(_SC_PHYS_PAGES), page_bytes = sysconf(_SC_PAGESIZE);
    const long cpus = sysconf(_SC_NPROCESSORS_CONF);
    numa->count = 1;
    numa->node[0].memory_bytes = pages * page_bytes;
    for (int cpu = 0; cpu < ASH_AFFINITY_MAX && cpu < cpus; cpu++)
        numa->of_cpu[cpu] = 0;
}

enum ash_status ash_numa_find(struct ash_numa **out)
{
    /* Configured nodes are those with memory. */
    const bool several = numa_available() >= 0 && numa_num_configured_nodes() > 1;
    struct ash_numa *numa = NULL;
    ASH_TRY(allocate(several ? numa_max_node() + 1 : 1, &numa));
    if (several)
        find_nodes(numa);
    else
        assume_one(numa);
    count_cpus(numa);
    *out = numa;
    return ASH_OK;
}

/* ---- A machine out of a file ---- */

/* The first memory there is among the children of `at`; they stand first. */
static int memory_below(const struct ash_topology *topology, int at)
{
    for (int child = topology->node[at].first_child; child >= 0;
         child = topology->node[child].next) {
        const struct ash_topology_node *node = &topology->node[child];
        if (node->kind != ASH_TOPOLOGY_MEMORY)
            break;
        if (node->bytes > 0 && node->os_index >= 0 && node->os_index < MOST_NODES)
            return node->os_index;
    }
    return -1;
}

/* What a CPU shares its package with is nearer than what the package shares the machine with. */
static int memory_near(const struct ash_topology *topology, int pu)
{
    for (int at = topology->node[pu].parent; at >= 0; at = topology->node[at].parent) {
        int node = memory_below(topology, at);
        if (node >= 0)
            return node;
    }
    return -1;
}

/* Keeps node[] ascending; a file may number nodes in any order, and two alike. */
static void insert(struct ash_numa *numa, const struct ash_topology_node *node)
{
    int at = numa->count;
    if (node->os_index < 0 || node->os_index >= MOST_NODES)
        return;
    while (at > 0 && numa->node[at - 1].index > node->os_index)
        at--;
    if (at > 0 && numa->node[at - 1].index == node->os_index)
        return;
    memmove(&numa->node[at + 1], &numa->node[at], (size_t)(numa->count - at) * sizeof *numa->node);
    numa->node[at] = (struct ash_numa_node){ .index = node->os_index, .memory_bytes = node->bytes };
    numa->count++;
}

enum ash_status ash_numa_read(const struct ash_topology *topology, struct ash_numa **out)
{
    struct ash_numa *numa = NULL;
    ASH_TRY(allocate(topology->number[ASH_TOPOLOGY_MEMORY] + 1, &numa));
    for (size_t i = 0; i < topology->count; i++)
        if (topology->node[i].kind == ASH_TOPOLOGY_MEMORY)
            insert(numa, &topology->node[i]);
    if (numa->count == 0)
        numa->count = 1;            /* memory that nobody describes: node 0 */
    int some = numa->node[0].index; /* for CPUs far from all memory */
    for (int i = numa->count - 1; i >= 0; i--)
        some = numa->node[i].memory_bytes > 0 ? numa->node[i].index : some;
    for (size_t i = 0; i < topology->count; i++) {
        const struct ash_topology_node *pu = &topology->node[i];
        if (pu->kind != ASH_TOPOLOGY_PU || pu->os_index < 0 || pu->os_index >= ASH_AFFINITY_MAX)
            continue;
        int node = memory_near(topology, (int)i);
        numa->of_cpu[pu->os_index] = (int16_t)(node >= 0 ? node : some);
    }
    count_cpus(numa);
    *out = numa;
    return ASH_OK;
}

/* ---- Pages ---- */

enum { WORD_BITS = 8 * sizeof(unsigned long) };

/* A set of nodes as the system takes it; it wants the count of bits plus one. */
struct node_set {
    unsigned long word[MOST_NODES / WORD_BITS];
};

/* Who started this program under numactl has said where its memory shall come from. */
static bool is_told(void)
{
    int policy = MPOL_DEFAULT;
    return get_mempolicy(&policy, NULL, 0, NULL, 0) == 0 && policy != MPOL_DEFAULT;
}

static void lay(const void *memory, size_t size_bytes, int policy, const struct node_set *set)
{
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    const uintptr_t first = (uintptr_t)memory / page * page;
    const uintptr_t end = ((uintptr_t)memory + size_bytes) / page * page;
    if (end > first && !is_told())
        (void)mbind((void *)first, end - first, policy, set->word, MOST_NODES + 1, 0);
}

static void add_node(struct node_set *set, int node)
{
    if (node >= 0 && node < MOST_NODES)
        set->word[node / WORD_BITS] |= 1UL << node % WORD_BITS;
}

void ash_numa_prefer(const void *memory, size_t size_bytes, int node)
{
    struct node_set set = { 0 };
    add_node(&set, node);
    lay(memory, size_bytes, MPOL_PREFERRED, &set);
}

void ash_numa_interleave(const void *memory, size_t size_bytes, const int *nodes, int count)
{
    struct node_set set = { 0 };
    for (int i = 0; i < count; i++)
        add_node(&set, nodes[i]);
    lay(memory, size_bytes, MPOL_INTERLEAVE, &set);
}

bool ash_numa_is_laid(const void *at)
{
    int policy = MPOL_DEFAULT;
    return get_mempolicy(&policy, NULL, 0, (void *)(uintptr_t)at, MPOL_F_ADDR) == 0 &&
           policy != MPOL_DEFAULT;
}

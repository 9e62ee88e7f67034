/* SPDX-License-Identifier: Apache-2.0 */
/* How CPUs, workers and their shares come to lie on NUMA nodes, of machines that are not here. Where pages
 * really lie is asked in a virtual machine: tests/drivers/numa.sh. */
#include "runtime/numa_node.h"

#include "runtime/memory.h"
#include "runtime/thread_internal.h"
#include "runtime/topology.h"

#include <criterion/criterion.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* ---- Machines ---- */

/* A package of each node's CPUs, numbered package after package. */
struct made_node {
    int cpus, memory_mib;
};

static void write_object(FILE *out, const char *type, int index, uint64_t cpus, uint64_t nodes,
    int memory_mib, const char *end)
{
    static int serial;
    fprintf(out, "<object type=\"%s\" os_index=\"%d\" gp_index=\"%d\"", type, index, ++serial);
    static const char *const sets[] = { "", "complete_" };
    for (int i = 0; i < 2; i++)
        fprintf(out, " %scpuset=\"0x%08x\" %snodeset=\"0x%08x\"", sets[i], (unsigned)cpus, sets[i],
            (unsigned)nodes);
    if (memory_mib >= 0)
        fprintf(out, " local_memory=\"%lld\"", (long long)memory_mib << 20);
    if (strcmp(type, "Machine") == 0)
        fprintf(out, " allowed_cpuset=\"0x%08x\" allowed_nodeset=\"0x%08x\"", (unsigned)cpus,
            (unsigned)nodes);
    fputs(end, out);
}

static void write_machine(FILE *out, const struct made_node *node)
{
    int count = 0, cpus = 0;
    for (; node[count].cpus; count++)
        cpus += node[count].cpus;
    fputs(
        "<?xml version=\"1.0\"?><!DOCTYPE topology SYSTEM \"hwloc2.dtd\"><topology version=\"2.0\">",
        out);
    write_object(out, "Machine", 0, (1U << cpus) - 1, (1U << count) - 1, -1, ">");
    for (int i = 0, first = 0; i < count; first += node[i++].cpus) {
        const uint64_t own = ((1U << node[i].cpus) - 1) << first;
        write_object(out, "Package", i, own, 1U << i, -1, ">");
        write_object(out, "NUMANode", i, own, 1U << i, node[i].memory_mib, "/>");
        for (int cpu = first; cpu < first + node[i].cpus; cpu++)
            write_object(out, "PU", cpu, 1U << cpu, 1U << i, -1, "/>");
        fputs("</object>", out);
    }
    fputs("</object></topology>", out);
}

struct machine {
    const char *source;       /* for ash_topology_load(); NULL = made of: */
    struct made_node made[5]; /* ends with one of no CPUs */
};

static struct ash_numa *numa_of(const struct machine *machine)
{
    struct ash_topology *topology = NULL;
    struct ash_numa *numa = NULL;
    char *text;
    size_t length;
    if (machine->source) {
        cr_assert_eq(ash_topology_load(machine->source, 0, &topology), ASH_OK, "%s", ash_error());
    } else {
        FILE *out = open_memstream(&text, &length);
        write_machine(out, machine->made);
        fclose(out);
        cr_assert_eq(ash_topology_parse(text, length, "made", &topology), ASH_OK, "%s in %s",
            ash_error(), text);
        free(text);
    }
    cr_assert_eq(ash_numa_read(topology, &numa), ASH_OK, "%s", ash_error());
    ash_topology_destroy(topology);
    return numa;
}

#define FOUR_NODES "synthetic:Package:4 [NUMANode(memory=1GiB)] Core:2 PU:1"
#define SECOND_THREADS_LAST                                                                        \
    "synthetic:Package:2 [NUMANode(memory=1GiB)] Core:2 PU:2(indexes=0,4,1,5,2,6,3,7)"
#define WITH_CARD "synthetic:[NUMANode(memory=8GiB)] Package:2 [NUMANode(memory=1GiB)] Core:2 PU:1"

Test(numa, nodes_and_the_cpus_they_are_near)
{
    static const struct {
        struct machine machine;
        const char *nodes;  /* index:cpus each */
        const char *of_cpu; /* the node of CPU 0, 1 ... */
    } cases[] = {
        { { "synthetic:PU:3" }, "0:3", "0 0 0" },
        { { FOUR_NODES }, "0:2 1:2 2:2 3:2", "0 0 1 1 2 2 3 3" },
        { { NULL, { { 3, 1024 }, { 1, 1024 } } }, "0:3 1:1", "0 0 0 1" },
        { { SECOND_THREADS_LAST }, "0:4 1:4", "0 0 1 1 0 0 1 1" },
        /* Memory on a card: nobody's nearest. */
        { { WITH_CARD }, "0:2 1:2 2:0", "0 0 1 1" },
        /* A socket without memory takes what there is. */
        { { NULL, { { 2, 0 }, { 2, 1024 } } }, "0:0 1:4", "1 1 1 1" },
        { { NULL, { { 2, 1024 }, { 2, 0 }, { 2, 1024 } } }, "0:4 1:0 2:2", "0 0 0 0 2 2" },
        { { NULL, { { 2, 0 }, { 1, 0 } } }, "0:3 1:0", "0 0 0" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct ash_numa *numa = numa_of(&cases[i].machine);
        char nodes[256] = "", of_cpu[256] = "";
        for (int n = 0; n < numa->count; n++)
            sprintf(nodes + strlen(nodes), "%s%d:%d", n ? " " : "", numa->node[n].index,
                numa->node[n].cpus);
        for (int cpu = 0; numa->of_cpu[cpu] >= 0; cpu++)
            sprintf(of_cpu + strlen(of_cpu), "%s%d", cpu ? " " : "", numa->of_cpu[cpu]);
        cr_assert_str_eq(nodes, cases[i].nodes, "case %zu: %s", i, nodes);
        cr_assert_str_eq(of_cpu, cases[i].of_cpu, "case %zu: %s", i, of_cpu);
        ash_numa_destroy(numa);
    }
}

Test(numa, this_machine_has_a_node_for_every_cpu_of_ours)
{
    struct ash_numa *numa;
    int cpu[ASH_AFFINITY_MAX], cpus = ash_affinity_cpus(ASH_AFFINITY_MAX, cpu), near = 0;
    cr_assert_eq(ash_numa_find(&numa), ASH_OK);
    cr_assert_geq(numa->count, 1);
    for (int i = 0; i < cpus; i++)
        cr_assert_geq(numa->of_cpu[cpu[i]], 0);
    for (int n = 0; n < numa->count; n++) {
        near += numa->node[n].cpus;
        cr_assert(numa->node[n].cpus == 0 || numa->node[n].memory_bytes > 0);
    }
    cr_assert_geq(near, cpus);
    ash_numa_destroy(numa);
}

Test(numa, reading_survives_every_failed_allocation)
{
    struct ash_topology *topology;
    struct ash_numa *numa = NULL;
    cr_assert_eq(ash_topology_load(FOUR_NODES, 0, &topology), ASH_OK);
    ash_memory_fail_from(0);
    cr_assert_eq(ash_numa_read(topology, &numa), ASH_ERR_NO_MEMORY);
    cr_assert_eq(ash_numa_find(&numa), ASH_ERR_NO_MEMORY);
    ash_memory_fail_from(-1);
    cr_assert_null(numa);
    ash_topology_destroy(topology);
}

/* ---- Workers and shares ---- */

/* Numbers as "0-3,7" makes them. */
static int list(const char *text, int *out)
{
    int count = 0;
    while (*text) {
        int first = (int)strtol(text, (char **)(uintptr_t)&text, 10), last = first;
        if (*text == '-')
            last = (int)strtol(text + 1, (char **)(uintptr_t)&text, 10);
        for (int i = first; i <= last; i++)
            out[count++] = i;
        text += *text == ',';
    }
    return count;
}

static void write_mask(const cpu_set_t *mask, char *out)
{
    *out = '\0';
    for (int cpu = 0; cpu < 256; cpu++)
        if (CPU_ISSET_S((size_t)cpu, MASK_BYTES, mask))
            sprintf(out + strlen(out), "%s%d", *out ? "," : "", cpu);
}

Test(numa, workers_of_a_node_follow_one_another_on_its_cpus)
{
    static const struct {
        const char *what;
        struct machine machine;
        const char *allowed;
        int threads;                   /* 0 = all */
        const char *nodes, *last_mask; /* of all workers; of the last one */
    } cases[] = {
        { "all of four nodes", { FOUR_NODES }, "0-7", 0, "0 0 1 1 2 2 3 3", "7" },
        { "half of them, kept on their nodes", { FOUR_NODES }, "0-7", 4, "0 1 2 3", "6,7" },
        { "fewer than nodes", { FOUR_NODES }, "0-7", 2, "0 2", "4,5" },
        { "one, anywhere", { FOUR_NODES }, "0-7", 1, "0", "0,1,2,3,4,5,6,7" },
        { "more than CPUs", { FOUR_NODES }, "0-7", 12, "0 0 0 1 1 1 2 2 2 3 3 3", "6,7" },
        { "a mask of two nodes", { FOUR_NODES }, "1,4,5", 0, "0 2 2", "5" },
        { "a mask of one node, all of it", { FOUR_NODES }, "2,3", 0, "1 1", "3" },
        { "a mask of one node, half of it", { FOUR_NODES }, "2,3", 1, "1", "2,3" },
        { "unequal nodes", { NULL, { { 3, 1024 }, { 1, 1024 } } }, "0-3", 0, "0 0 0 1", "3" },
        { "unequal nodes, not all", { NULL, { { 6, 1024 }, { 2, 1024 } } }, "0-7", 4, "0 0 0 1",
            "6,7" },
        { "a card's memory has no workers", { WITH_CARD }, "0-3", 0, "0 0 1 1", "3" },
        { "a socket without memory", { NULL, { { 2, 1024 }, { 2, 0 }, { 2, 1024 } } }, "0-5", 0,
            "0 0 0 0 2 2", "5" },
        { "second threads numbered last", { SECOND_THREADS_LAST }, "0-7", 0, "0 0 0 0 1 1 1 1",
            "7" },
        { "of them, half", { SECOND_THREADS_LAST }, "0-7", 4, "0 0 1 1", "2,3,6,7" },
        { "a CPU that nobody described", { FOUR_NODES }, "0,1,100", 0, "0 0 0", "100" },
    };
    struct ash_team_plan *plan = malloc(sizeof *plan);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct ash_numa *numa = numa_of(&cases[i].machine);
        struct ash_team_options options = { .threads = cases[i].threads };
        int cpus[256], count = list(cases[i].allowed, cpus);
        cr_assert_eq(ash_team_plan_fill(&options, cpus, count, count, numa, plan), ASH_OK);
        char nodes[256] = "", mask[1024];
        unsigned long bits[MASK_BYTES / sizeof(unsigned long)];
        for (int worker = 0; worker < plan->threads; worker++)
            sprintf(
                nodes + strlen(nodes), "%s%d", worker ? " " : "", ash_team_plan_node(plan, worker));
        cr_assert_str_eq(nodes, cases[i].nodes, "%s: %s", cases[i].what, nodes);
        ash_team_plan_mask(plan, plan->threads - 1, (cpu_set_t *)bits);
        write_mask((cpu_set_t *)bits, mask);
        cr_assert_str_eq(mask, cases[i].last_mask, "%s: %s", cases[i].what, mask);
        ash_numa_destroy(numa);
    }
    free(plan);
}

Test(numa, a_list_of_cpus_is_taken_in_its_order)
{
    struct ash_numa *numa = numa_of(&(struct machine){ FOUR_NODES });
    struct ash_team_plan *plan = malloc(sizeof *plan);
    const int wanted[] = { 7, 0, 6 }, cpus[] = { 0, 1, 2, 3, 4, 5, 6, 7 };
    struct ash_team_options options = { .threads = 3, .cpus = wanted, .cpu_count = 3 };
    cr_assert_eq(ash_team_plan_fill(&options, cpus, 8, 8, numa, plan), ASH_OK);
    cr_assert(plan->pinned);
    cr_assert_eq(plan->nodes, 2);
    for (int worker = 0; worker < 3; worker++) {
        cr_assert_eq(plan->cpu[worker], wanted[worker]);
        cr_assert_eq(ash_team_plan_node(plan, worker), wanted[worker] / 2);
    }
    free(plan);
    ash_numa_destroy(numa);
}

/* ---- A team on a machine as if ---- */

struct helping {
    const struct ash_team *team;
    atomic_int chunks[4], back; /* by worker; of the own node's after one of another */
    bool far[4];                /* by worker: has been on another node */
    int64_t count;
};

static int64_t open_helping(void *ctx, int64_t phase)
{
    (void)phase;
    return ((const struct helping *)ctx)->count;
}

static int owner_of(int64_t chunk, int64_t count, int threads)
{
    for (int worker = threads - 1; worker > 0; worker--)
        if (chunk >= ash_team_share(count, threads, worker))
            return worker;
    return 0;
}

static void help_out(void *ctx, int64_t phase, int64_t chunk, int worker)
{
    (void)phase;
    struct helping *helping = ctx;
    const int threads = ash_team_threads(helping->team);
    const int owner = owner_of(chunk, helping->count, threads);
    const bool far = ash_team_node(helping->team, owner) != ash_team_node(helping->team, worker);
    helping->chunks[worker]++;
    helping->back += helping->far[worker] && !far;
    helping->far[worker] |= far;
    /* Only the first worker of each node is slow: its neighbour comes to help. */
    const bool slow = worker == 0 || ash_team_node(helping->team, worker - 1) !=
                                         ash_team_node(helping->team, worker);
    nanosleep(&(struct timespec){ .tv_nsec = slow ? 20000000 : 500000 }, NULL);
}

Test(numa, help_goes_to_the_own_node_first, .timeout = 60)
{
    struct ash_numa *numa = numa_of(&(struct machine){ FOUR_NODES });
    int own[ASH_AFFINITY_MAX];
    ash_affinity_cpus(ASH_AFFINITY_MAX, own);
    /* The same CPU four times would be one: the nodes are those of the list. */
    for (int cpu = 0; cpu < ASH_AFFINITY_MAX; cpu++)
        numa->of_cpu[cpu] = (int16_t)(cpu == own[0] ? 0 : 1);
    if (ash_affinity_cpus(0, NULL) < 2)
        cr_skip("one CPU");
    const int cpus[2] = { own[0], own[1] };
    struct ash_team_options options = {
        .threads = 4, .cpus = cpus, .cpu_count = 2, .spin_us = -1, .numa = numa
    };
    struct ash_team *team;
    cr_assert_eq(ash_team_create(&options, &team), ASH_OK, "%s", ash_error());
    cr_assert_eq(ash_team_nodes(team), 2);
    for (int worker = 0; worker < 4; worker++)
        cr_assert_eq(ash_team_node(team, worker), worker / 2);
    struct helping helping = { .team = team, .count = 64 };
    ash_team_run(team, &(struct ash_team_work){ 1, open_helping, help_out, &helping });
    int all = 0, helped = helping.chunks[1] + helping.chunks[3];
    for (int worker = 0; worker < 4; worker++)
        all += helping.chunks[worker];
    cr_assert_eq(all, 64);
    cr_assert_gt(helped, 32, "%d chunks by the quick ones, whose own are 32", helped);
    cr_assert_eq(helping.back, 0, "%d chunks were left until after another node's", helping.back);
    ash_team_destroy(team);
    ash_numa_destroy(numa);
}

static void note_cpu(void *ctx, int64_t first, int64_t end, int worker)
{
    (void)first, (void)end;
    if (worker == 0)
        *(int *)ctx = sched_getcpu();
}

Test(numa, the_caller_is_brought_to_its_node_and_let_go)
{
    int own[ASH_AFFINITY_MAX], count = ash_affinity_cpus(ASH_AFFINITY_MAX, own), seen = -1;
    if (count < 2)
        cr_skip("one CPU");
    struct ash_numa *numa = numa_of(&(struct machine){ FOUR_NODES });
    for (int cpu = 0; cpu < ASH_AFFINITY_MAX; cpu++)
        numa->of_cpu[cpu] = (int16_t)(cpu == own[0] ? 0 : 1);
    struct ash_team *team;
    struct ash_team_options options = { .threads = 2, .cpus = own, .cpu_count = 2, .numa = numa };
    cr_assert_eq(ash_team_create(&options, &team), ASH_OK, "%s", ash_error());
    cpu_set_t mask, other, after;
    sched_getaffinity(0, sizeof mask, &mask);
    CPU_ZERO(&other);
    CPU_SET((size_t)own[1], &other);
    int home = 0;
    for (int try = 0; try < 20; try++) { /* that it stays there for a moment is likely, not sure */
        sched_setaffinity(0, sizeof other, &other); /* astray ... */
        sched_setaffinity(0, sizeof mask, &mask);   /* ... and free */
        ash_parallel_for(team, 64, 1, note_cpu, &seen);
        home += seen == own[0];
        sched_getaffinity(0, sizeof after, &after);
        cr_assert(CPU_EQUAL(&mask, &after));
    }
    cr_assert_geq(home, 10, "%d of 20 runs", home);
    ash_team_destroy(team);
    ash_numa_destroy(numa);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* How a team's workers lie on CPUs and nodes. */
#include "runtime/memory.h"
#include "runtime/numa_node.h"
#include "runtime/thread_internal.h"

#include <string.h>

static bool contains(const int *cpus, int count, int cpu)
{
    for (int i = 0; i < count; i++)
        if (cpus[i] == cpu)
            return true;
    return false;
}

static enum ash_status take_list(
    const struct ash_team_options *options, const int *cpus, int count, struct ash_team_plan *out)
{
    if (options->cpu_count < 1 || options->cpu_count > ASH_AFFINITY_MAX)
        return ash_fail(ASH_ERR_ARGUMENT, "a list of %d CPUs", options->cpu_count);
    for (int i = 0; i < options->cpu_count; i++)
        if (!contains(cpus, count, options->cpus[i]))
            return ash_fail(ASH_ERR_ARGUMENT,
                "CPU %d is not among the %d that this process may run on (see `taskset -p $$`)",
                options->cpus[i], count);
    out->cpu_count = options->cpu_count;
    memcpy(out->cpu, options->cpus, (size_t)options->cpu_count * sizeof *out->cpu);
    return ASH_OK;
}

/* All CPUs of the mask, those of a node together: systems often number the second threads of all cores
 * after the first ones. */
static void take_mask(
    const int *cpus, int count, const struct ash_numa *numa, struct ash_team_plan *out)
{
    for (int n = 0; n < numa->count; n++)
        for (int i = 0; i < count; i++)
            if (numa->of_cpu[cpus[i]] == numa->node[n].index)
                out->cpu[out->cpu_count++] = cpus[i];
    for (int i = 0; i < count; i++) /* those that came after the machine was read */
        if (numa->of_cpu[cpus[i]] < 0)
            out->cpu[out->cpu_count++] = cpus[i];
}

/* The place in cpu[] that a worker belongs to: its own if pinned, else spread over all. */
static int home_of(const struct ash_team_plan *plan, int worker)
{
    return plan->pinned ? worker : (int)((int64_t)worker * plan->cpu_count / plan->threads);
}

static void find_nodes(const struct ash_numa *numa, struct ash_team_plan *plan)
{
    for (int i = 0; i < plan->cpu_count; i++) {
        const int node = numa->of_cpu[plan->cpu[i]];
        plan->node[i] = (int16_t)(node < 0 ? numa->node[0].index : node);
    }
    for (int n = 0; n < numa->count; n++)
        for (int worker = 0; worker < plan->threads; worker++)
            if (ash_team_plan_node(plan, worker) == numa->node[n].index) {
                plan->nodes++;
                break;
            }
}

enum ash_status ash_team_plan_fill(const struct ash_team_options *options, const int *cpus,
    int count, int usable, const struct ash_numa *numa, struct ash_team_plan *out)
{
    *out = (struct ash_team_plan){ .threads = options->threads ? options->threads : usable };
    if (out->threads < 1 || out->threads > ASH_TEAM_MAX_THREADS)
        return ash_fail(ASH_ERR_ARGUMENT, "a team has 1 to %d threads, not %d",
            ASH_TEAM_MAX_THREADS, out->threads);
    if (options->cpus)
        ASH_TRY(take_list(options, cpus, count, out));
    else
        take_mask(cpus, count, numa, out);
    out->pinned = options->cpus ? out->threads <= out->cpu_count : out->threads == out->cpu_count;
    out->spins = out->threads <= usable && out->threads <= out->cpu_count;
    find_nodes(numa, out);
    return ASH_OK;
}

static enum ash_status fill(const struct ash_team_options *options, struct ash_team_plan *out)
{
    int cpus[ASH_AFFINITY_MAX];
    const int count = ash_affinity_cpus(ASH_AFFINITY_MAX, cpus);
    struct ash_numa *found = NULL;
    if (!options->numa)
        ASH_TRY(ash_numa_find(&found));
    enum ash_status status = ash_team_plan_fill(
        options, cpus, count, ash_affinity_usable(), found ? found : options->numa, out);
    ash_numa_destroy(found);
    return status;
}

enum ash_status ash_team_plan_create(
    const struct ash_team_options *options, struct ash_team_plan **out)
{
    struct ash_team_plan *plan = ash_alloc(sizeof *plan);
    if (!plan)
        return ash_fail_memory(sizeof *plan, "a team of threads");
    enum ash_status status = fill(options, plan);
    if (status != ASH_OK) {
        ash_free(plan);
        return status;
    }
    *out = plan;
    return ASH_OK;
}

int ash_team_plan_node(const struct ash_team_plan *plan, int worker)
{
    return plan->node[home_of(plan, worker)];
}

void ash_team_plan_mask(const struct ash_team_plan *plan, int worker, cpu_set_t *out)
{
    const int home = home_of(plan, worker);
    CPU_ZERO_S(MASK_BYTES, out);
    for (int i = 0; i < plan->cpu_count; i++)
        if (plan->pinned ? i == home : plan->nodes == 1 || plan->node[i] == plan->node[home])
            CPU_SET_S((size_t)plan->cpu[i], MASK_BYTES, out);
}

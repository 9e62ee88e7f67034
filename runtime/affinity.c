/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/affinity.h"

#include "runtime/affinity_internal.h"
#include "runtime/cgroup_internal.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

int ash_affinity_cpus(int capacity, int *out)
{
    /* The system call itself: glibc's cpu_set_t ends at 1,024 CPUs. */
    enum { WORD_BITS = 8 * sizeof(unsigned long) };
    unsigned long mask[ASH_AFFINITY_MAX / WORD_BITS] = { 0 };
    if (syscall(SYS_sched_getaffinity, 0, sizeof mask, mask) < 0)
        mask[0] = 1;
    int count = 0;
    for (int cpu = 0; cpu < ASH_AFFINITY_MAX; cpu++)
        if (mask[cpu / WORD_BITS] >> cpu % WORD_BITS & 1) {
            if (count < capacity)
                out[count] = cpu;
            count++;
        }
    return count;
}

/* quota / period in whole CPUs; INT64_MAX where either is no positive number. */
static int64_t quota_cpus(int64_t quota, int64_t period)
{
    return quota > 0 && period > 0 ? quota / period + (quota % period != 0) : INT64_MAX;
}

/* cpu.max holds "max 100000" or "150000 100000". */
static int64_t limit_v2(const char *directory)
{
    char text[64];
    int64_t quota, period;
    if (!ash_cgroup_read(directory, "cpu.max", text, sizeof text) ||
        sscanf(text, "%" SCNd64 " %" SCNd64, &quota, &period) != 2)
        return INT64_MAX;
    return quota_cpus(quota, period);
}

/* Two files, the quota being -1 without a limit. */
static int64_t limit_v1(const char *directory)
{
    return quota_cpus(ash_cgroup_number(directory, "cpu.cfs_quota_us", -1),
        ash_cgroup_number(directory, "cpu.cfs_period_us", -1));
}

int ash_affinity_quota_below(const char *root)
{
    const struct ash_cgroup_question question = { "cpu", limit_v1, limit_v2 };
    int64_t cpus = ash_cgroup_least(root, &question);
    return cpus > INT_MAX ? INT_MAX : (int)cpus;
}

int ash_affinity_quota(void)
{
    return ash_affinity_quota_below("");
}

int ash_affinity_usable(void)
{
    int cpus = ash_affinity_cpus(0, NULL), quota = ash_affinity_quota();
    int usable = cpus < quota ? cpus : quota;
    return usable < 1 ? 1 : usable;
}

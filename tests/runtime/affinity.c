/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/affinity.h"

#include "runtime/affinity_internal.h"
#include "tests/runtime/folder.h"

#include <criterion/criterion.h>
#include <limits.h>
#include <sched.h>

enum { MOST_FILES = 4 };

/* A machine's files, and the limit they mean. */
static const struct {
    const char *name;
    int expect;
    struct ash_test_file file[MOST_FILES];
} machines[] = {
    { "no control groups", INT_MAX, { { 0 } } },
    { "version 2, no limit", INT_MAX,
        { { "/proc/self/cgroup", "0::/\n" }, { "/sys/fs/cgroup/cpu.max", "max 100000\n" } } },
    { "version 2, one and a half", 2,
        { { "/proc/self/cgroup", "0::/a\n" }, { "/sys/fs/cgroup/a/cpu.max", "150000 100000\n" } } },
    { "version 2, the parent is stricter", 3,
        { { "/proc/self/cgroup", "0::/pod/box\n" },
            { "/sys/fs/cgroup/pod/box/cpu.max", "800000 100000\n" },
            { "/sys/fs/cgroup/pod/cpu.max", "300000 100000\n" } } },
    { "version 1, two CPUs", 2,
        { { "/proc/self/cgroup", "4:cpuset:/\n3:cpu,cpuacct:/box\n0::/\n" },
            { "/sys/fs/cgroup/cpu,cpuacct/box/cpu.cfs_quota_us", "200000\n" },
            { "/sys/fs/cgroup/cpu,cpuacct/box/cpu.cfs_period_us", "100000\n" } } },
    { "version 1, no limit", INT_MAX,
        { { "/proc/self/cgroup", "3:cpu:/box\n" },
            { "/sys/fs/cgroup/cpu/box/cpu.cfs_quota_us", "-1\n" },
            { "/sys/fs/cgroup/cpu/box/cpu.cfs_period_us", "100000\n" } } },
    { "the quota of another controller", INT_MAX,
        { { "/proc/self/cgroup", "3:cpuset:/box\n" },
            { "/sys/fs/cgroup/cpuset/box/cpu.cfs_quota_us", "1\n" },
            { "/sys/fs/cgroup/cpuset/box/cpu.cfs_period_us", "1\n" } } },
    { "a thousandth of a CPU", 1,
        { { "/proc/self/cgroup", "0::/\n" }, { "/sys/fs/cgroup/cpu.max", "1000 1000000\n" } } },
    { "a period of 0", INT_MAX,
        { { "/proc/self/cgroup", "0::/\n" }, { "/sys/fs/cgroup/cpu.max", "1000 0\n" } } },
    { "numbers past 64 bits", INT_MAX,
        { { "/proc/self/cgroup", "0::/\n" },
            { "/sys/fs/cgroup/cpu.max", "99999999999999999999 1\n" } } },
    { "no sense at all", INT_MAX,
        { { "/proc/self/cgroup", "::::\n\n:\n0::\n" }, { "/sys/fs/cgroup/cpu.max", "\n" } } },
};

Test(affinity, the_strictest_control_group_on_the_path_is_the_limit)
{
    for (size_t i = 0; i < sizeof machines / sizeof *machines; i++) {
        char root[64];
        ash_test_folder_create(machines[i].file, MOST_FILES, root, sizeof root);
        int found = ash_affinity_quota_below(root);
        ash_test_folder_remove(root);
        cr_assert_eq(found, machines[i].expect, "%s: %d", machines[i].name, found);
    }
}

Test(affinity, a_narrower_mask_is_seen)
{
    int before[4], after[4];
    int count = ash_affinity_cpus(4, before);
    cr_assert_geq(count, 1);
    cr_assert_eq(ash_affinity_cpus(0, NULL), count);
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET((size_t)before[0], &one);
    cr_assert_eq(sched_setaffinity(0, sizeof one, &one), 0);
    cr_assert_eq(ash_affinity_cpus(4, after), 1);
    cr_assert_eq(after[0], before[0]);
    cr_assert_eq(ash_affinity_usable(), 1);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/affinity.h"

#include "runtime/affinity_internal.h"

#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
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

/* The whole small file as a string; false if it cannot be read. */
static bool read_text(const char *path, char *text, size_t capacity)
{
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return false;
    ssize_t length = read(file, text, capacity - 1);
    close(file);
    text[length < 0 ? 0 : length] = '\0';
    return length >= 0;
}

/* quota / period in whole CPUs; INT_MAX where either is no positive number. */
static int quota_cpus(int64_t quota, int64_t period)
{
    if (quota <= 0 || period <= 0)
        return INT_MAX;
    int64_t cpus = quota / period + (quota % period != 0);
    return cpus > INT_MAX ? INT_MAX : (int)cpus;
}

/* One directory of version 2: cpu.max holds "max 100000" or "150000 100000". */
static int limit_v2(const char *directory)
{
    char path[PATH_MAX], text[64];
    int64_t quota, period;
    if (snprintf(path, sizeof path, "%s/cpu.max", directory) >= (int)sizeof path)
        return INT_MAX;
    if (!read_text(path, text, sizeof text) ||
        sscanf(text, "%" SCNd64 " %" SCNd64, &quota, &period) != 2)
        return INT_MAX;
    return quota_cpus(quota, period);
}

/* One directory of version 1: two files, the quota being -1 without a limit. */
static int limit_v1(const char *directory)
{
    char path[PATH_MAX], text[64];
    int64_t quota, period;
    if (snprintf(path, sizeof path, "%s/cpu.cfs_quota_us", directory) >= (int)sizeof path)
        return INT_MAX;
    if (!read_text(path, text, sizeof text) || sscanf(text, "%" SCNd64, &quota) != 1)
        return INT_MAX;
    if (snprintf(path, sizeof path, "%s/cpu.cfs_period_us", directory) >= (int)sizeof path)
        return INT_MAX;
    if (!read_text(path, text, sizeof text) || sscanf(text, "%" SCNd64, &period) != 1)
        return INT_MAX;
    return quota_cpus(quota, period);
}

/* The strictest limit of `group` below `mount` and of all its parents. */
static int limit_on_path(const char *mount, const char *group, int (*limit)(const char *directory))
{
    char path[PATH_MAX];
    if (snprintf(path, sizeof path, "%s%s", mount, group) >= (int)sizeof path)
        return INT_MAX;
    int strictest = INT_MAX;
    for (size_t end = strlen(path); end >= strlen(mount); end--) {
        if (path[end] != '/' && path[end] != '\0')
            continue;
        path[end] = '\0';
        int here = limit(path);
        strictest = here < strictest ? here : strictest;
    }
    return strictest;
}

/* Is "cpu" one of the comma-separated controllers? "cpuset" and "cpuacct" are others. */
static bool lists_cpu(const char *controllers)
{
    for (const char *at = controllers;; at++) {
        size_t length = strcspn(at, ",");
        if (length == 3 && memcmp(at, "cpu", 3) == 0)
            return true;
        at += length;
        if (*at == '\0')
            return false;
    }
}

/* A line of /proc/self/cgroup, "id:controllers:/path" (cgroups(7)); cut in place. */
static int limit_of_line(const char *root, char *line)
{
    char *controllers = strchr(line, ':');
    char *group = controllers ? strchr(controllers + 1, ':') : NULL;
    if (!group)
        return INT_MAX;
    *group++ = '\0';
    controllers++;
    char mount[PATH_MAX];
    if (*controllers == '\0') {
        snprintf(mount, sizeof mount, "%s/sys/fs/cgroup", root);
        return limit_on_path(mount, group, limit_v2);
    }
    if (!lists_cpu(controllers))
        return INT_MAX;
    snprintf(mount, sizeof mount, "%s/sys/fs/cgroup/%s", root, controllers);
    return limit_on_path(mount, group, limit_v1);
}

int ash_affinity_quota_below(const char *root)
{
    char path[PATH_MAX], text[8192];
    snprintf(path, sizeof path, "%s/proc/self/cgroup", root);
    if (!read_text(path, text, sizeof text))
        return INT_MAX;
    int strictest = INT_MAX;
    char *rest = text;
    for (char *line; (line = strsep(&rest, "\n"));) {
        int here = limit_of_line(root, line);
        strictest = here < strictest ? here : strictest;
    }
    return strictest;
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

/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/pool_internal.h"

#include "runtime/cgroup_internal.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

enum { MOST_NODES = 1024 };

static int64_t add(int64_t a, int64_t b)
{
    int64_t sum;
    return __builtin_add_overflow(a, b, &sum) ? INT64_MAX : sum;
}

static int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* Far from overflow when two are added: no machine has an exabyte. */
static const int64_t MOST_BYTES = INT64_C(1) << 60;

/* The number after `key` at the start of a line or after a blank; -1 if there is none. */
static int64_t value_of(const char *text, const char *key)
{
    for (const char *at = text; (at = strstr(at, key)); at++) {
        int64_t value;
        if (at > text && at[-1] != '\n' && at[-1] != ' ')
            continue;
        if (sscanf(at + strlen(key), "%" SCNd64, &value) == 1 && value >= 0)
            return smaller(value, MOST_BYTES);
    }
    return -1;
}

/* The same in a meminfo, whose unit is kB. */
static int64_t meminfo_bytes(const char *text, const char *key)
{
    int64_t kib = value_of(text, key), bytes;
    return kib < 0 || __builtin_mul_overflow(kib, 1024, &bytes) ? -1 : bytes;
}

/* ---- Control groups ---- */

/* Limits above this are version 1's way of saying "none" (2^63 rounded down to a page). */
static const int64_t NO_LIMIT = INT64_C(1) << 62;

static int64_t limit_of(const char *directory, const char *name)
{
    int64_t limit = ash_cgroup_number(directory, name, INT64_MAX);
    return limit < 0 || limit > NO_LIMIT ? INT64_MAX : limit;
}

/* What is left below a limit; page cache counts as used there, but is dropped when need be. */
static int64_t left_of(const char *directory, int64_t limit, const char *usage_name,
    const char *active_key, const char *inactive_key)
{
    char stat[8192];
    if (limit == INT64_MAX)
        return INT64_MAX;
    int64_t used = larger(ash_cgroup_number(directory, usage_name, 0), 0);
    if (ash_cgroup_read(directory, "memory.stat", stat, sizeof stat))
        used -= larger(value_of(stat, active_key), 0) + larger(value_of(stat, inactive_key), 0);
    return larger(limit - larger(used, 0), 0);
}

static int64_t total_v1(const char *directory)
{
    return limit_of(directory, "memory.limit_in_bytes");
}

static int64_t total_v2(const char *directory)
{
    return limit_of(directory, "memory.max");
}

static int64_t free_v1(const char *directory)
{
    return left_of(directory, total_v1(directory), "memory.usage_in_bytes", "total_active_file ",
        "total_inactive_file ");
}

static int64_t free_v2(const char *directory)
{
    return left_of(
        directory, total_v2(directory), "memory.current", "active_file ", "inactive_file ");
}

/* ---- The machine and its nodes ---- */

static struct ash_pool_room machine_room(const char *root)
{
    char directory[PATH_MAX], text[8192];
    snprintf(directory, sizeof directory, "%s/proc", root);
    if (!ash_cgroup_read(directory, "meminfo", text, sizeof text))
        return (struct ash_pool_room){ INT64_MAX, INT64_MAX };
    int64_t total = meminfo_bytes(text, "MemTotal:");
    int64_t available = meminfo_bytes(text, "MemAvailable:");
    return (struct ash_pool_room){
        .total = total < 0 ? INT64_MAX : total,
        .free = available < 0 ? INT64_MAX : available,
    };
}

/* What a node says of itself; -1 without such a node. */
static struct ash_pool_room node_room(const char *root, int node)
{
    char directory[PATH_MAX], text[8192];
    snprintf(directory, sizeof directory, "%s/sys/devices/system/node/node%d", root, node);
    if (!ash_cgroup_read(directory, "meminfo", text, sizeof text))
        return (struct ash_pool_room){ -1, -1 };
    int64_t cache = add(larger(meminfo_bytes(text, "Active(file):"), 0),
        larger(meminfo_bytes(text, "Inactive(file):"), 0));
    return (struct ash_pool_room){
        .total = meminfo_bytes(text, "MemTotal:"),
        .free = add(larger(meminfo_bytes(text, "MemFree:"), 0), cache),
    };
}

static struct ash_pool_room one_of_several(const char *root, int node, struct ash_pool_room machine)
{
    struct ash_pool_room own = node_room(root, node), others = { 0 };
    for (int other = 0; other < MOST_NODES; other++) {
        if (other == node)
            continue;
        struct ash_pool_room room = node_room(root, other);
        others.total = add(others.total, larger(room.total, 0));
        others.free = add(others.free, larger(room.free, 0));
    }
    return (struct ash_pool_room){
        .total = smaller(machine.total, larger(own.total, machine.total - others.total)),
        .free = smaller(machine.free, larger(own.free, machine.free - others.free)),
    };
}

struct ash_pool_room ash_pool_room_below(const char *root, int numa_node)
{
    const struct ash_cgroup_question total = { "memory", total_v1, total_v2 };
    const struct ash_cgroup_question free = { "memory", free_v1, free_v2 };
    struct ash_pool_room room = machine_room(root);
    if (numa_node >= 0)
        room = one_of_several(root, numa_node, room);
    room.total = smaller(room.total, ash_cgroup_least(root, &total));
    room.free = smaller(room.free, ash_cgroup_least(root, &free));
    return room;
}

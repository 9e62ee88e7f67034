/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

/* Bytes of memory, as the system's files tell them; INT64_MAX where nothing is known. */
struct ash_pool_room {
    int64_t total; /* could ever be used: the kernel's total, or the control group's limit */
    int64_t free;  /* can be used now, page cache that can be dropped included */
};

/*
 * The room on the machine (`numa_node` -1) or on one node of several, for a process with its control
 * groups' limits. `root` is put before the system's paths: "" for the machine's own.
 *
 * sysfs (and hwloc after it) was seen to report a node at 9.5 and 15.6 GB where the kernel had 24.7:
 * a node therefore counts with what it reports or with what the kernel has beyond the other nodes,
 * whichever is more.
 */
struct ash_pool_room ash_pool_room_below(const char *root, int numa_node);

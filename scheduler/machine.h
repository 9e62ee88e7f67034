/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "runtime/status.h"
#include "runtime/topology.h"
#include "scheduler/cost_model.h"
#include "scheduler/schedule.h"

#include <stdbool.h>
#include <stddef.h>

/*
 * A machine as placement sees it: devices with memory and speed, and the links between them. Read from a
 * device table, checked against the machine's recorded topology; so that a laptop plans for a server.
 *
 * A device table is JSON; docs/machines.md shows one:
 *
 *   { "devices": [
 *       { "name": "cpu:0", "host": true, "numa_node": 0, "memory_gib": 256, "read_gbps": 200,
 *         "matmul_gops": 8000, "vector_gops": 2000, "launch_us": 1 },
 *       { "name": "hip:0", "pci": "0000:c1:00.0", "memory_gib": 64, "read_gbps": 1600,
 *         "matmul_gops": 90000, "vector_gops": 40000, "launch_us": 6, "link_gbps": 25, "link_us": 8,
 *         "peers": { "hip:1": 50 } } ] }
 *
 * Units: GiB are 2^30 bytes, GB/s and Gop/s 10^9 a second, a multiply-add is two operations. `pci` must be
 * a device of the topology; its NUMA node is then found there. Bytes between two devices go over the
 * host, unless "peers" names a way of its own and its GB/s. "link_gbps" (as its memory) and "link_us" (1)
 * may be left out of a host's.
 */

struct ash_machine_device {
    char name[48];
    char pci[16];  /* "" where it is none */
    bool host;     /* computes in the host's memory, where input and output are */
    int numa_node; /* -1 = unknown */
    double memory_bytes;
    struct ash_rates matmul;                 /* of the operators that multiply by a weight */
    struct ash_rates vector;                 /* of all others */
    double link_bytes_per_s, link_latency_s; /* to its host */
};

struct ash_machine {
    struct ash_machine_device *device;
    int32_t devices;
    struct ash_schedule_link *link;
    int32_t links;
    int32_t *way; /* [from][to], as in struct ash_schedule_problem */
    int32_t home; /* the first host device: found by what it says of itself, wherever it stands */
};

/*
 * Reads the table at `path`. `topology` may be NULL: nothing is checked against it then. The caller ends
 * *out with ash_machine_finish(); on failure it is untouched.
 * ASH_ERR_NOT_FOUND, ASH_ERR_IO  no such file; ASH_ERR_FORMAT  not such a table, or not of this topology;
 * the message says which entry, what was expected and what was found
 */
enum ash_status ash_machine_read(
    const char *path, const struct ash_topology *topology, struct ash_machine *out);

/* The same of a table in memory; `where` names it in messages. */
enum ash_status ash_machine_parse(const char *json, size_t length, const char *where,
    const struct ash_topology *topology, struct ash_machine *out);

void ash_machine_finish(struct ash_machine *machine); /* takes an all-zero one */

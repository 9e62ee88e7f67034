/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "runtime/affinity.h"
#include "runtime/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ash_topology;

/*
 * Which memory is near which CPU, and pages laid there. Nodes are numbered as the system numbers them.
 */
struct ash_numa_node {
    int index;
    int cpus; /* that have no nearer memory than this node's; 0 for memory on a card (CXL) */
    int64_t memory_bytes; /* 0: its CPUs are counted with the nearest node that has some */
};

/* Read-only once made. Threads: any may read. */
struct ash_numa {
    int count;                        /* of node[], ascending by index; at least 1 */
    int16_t of_cpu[ASH_AFFINITY_MAX]; /* the node of each CPU; -1 = no such CPU */
    struct ash_numa_node node[];
};

/*
 * This machine, as the system describes it. Where it says nothing (a sandbox), all CPUs are on node 0.
 * The caller owns *out and ends it with ash_numa_destroy(). ASH_ERR_NO_MEMORY.
 */
enum ash_status ash_numa_find(struct ash_numa **out);

/* The same of any machine that ash_topology_load() read. */
enum ash_status ash_numa_read(const struct ash_topology *topology, struct ash_numa **out);

/* Takes NULL. */
void ash_numa_destroy(struct ash_numa *numa);

/*
 * Says where the pages of a mapping shall come from that have not been touched yet: from `node`, or by
 * turns from each of `nodes`; from elsewhere once those are full. Counts in whole pages, from the one with
 * the first byte to the one before that with the last: neighbouring ranges then meet without a gap. A
 * system that refuses costs speed, not correctness: nothing is reported.
 */
void ash_numa_prefer(const void *memory, size_t size_bytes, int node);
void ash_numa_interleave(const void *memory, size_t size_bytes, const int *nodes, int count);

/* Whether somebody has said so of the page at `at`. */
bool ash_numa_is_laid(const void *at);

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "runtime/json.h"
#include "runtime/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/*
 * The machine as hwloc finds it, or another machine out of a file, as one plain tree; and the three
 * ways to show it. Read-only once loaded. Threads: any may read; one loads at a time.
 */

enum ash_topology_kind {
    ASH_TOPOLOGY_MACHINE,
    ASH_TOPOLOGY_PACKAGE, /* a socket; name = the processor's model */
    ASH_TOPOLOGY_GROUP,   /* a die, a cluster: whatever stands between package and core */
    ASH_TOPOLOGY_MEMORY,  /* a NUMA node; first among its siblings */
    ASH_TOPOLOGY_CACHE,   /* data or unified; instruction caches are left out */
    ASH_TOPOLOGY_CORE,
    ASH_TOPOLOGY_PU,     /* a hardware thread */
    ASH_TOPOLOGY_PCI,    /* name = vendor and device, as far as known; last among its siblings */
    ASH_TOPOLOGY_DEVICE, /* what a driver made of it: "eth0", "opencl0d0", "card0" */
    ASH_TOPOLOGY_KINDS
};

struct ash_topology_node {
    enum ash_topology_kind kind;
    int parent, first_child, next; /* places in ash_topology.node; -1 = none */
    int index;                     /* among its kind, in the order of the machine */
    int os_index;                  /* as the system numbers it; -1 = not at all */
    int cache_level;               /* 1, 2, 3; 0 if this is no cache */
    int cache_line_bytes;          /* 0 = unknown */
    int pus;                       /* hardware threads below: for a cache, that share it */
    int pus_allowed;               /* of those, that this process may run on */
    int64_t bytes;                 /* memory of a NUMA node, size of a cache; else 0 */
    double link_gbps; /* of a PCI device: its link each way, 10^9 bytes/s; 0 = unknown */
    char *name;       /* "" where there is none; printable ASCII */
};

struct ash_topology {
    struct ash_topology_node *node; /* node[0] is the machine; parents stand before children */
    size_t count;
    int number[ASH_TOPOLOGY_KINDS]; /* of nodes of each kind */
    bool live;                      /* this machine, not a recorded or synthetic one */
    int64_t memory_bytes;           /* all NUMA nodes, as hwloc has it; often too low in a VM */
    int64_t kernel_bytes;           /* as the kernel has it; 0 unless live */
};

enum ash_topology_flags {
    /* Also asks OpenCL, CUDA and the like for their devices. Loads their drivers: may take seconds. */
    ASH_TOPOLOGY_DRIVERS = 1 << 0,
};

/*
 * Loads `source`: NULL = the file that HWLOC_XMLFILE names, else the description in HWLOC_SYNTHETIC,
 * else this machine; "synthetic:DESCRIPTION" (hwloc(7): "synthetic:Package:2 Core:8 PU:2"); anything
 * else is the path of an XML file that lstopo wrote. The caller owns *out and ends it with
 * ash_topology_destroy(). On failure *out is untouched.
 *
 * ASH_ERR_NOT_FOUND, ASH_ERR_IO  the file cannot be read
 * ASH_ERR_FORMAT                 hwloc makes no machine of it
 * ASH_ERR_LIMIT                  a file above 64 MiB, more than 100,000 objects, or nested too deep
 */
enum ash_status ash_topology_load(const char *source, unsigned flags, struct ash_topology **out);

/* The same from XML in memory; `where` names it in messages. */
enum ash_status ash_topology_parse(
    const char *xml, size_t length, const char *where, struct ash_topology **out);

/* Takes NULL. */
void ash_topology_destroy(struct ash_topology *topology);

/*
 * The PCI device at an address, "0000:3b:00.0" in either case; -1 = there is none. And the NUMA node (its
 * index) that is nearest to a node of the tree: the first on its way up; -1 = none is.
 */
int ash_topology_find_pci(const struct ash_topology *topology, const char *address);
int ash_topology_near_memory(const struct ash_topology *topology, int at);

/* "package", "NUMA node", "cache", "core", "PU" ...: never NULL for a valid kind. */
const char *ash_topology_kind_name(enum ash_topology_kind kind);

/*
 * The machine as nested boxes, in the manner of lstopo: as text for a terminal of about 100 columns
 * (UTF-8), and as an SVG document. Long rows of equal parts are drawn as the first, the last, and how
 * many are between. What this process may not use is in brackets, and grey.
 * ASH_ERR_NO_MEMORY, or ASH_ERR_IO if `out` takes no more.
 */
enum ash_status ash_topology_print(const struct ash_topology *topology, FILE *out);
enum ash_status ash_topology_svg(const struct ash_topology *topology, FILE *out);

/*
 * Totals and the tree as a JSON object, for the caller to json_decref(). ASH_ERR_NO_MEMORY.
 * Print it with ash_json_print().
 */
enum ash_status ash_topology_json(const struct ash_topology *topology, json_t **out);

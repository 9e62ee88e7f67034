/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "tools/ashlar/table.h"

struct ash_topology;

/*
 * How memory, CPUs and workers lie on the NUMA nodes of a machine: a row a node. Of this machine also what
 * is free, which of `threads` workers (0 = as many as there would be) a node would have, and, with `measure`
 * and several nodes, how fast its CPUs read its memory. For the caller to ash_table_destroy().
 */
enum ash_status ash_info_nodes(
    const struct ash_topology *topology, int threads, bool measure, struct ash_table **out);

/* How many rows that has; with one, there is nothing to tell. */
int ash_info_node_count(const struct ash_topology *topology);

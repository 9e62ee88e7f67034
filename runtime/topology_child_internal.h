/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "runtime/topology.h"

/*
 * Runs `make(ctx, &topology)` in a process of its own, and hands over what it made. hwloc 2.9.0 was
 * found to follow null pointers over broken files (tests/fuzz/corpus/topology/): it may do that there.
 *
 * The status and message of `make`, if it failed; ASH_ERR_FORMAT if it crashed, never ended or sent
 * nonsense; ASH_ERR_IO if the system starts no process.
 */
enum ash_status ash_topology_in_child(enum ash_status (*make)(void *ctx, struct ash_topology **out),
    void *ctx, struct ash_topology **out);

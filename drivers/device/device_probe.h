/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "runtime/topology.h"

#include <stdbool.h>
#include <stddef.h>

/* For drivers of makers' libraries: asking those for their devices without trusting them. */

/*
 * Runs fill(report) in a process of its own, as half-installed drivers crash, hang and print: `report`,
 * of `size_bytes`, arrives as fill() left it there; it holds no pointers that mean anything here. False,
 * and *report as it was, if the child died or took longer than ten seconds.
 */
bool ash_device_ask(void (*fill)(void *report), void *report, size_t size_bytes);

/* hwloc's logical index of the NUMA node that the card at `pci` ("0000:3b:00.0") is at, by what the
 * system says; -1 = unknown, also where `topology` is NULL or another machine's. */
int ash_device_numa_node(const struct ash_topology *topology, const char *pci);

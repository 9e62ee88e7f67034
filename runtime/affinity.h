/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * How much of the machine this process may use: the scheduler's affinity mask, and the CPU time that
 * its control groups allow. Nothing here allocates. Threads: any.
 */

/* More CPUs than any Linux is configured for. */
enum { ASH_AFFINITY_MAX = 8192 };

/*
 * The CPUs in the calling thread's affinity mask, as the system numbers them, ascending. Writes the
 * first `capacity` of them to `out` (NULL with 0) and returns how many there are, at least 1.
 */
int ash_affinity_cpus(int capacity, int *out);

/*
 * CPUs' worth of time that the control groups grant (version 2 cpu.max, version 1 CFS quota, the
 * strictest on the path to the root), rounded up; INT_MAX without a limit.
 */
int ash_affinity_quota(void);

/* How many threads can make progress at once: the smaller of the two above, at least 1. */
int ash_affinity_usable(void);

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "runtime/driver.h"

/*
 * The processor: native kernels chosen by what it can execute, run by a team of pinned threads. All its
 * CPUs are one device. Operators without a kernel for some types run as their reference.
 *
 * A compiled run is one program of the team: a phase's steps are cut into chunks of rows by what they
 * cost, and any worker takes the next chunk. The caller's thread is the first worker; work is done when
 * launch() or run() returns.
 */
extern const struct ash_driver ash_driver_cpu;

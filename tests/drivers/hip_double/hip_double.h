/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

/*
 * A test double of libamdhip64.so, and of libcuda.so.1 (cuda_double/): cards in this process's memory, on
 * which a thread a stream runs the portable kernels compiled as C of the host. It refuses what a card refuses
 * (memory of another device, code for another instruction set, entry points that the object has not) and
 * breaks when told to.
 *
 * HIP_DOUBLE_DEVICES=N   how many cards, 2 unless said
 * HIP_DOUBLE_MEMORY=MIB  of each, 4096 unless said
 * HIP_DOUBLE_ARCH=NAME   their instruction set, gfx90a (sm_80) unless said
 * HIP_DOUBLE_CRASH=1     the first call ends the process
 * HIP_DOUBLE_INIT=N      the first call of libcuda's fails with this error
 */
enum hip_double_fault {
    HIP_DOUBLE_OUT_OF_MEMORY, /* an allocation fails */
    HIP_DOUBLE_LAUNCH,        /* a launch is refused */
    HIP_DOUBLE_LOST,          /* a kernel dies, and with it its card: seen when something waits */
    HIP_DOUBLE_PIN,           /* memory of the host is not registered */
    HIP_DOUBLE_FAULTS
};

/* For dlsym(). The fault happens from the nth occasion on, counted from 0; -1 = never (again). */
typedef void hip_double_fail_from(enum hip_double_fault fault, int64_t nth);
/* Every piece of work takes that much longer. */
typedef void hip_double_delay(int64_t milliseconds);
/* Nothing of one kind begins on any stream, until told otherwise. */
enum hip_double_kind { HIP_DOUBLE_NOTHING, HIP_DOUBLE_KERNELS, HIP_DOUBLE_COPIES };
typedef void hip_double_hold(enum hip_double_kind kind);
/* How much there is that was made and not yet released: memory, registered memory, streams, events, modules. */
typedef int64_t hip_double_live(void);
/* For how many copies the host was held until they were done, as a real library may hold it: those from or to
 * host memory that is neither the library's own nor registered. */
typedef int64_t hip_double_held_copies(void);
/* How many copies went from one card to another. */
typedef int64_t hip_double_peer_copies(void);

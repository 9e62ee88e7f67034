/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/*
 * The loops that are timed. Each returns something that depends on all it did, so that none of it can
 * be left out.
 */

/* `rounds` of `per_round` operations, out of registers alone; run NULL = there is no such unit. */
struct ash_bandwidth_peak {
    const char *name; /* of the instructions */
    uint64_t (*run)(int64_t rounds);
    int per_round;
};

struct ash_bandwidth_kernels {
    /* Reads `bytes` (a multiple of 4096) from `data` (64-byte aligned). */
    uint64_t (*read)(const void *data, size_t bytes);
    struct ash_bandwidth_peak int8, fp32;
    struct ash_bandwidth_peak amx_int8, amx_bf16;
};

/* The best for a set of ash_cpu_feature bits that this machine has. */
struct ash_bandwidth_kernels ash_bandwidth_kernels(uint64_t features);

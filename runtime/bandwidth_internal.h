/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/*
 * The loops that are timed. Each returns something that depends on all it did, so that none of it can
 * be left out.
 */
struct ash_bandwidth_kernels {
    /* Reads `bytes` (a multiple of 4096) from `data` (64-byte aligned). */
    uint64_t (*read)(const void *data, size_t bytes);
    /* `rounds` of `*_per_round` operations, out of registers alone. */
    uint64_t (*int8)(int64_t rounds);
    uint64_t (*fp32)(int64_t rounds);
    int int8_per_round, fp32_per_round;
    const char *int8_name, *fp32_name;
    /* The tile unit; NULL where there is none. */
    uint64_t (*amx_int8)(int64_t rounds);
    uint64_t (*amx_bf16)(int64_t rounds);
    int amx_int8_per_round, amx_bf16_per_round;
};

/* The best for a set of ash_cpu_feature bits that this machine has. */
struct ash_bandwidth_kernels ash_bandwidth_kernels(uint64_t features);

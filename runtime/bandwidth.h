/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "runtime/status.h"

#include <stddef.h>

struct ash_team;

/*
 * What the processor does at best, measured: the roof that kernels are held against, as
 * percent-of-roof figures and in `ashlar info --measure`.
 */
struct ash_bandwidth {
    int threads;
    double read_gbps;        /* 10^9 bytes a second, reading a large buffer once through */
    double int8_gops;        /* 10^9 operations a second: int8 products summed to int32, 2 each */
    double fp32_gops;        /* 10^9 operations a second: multiply-adds of floats, 2 each */
    const char *int8_kernel; /* "avx512_vnni", "avx_vnni", "avx2" or "plain" */
    const char *fp32_kernel; /* "avx512", "avx2" or "plain" */
    double amx_int8_gops;    /* as int8_gops, of the tile unit; 0 where there is none */
    double amx_bf16_gops;    /* likewise, products of bf16 summed to floats */
};

/*
 * The buffer read. A last-level cache larger than this shows its own bandwidth, not the memory's; a
 * model that fits into such a cache runs at that rate, too.
 */
enum { ASH_BANDWIDTH_BUFFER_BYTES = 256 << 20 };

/*
 * Measures with the calling thread alone (*out_one) and with the whole team (*out_all; the same
 * figures again for a team of one). Takes well under a second on an idle machine; each figure is the
 * best of several tries, as other load only ever lowers them. Uses what ash_cpu_features() allows.
 *
 * ASH_ERR_NO_MEMORY  no room for the buffer; both outputs are untouched
 */
enum ash_status ash_bandwidth_measure(
    struct ash_team *team, struct ash_bandwidth *out_one, struct ash_bandwidth *out_all);

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "runtime/status.h"

#include <stddef.h>
#include <stdint.h>

/*
 * The CPU feature word: what this process may execute, one bit for each family of kernels.
 *
 * A bit means that the processor has the instructions, that the operating system saves their
 * registers, and that neither ASHLAR_CPU nor a test has taken it away. A bit is never set without
 * those it builds on (AVX512_VNNI without AVX512, say), so a kernel asks for its own bit only.
 */
enum ash_cpu_feature {
    ASH_CPU_AVX2 = 1 << 0,          /* AVX2, FMA and F16C */
    ASH_CPU_AVX_VNNI = 1 << 1,      /* int8 dot products in 256 bits, VEX encoding */
    ASH_CPU_AVX512 = 1 << 2,        /* F, BW, DQ and VL */
    ASH_CPU_AVX512_VNNI = 1 << 3,   /* int8 dot products */
    ASH_CPU_AVX512_BF16 = 1 << 4,   /* bfloat16 dot products */
    ASH_CPU_AVX512_FP16 = 1 << 5,   /* half precision arithmetic */
    ASH_CPU_AMX_INT8 = 1 << 6,      /* int8 tiles; the kernel has granted the tile registers */
    ASH_CPU_AMX_BF16 = 1 << 7,      /* bfloat16 tiles; likewise */
    ASH_CPU_NEON = 1 << 8,          /* AArch64 from here on */
    ASH_CPU_NEON_FP16 = 1 << 9,     /* half precision arithmetic */
    ASH_CPU_NEON_DOTPROD = 1 << 10, /* int8 dot products */
    ASH_CPU_NEON_I8MM = 1 << 11,    /* int8 2x8 by 8x2 products */
    ASH_CPU_NEON_BF16 = 1 << 12,    /* bfloat16 dot products */
    ASH_CPU_SVE = 1 << 13,
    ASH_CPU_SVE2 = 1 << 14,
};
enum { ASH_CPU_FEATURE_COUNT = 15 };

/*
 * The features that may be used. Found once, on the first call; a load afterwards. The first call
 * asks the kernel for the AMX tile registers where the processor has them (Linux gives them to a
 * process only on request), unless ASHLAR_CPU excludes AMX.
 *
 * The environment variable ASHLAR_CPU lowers the set to what it names and what that builds on, so
 * that each family of kernels can be run on one machine: ASHLAR_CPU=avx2, =avx512,
 * =avx512_vnni+avx512_bf16, =none. It never adds a feature. A value that ash_cpu_parse() refuses
 * changes nothing; a program reports it by ash_cpu_override_check(). Threads: any.
 */
uint64_t ash_cpu_features(void);

/* ASH_ERR_ARGUMENT with the names to choose from, if ASHLAR_CPU is set and not understood. */
enum ash_status ash_cpu_override_check(void);

/*
 * For tests: from now on ash_cpu_features() gives only features within `allowed` (closed as above:
 * what builds on an excluded one goes with it). UINT64_MAX lifts the limit. Not while kernels run.
 */
void ash_cpu_features_limit(uint64_t allowed);

/*
 * Names joined by '+' or ',' ("avx2", "avx512_vnni+avx512_bf16"; also "none" and "all") to a set
 * with everything the named ones build on. ASH_ERR_ARGUMENT: an unknown name; *out is untouched.
 */
enum ash_status ash_cpu_parse(const char *text, uint64_t *out);

/* "avx512_vnni" for exactly one feature bit; NULL for anything else. */
const char *ash_cpu_feature_name(uint64_t feature);

/* "avx2 avx512 avx512_vnni", or "none", into `text`, cut to `capacity` bytes; returns text. */
char *ash_cpu_describe(uint64_t features, char *text, size_t capacity);

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "runtime/cpu.h"
#include "runtime/op.h"

/*
 * Most operators' table of kernels: ash_<op>_avx512 and ash_<op>_avx2, a row of work at a time, which take
 * what `accepts_it` says (NULL: everything in F32).
 */
#if defined(__x86_64__)
#define ASH_AVX_KERNELS(op, accepts_it)                                                            \
    {                                                                                              \
        ASH_AVX_KERNEL("avx512", ASH_CPU_AVX512, accepts_it, ash_##op##_avx512),                   \
            ASH_AVX_KERNEL("avx2", ASH_CPU_AVX2, accepts_it, ash_##op##_avx2), { .run = NULL },    \
    }
#define ASH_AVX_KERNEL(isa, feature, accepts_it, function)                                         \
    {                                                                                              \
        .name = (isa), .needs = (feature), .accepts = (accepts_it), .grain = 1, .run = (function)  \
    }
#else
#define ASH_AVX_KERNELS(op, accepts_it)                                                            \
    {                                                                                              \
        {                                                                                          \
            .run = NULL                                                                            \
        }                                                                                          \
    }
#endif

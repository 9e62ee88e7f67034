/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

/*
 * AMX's instructions in assembler. GCC 12's intrinsics do not say which memory a load of a tile or of
 * the configuration reads, so it may drop or move the stores that filled it.
 *
 * A tile is a number, or a macro that is one. Rows of memory are `stride` bytes apart.
 */

/* What LDTILECFG reads. */
struct ash_amx_config {
    uint8_t palette, start_row, zero[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
};

#define ASH_AMX_CONFIGURE(config)             __asm__ volatile("ldtilecfg %0" : : "m"(config))
#define ASH_AMX_RELEASE()                     __asm__ volatile("tilerelease" :::)
#define ASH_AMX_ZERO(tile)                    ASH_AMX_ZERO_(tile)
#define ASH_AMX_LOAD(tile, from, stride)      ASH_AMX_LOAD_(tile, from, stride)
#define ASH_AMX_STORE(tile, to, stride)       ASH_AMX_STORE_(tile, to, stride)
#define ASH_AMX_DOT_I8(sums, first, second)   ASH_AMX_DOT_("tdpbssd", sums, first, second)
#define ASH_AMX_DOT_BF16(sums, first, second) ASH_AMX_DOT_("tdpbf16ps", sums, first, second)

/* These see the numbers. */
#define ASH_AMX_ZERO_(tile) __asm__ volatile("tilezero %%tmm" #tile :::)
#define ASH_AMX_LOAD_(tile, from, stride)                                                          \
    __asm__ volatile("tileloadd (%0,%1,1), %%tmm" #tile                                            \
                     :                                                                             \
                     : "r"(from), "r"((int64_t)(stride))                                           \
                     : "memory")
#define ASH_AMX_STORE_(tile, to, stride)                                                           \
    __asm__ volatile("tilestored %%tmm" #tile ", (%0,%1,1)"                                        \
                     :                                                                             \
                     : "r"(to), "r"((int64_t)(stride))                                             \
                     : "memory")
#define ASH_AMX_DOT_(instruction, sums, first, second)                                             \
    __asm__ volatile(instruction " %%tmm" #second ", %%tmm" #first ", %%tmm" #sums :::)

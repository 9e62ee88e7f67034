/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

/*
 * The words of CPUID and XCR0 that decide on x86-64 features, apart from the machine, so that a
 * test can hold up other processors. Intel SDM volume 2, CPUID; volume 1, 13.3 (XCR0).
 */
struct ash_cpuid {
    uint32_t leaf1_ecx;
    uint32_t leaf7_ebx, leaf7_ecx, leaf7_edx; /* subleaf 0 */
    uint32_t leaf7_1_eax;                     /* subleaf 1 */
    uint64_t xcr0;                            /* 0 where the system does not use XSAVE */
};

uint64_t ash_cpuid_features(const struct ash_cpuid *id);

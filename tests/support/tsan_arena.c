/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lets Criterion start under ThreadSanitizer.
 *
 * Criterion's sandbox (BoxFort 0.1.2) maps the memory it shares with a test at 2^45 + rand_r() * 2^24,
 * most of which ThreadSanitizer keeps for itself and refuses: "Could not initialize inheritable arena".
 * This rand_r() is found before the C library's and arrives in what the sanitizer leaves to programs
 * (compiler-rt, tsan_platform.h: 0x550000000000 to 0x568000000000 on x86-64), below where the kernel puts
 * position-independent executables (from 0x555555554000).
 */
#include <stdlib.h>

enum { FIRST_SLOT = (0x5500 - 0x2000) << 8, SLOTS = 0x55 << 8 }; /* of 2^24 bytes, behind 2^45 */

__attribute__((visibility("default"))) int rand_r(unsigned int *seed)
{
    *seed = *seed * 1103515245u + 12345u; /* the C standard's own example */
    return (int)(FIRST_SLOT + (*seed >> 8) % SLOTS);
}

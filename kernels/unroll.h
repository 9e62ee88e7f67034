/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* ASH_UNROLL before a loop of constant count: arrays indexed by it then live in registers.
 * ASH_INLINE for functions whose arguments must become constants. */
#ifdef __clang__
#define ASH_UNROLL _Pragma("clang loop unroll(full)")
#else
#define ASH_UNROLL _Pragma("GCC unroll 32")
#endif
#define ASH_INLINE static inline __attribute__((always_inline))

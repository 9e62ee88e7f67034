/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "runtime/driver.h"

/*
 * AMD's cards, through libamdhip64 of ROCm 5, 6 or 7, opened at run time. Kernels are the portable source
 * of kernels/, built ahead for the instruction sets that drivers/hip/meson.build lists: no compiler and
 * nothing else of ROCm is needed where Ashlar runs.
 *
 * ASHLAR_HIP_LIBRARY=FILE names the library instead of libamdhip64.so.7, .6, .5 and the plain name.
 *
 * Where there is none but NVIDIA's libcuda, it drives their cards, with the same kernels as PTX (hip_cuda.h).
 */
extern const struct ash_driver ash_driver_hip;

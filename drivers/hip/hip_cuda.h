/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "drivers/hip/hip_api.h"

/*
 * HIP's calls on the CUDA driver API: NVIDIA's cards run under the same driver, with the same kernels as PTX.
 * It takes libcuda.so.1 of CUDA 9 or later, which is part of NVIDIA's driver for Linux, and nothing else.
 *
 * Each card's primary context is held for the rest of the process, as libamdhip64 does with its own.
 */

/* The name under which NVIDIA's driver installs it. */
#define HIP_CUDA_LIBRARY "libcuda.so.1"

/*
 * Fills *out with calls that end in the libcuda that `handle`, from dlopen(), is; `name` is for messages.
 * There is one such library a process: the first one stays. ASH_ERR_NOT_FOUND if it lacks a call.
 */
enum ash_status hip_cuda_open(const char *name, void *handle, struct hip_api *out);

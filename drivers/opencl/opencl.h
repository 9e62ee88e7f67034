/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "runtime/driver.h"

/*
 * OpenCL 1.2 and later, through the ICD loader (libOpenCL.so.1), opened at run time: every device of
 * every platform. Kernels are the portable source of kernels/, built on first use and kept on disk.
 *
 * An accelerator (FPGA), a device without a compiler, and any device where the setting kernel_dir was
 * given, take programs that were built before from that folder: <kernel_dir>/<variant>.bin.
 *
 * ASHLAR_OPENCL_SPLIT=numa or =N lists the parts of a device as devices: one a NUMA node, or N equal
 * ones; devices that cannot be split stay whole.
 */
extern const struct ash_driver ash_driver_opencl;

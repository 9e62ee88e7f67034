/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#define CL_TARGET_OPENCL_VERSION 120
#include <CL/cl.h>

#include "runtime/status.h"

/* Every call that the driver makes, by its name without "cl". */
#define OPENCL_CALLS(X)                                                                            \
    X(BuildProgram)                                                                                \
    X(CreateBuffer)                                                                                \
    X(CreateCommandQueue)                                                                          \
    X(CreateContext)                                                                               \
    X(CreateKernel)                                                                                \
    X(CreateProgramWithBinary)                                                                     \
    X(CreateProgramWithSource)                                                                     \
    X(CreateSubDevices)                                                                            \
    X(CreateUserEvent)                                                                             \
    X(EnqueueBarrierWithWaitList)                                                                  \
    X(EnqueueCopyBuffer)                                                                           \
    X(EnqueueFillBuffer)                                                                           \
    X(EnqueueMapBuffer)                                                                            \
    X(EnqueueMarkerWithWaitList)                                                                   \
    X(EnqueueMigrateMemObjects)                                                                    \
    X(EnqueueNDRangeKernel)                                                                        \
    X(EnqueueReadBuffer)                                                                           \
    X(EnqueueUnmapMemObject)                                                                       \
    X(EnqueueWriteBuffer)                                                                          \
    X(Finish)                                                                                      \
    X(Flush)                                                                                       \
    X(GetDeviceIDs)                                                                                \
    X(GetDeviceInfo)                                                                               \
    X(GetEventInfo)                                                                                \
    X(GetPlatformIDs)                                                                              \
    X(GetPlatformInfo)                                                                             \
    X(GetProgramBuildInfo)                                                                         \
    X(GetProgramInfo)                                                                              \
    X(ReleaseCommandQueue)                                                                         \
    X(ReleaseContext)                                                                              \
    X(ReleaseDevice)                                                                               \
    X(ReleaseEvent)                                                                                \
    X(ReleaseKernel)                                                                               \
    X(ReleaseMemObject)                                                                            \
    X(ReleaseProgram)                                                                              \
    X(RetainEvent)                                                                                 \
    X(SetEventCallback)                                                                            \
    X(SetKernelArg)                                                                                \
    X(SetUserEventStatus)                                                                          \
    X(WaitForEvents)

/* The loader's functions, found by name. */
struct opencl_api {
#define OPENCL_MEMBER(name) __typeof__(&cl##name) name;
    OPENCL_CALLS(OPENCL_MEMBER)
#undef OPENCL_MEMBER
};

/*
 * Opens `library` (NULL = libOpenCL.so.1) for the rest of the process: drivers behind it have threads,
 * and cannot be unloaded. ASH_ERR_NOT_FOUND, with what to install, if it is not there or lacks a call.
 */
enum ash_status opencl_api_open(const char *library, struct opencl_api *out);

/* "CL_OUT_OF_RESOURCES" or "OpenCL error -1001": never NULL; valid until the thread's next call. */
const char *opencl_error_name(cl_int code);

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "tests/drivers/hip_double/double_internal.h"

struct hip_module;
struct hip_function;

/* The calls of libamdhip64 as the double has them, by the files that they are in. */

/* double.c */
EXPORT int hipInit(unsigned flags);
EXPORT int hipGetDeviceCount(int *count);
EXPORT int hipSetDevice(int device);
EXPORT int hipDeviceGetName(char *name, int length, int device);
EXPORT int hipDeviceGetPCIBusId(char *name, int length, int device);
EXPORT int hipDeviceTotalMem(size_t *bytes, int device);
EXPORT int hipGetDevicePropertiesR0600(void *properties, int device);
EXPORT int hipDeviceCanAccessPeer(int *can, int device, int peer);
EXPORT int hipDeviceEnablePeerAccess(int peer, unsigned flags);
EXPORT const char *hipGetErrorName(int error);

/* double_memory.c */
EXPORT int hipMalloc(void **memory, size_t bytes);
EXPORT int hipFree(void *memory);
EXPORT int hipHostMalloc(void **memory, size_t bytes, unsigned flags);
EXPORT int hipHostFree(void *memory);
EXPORT int hipHostRegister(void *memory, size_t bytes, unsigned flags);
EXPORT int hipHostUnregister(void *memory);

/* double_module.c */
EXPORT int hipModuleLoadData(struct hip_module **module, const void *image);
EXPORT int hipModuleUnload(struct hip_module *module);
EXPORT int hipModuleGetFunction(
    struct hip_function **function, struct hip_module *module, const char *name);
EXPORT int hipModuleLaunchKernel(struct hip_function *function, unsigned groups_x,
    unsigned groups_y, unsigned groups_z, unsigned items_x, unsigned items_y, unsigned items_z,
    unsigned shared_bytes, struct hip_stream *stream, void **parameters, void **extra);

/* double_stream.c */
EXPORT int hipStreamCreateWithFlags(struct hip_stream **stream, unsigned flags);
EXPORT int hipStreamDestroy(struct hip_stream *stream);
EXPORT int hipStreamSynchronize(struct hip_stream *stream);
EXPORT int hipEventCreateWithFlags(struct hip_event **event, unsigned flags);
EXPORT int hipEventDestroy(struct hip_event *event);
EXPORT int hipEventRecord(struct hip_event *event, struct hip_stream *stream);
EXPORT int hipEventSynchronize(struct hip_event *event);
EXPORT int hipStreamWaitEvent(struct hip_stream *stream, struct hip_event *event, unsigned flags);
EXPORT int hipMemsetAsync(void *memory, int value, size_t bytes, struct hip_stream *stream);
EXPORT int hipMemcpyAsync(
    void *to, const void *from, size_t bytes, int kind, struct hip_stream *stream);
EXPORT int hipMemcpyPeerAsync(void *to, int to_device, const void *from, int from_device,
    size_t bytes, struct hip_stream *stream);

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "drivers/hip/hip_api.h"

#include <stdint.h>

/*
 * The calls of libcuda that hip_cuda.c makes, declared here from NVIDIA's "CUDA Driver API" manual: no header
 * of CUDA is needed to build. Streams, events, modules and functions are passed on as HIP's, as
 * neither side looks into them. A device is an int and its memory a 64-bit number.
 */
struct cuda_context;

/* CUresult: HIP took over its numbers, but for these ends of a context. */
enum cuda_error {
    CUDA_SUCCESS = 0,
    CUDA_NVLINK_UNCORRECTABLE = 220,
    CUDA_CONTEXT_IS_DESTROYED = 709,
    CUDA_HARDWARE_STACK_ERROR = 714,
    CUDA_ILLEGAL_INSTRUCTION = 715,
    CUDA_MISALIGNED_ADDRESS = 716,
    CUDA_INVALID_ADDRESS_SPACE = 717,
    CUDA_INVALID_PC = 718,
};

enum {
    CUDA_COMPUTE_CAPABILITY_MAJOR = 75, /* CUdevice_attribute */
    CUDA_COMPUTE_CAPABILITY_MINOR = 76,
    CUDA_POINTER_CONTEXT = 1,      /* CUpointer_attribute */
    CUDA_HOST_MEMORY_PORTABLE = 1, /* pinned for all contexts */
};

/* X(name without "cu", the ABI's version of it, parameters) */
#define CUDA_CALLS(X)                                                                              \
    X(Init, "", (unsigned flags))                                                                  \
    X(DeviceGetCount, "", (int *count))                                                            \
    X(DeviceGet, "", (int *device, int index))                                                     \
    X(DeviceGetName, "", (char *name, int length, int device))                                     \
    X(DeviceGetPCIBusId, "", (char *name, int length, int device))                                 \
    X(DeviceTotalMem, "_v2", (size_t * bytes, int device))                                         \
    X(DeviceGetAttribute, "", (int *value, int attribute, int device))                             \
    X(DeviceCanAccessPeer, "", (int *can, int device, int peer))                                   \
    X(DevicePrimaryCtxRetain, "", (struct cuda_context * *context, int device))                    \
    X(CtxGetCurrent, "", (struct cuda_context * *context))                                         \
    X(CtxSetCurrent, "", (struct cuda_context * context))                                          \
    X(CtxPushCurrent, "_v2", (struct cuda_context * context))                                      \
    X(CtxPopCurrent, "_v2", (struct cuda_context * *context))                                      \
    X(CtxSynchronize, "", (void))                                                                  \
    X(CtxEnablePeerAccess, "", (struct cuda_context * peer, unsigned flags))                       \
    X(PointerGetAttribute, "", (void *value, int attribute, uint64_t memory))                      \
    X(MemAlloc, "_v2", (uint64_t * memory, size_t bytes))                                          \
    X(MemFree, "_v2", (uint64_t memory))                                                           \
    X(MemHostAlloc, "", (void **memory, size_t bytes, unsigned flags))                             \
    X(MemFreeHost, "", (void *memory))                                                             \
    X(MemHostRegister, "_v2", (void *memory, size_t bytes, unsigned flags))                        \
    X(MemHostUnregister, "", (void *memory))                                                       \
    X(MemsetD8Async, "",                                                                           \
        (uint64_t memory, unsigned char value, size_t bytes, struct hip_stream *stream))           \
    X(MemcpyHtoDAsync, "_v2",                                                                      \
        (uint64_t to, const void *from, size_t bytes, struct hip_stream *stream))                  \
    X(MemcpyDtoHAsync, "_v2", (void *to, uint64_t from, size_t bytes, struct hip_stream *stream))  \
    X(MemcpyDtoDAsync, "_v2",                                                                      \
        (uint64_t to, uint64_t from, size_t bytes, struct hip_stream * stream))                    \
    X(MemcpyPeerAsync, "",                                                                         \
        (uint64_t to, struct cuda_context * to_context, uint64_t from,                             \
            struct cuda_context * from_context, size_t bytes, struct hip_stream * stream))         \
    X(StreamCreate, "", (struct hip_stream * *stream, unsigned flags))                             \
    X(StreamDestroy, "_v2", (struct hip_stream * stream))                                          \
    X(StreamSynchronize, "", (struct hip_stream * stream))                                         \
    X(StreamWaitEvent, "", (struct hip_stream * stream, struct hip_event * event, unsigned flags)) \
    X(EventCreate, "", (struct hip_event * *event, unsigned flags))                                \
    X(EventDestroy, "_v2", (struct hip_event * event))                                             \
    X(EventRecord, "", (struct hip_event * event, struct hip_stream * stream))                     \
    X(EventSynchronize, "", (struct hip_event * event))                                            \
    X(ModuleLoadData, "", (struct hip_module * *module, const void *image))                        \
    X(ModuleUnload, "", (struct hip_module * module))                                              \
    X(ModuleGetFunction, "",                                                                       \
        (struct hip_function * *function, struct hip_module * module, const char *name))           \
    X(LaunchKernel, "",                                                                            \
        (struct hip_function * function, unsigned groups_x, unsigned groups_y, unsigned groups_z,  \
            unsigned items_x, unsigned items_y, unsigned items_z, unsigned shared_bytes,           \
            struct hip_stream *stream, void **parameters, void **extra))                           \
    X(GetErrorName, "", (int error, const char **name))

struct cuda_calls {
#define CUDA_MEMBER(name, version, parameters) int(*name) parameters; /* CUresult */
    CUDA_CALLS(CUDA_MEMBER)
#undef CUDA_MEMBER
};

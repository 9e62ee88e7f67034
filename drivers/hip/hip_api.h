/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "runtime/status.h"

#include <stdbool.h>
#include <stddef.h>

/*
 * The calls of libamdhip64 that the driver makes, declared here: no header of ROCm is needed to build, and
 * these are the same in its versions 5, 6 and 7. The one struct that is not, hipDeviceProp_t, is only
 * ever looked at as bytes (hip_arch.h).
 */
struct hip_stream;
struct hip_event;
struct hip_module;
struct hip_function;

/* hipError_t: those that mean something to this driver. */
enum hip_error {
    HIP_SUCCESS = 0,
    HIP_OUT_OF_MEMORY = 2,
    HIP_DEINITIALIZED = 4,
    HIP_ECC_UNCORRECTABLE = 214,
    HIP_ILLEGAL_ADDRESS = 700,
    HIP_LAUNCH_TIME_OUT = 702,
    HIP_ASSERT = 710,
    HIP_LAUNCH_FAILURE = 719,
    HIP_UNKNOWN = 999,
    HIP_RUNTIME_MEMORY = 1052,
    HIP_RUNTIME_OTHER = 1053,
};

/* hipMemcpyKind, and flags of several calls. */
enum {
    HIP_HOST_TO_DEVICE = 1,
    HIP_DEVICE_TO_HOST = 2,
    HIP_DEVICE_TO_DEVICE = 3,
    HIP_STREAM_NON_BLOCKING = 1, /* does not wait for the default stream */
    HIP_EVENT_DISABLE_TIMING = 2,
    HIP_HOST_MALLOC_DEFAULT = 0,
    HIP_HOST_REGISTER_PORTABLE = 1, /* for every card of the process */
};

/* X(name without "hip", parameters) */
#define HIP_CALLS(X)                                                                               \
    X(Init, (unsigned flags))                                                                      \
    X(GetDeviceCount, (int *count))                                                                \
    X(SetDevice, (int device))                                                                     \
    X(DeviceGetName, (char *name, int length, int device))                                         \
    X(DeviceGetPCIBusId, (char *name, int length, int device))                                     \
    X(DeviceTotalMem, (size_t * bytes, int device))                                                \
    X(DeviceCanAccessPeer, (int *can, int device, int peer))                                       \
    X(DeviceEnablePeerAccess, (int peer, unsigned flags))                                          \
    X(Malloc, (void **memory, size_t bytes))                                                       \
    X(Free, (void *memory))                                                                        \
    X(HostMalloc, (void **memory, size_t bytes, unsigned flags))                                   \
    X(HostFree, (void *memory))                                                                    \
    X(HostRegister, (void *memory, size_t bytes, unsigned flags))                                  \
    X(HostUnregister, (void *memory))                                                              \
    X(MemsetAsync, (void *memory, int value, size_t bytes, struct hip_stream *stream))             \
    X(MemcpyAsync,                                                                                 \
        (void *to, const void *from, size_t bytes, int kind, struct hip_stream *stream))           \
    X(MemcpyPeerAsync, (void *to, int to_device, const void *from, int from_device, size_t bytes,  \
                           struct hip_stream *stream))                                             \
    X(StreamCreateWithFlags, (struct hip_stream * *stream, unsigned flags))                        \
    X(StreamDestroy, (struct hip_stream * stream))                                                 \
    X(StreamSynchronize, (struct hip_stream * stream))                                             \
    X(StreamWaitEvent, (struct hip_stream * stream, struct hip_event * event, unsigned flags))     \
    X(EventCreateWithFlags, (struct hip_event * *event, unsigned flags))                           \
    X(EventDestroy, (struct hip_event * event))                                                    \
    X(EventRecord, (struct hip_event * event, struct hip_stream * stream))                         \
    X(EventSynchronize, (struct hip_event * event))                                                \
    X(ModuleLoadData, (struct hip_module * *module, const void *image))                            \
    X(ModuleUnload, (struct hip_module * module))                                                  \
    X(ModuleGetFunction,                                                                           \
        (struct hip_function * *function, struct hip_module * module, const char *name))           \
    X(ModuleLaunchKernel,                                                                          \
        (struct hip_function * function, unsigned groups_x, unsigned groups_y, unsigned groups_z,  \
            unsigned items_x, unsigned items_y, unsigned items_z, unsigned shared_bytes,           \
            struct hip_stream *stream, void **parameters, void **extra))

/* Whose cards a library drives, in the words of messages. */
struct hip_maker {
    const char *library;
    const char *name;
    const char *prefix;   /* of its instruction sets' names */
    const char *compiler; /* what builds kernels for them */
    const char *advice;   /* where the library finds no card */
};

struct hip_api {
    const struct hip_maker *maker;
#define HIP_MEMBER(name, parameters) int(*name) parameters; /* hipError_t */
    HIP_CALLS(HIP_MEMBER)
#undef HIP_MEMBER
    const char *(*GetErrorName)(int error);
    /* Fills a hipDeviceProp_t of the library's own version, which has nowhere more than
     * HIP_PROPERTIES_BYTES. */
    int (*GetDeviceProperties)(void *properties, int device);
};

/* Ten times what the largest known version writes. */
enum { HIP_PROPERTIES_BYTES = 16384 };

/*
 * Opens `library` for the rest of the process (it has threads, and cannot be unloaded); NULL = what
 * ASHLAR_HIP_LIBRARY names or, without it, the newest of ROCm's versions there is or, without any, NVIDIA's
 * libcuda (hip_cuda.h). ASH_ERR_NOT_FOUND, with what to do, if there is none or it lacks a call.
 */
enum ash_status hip_api_open(const char *library, struct hip_api *out);

/* Whether this process has one of the libraries that hip_api_open(NULL) takes loaded already. */
bool hip_api_is_loaded(void);

/* The address of a function of a library as dlopen() gave it, into the pointer at `out`; false = not there. */
bool hip_symbol_find(void *handle, const char *name, void *out);

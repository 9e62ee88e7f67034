/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The calls of libcuda.so.1 on the cards of hip_double, as NVIDIA's "CUDA Driver API" manual has them: what is
 * its own are contexts, which most calls demand of the thread, and the names of errors.
 */
#include "tests/drivers/hip_double/double_hip.h"

#include <ctype.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { NOT_INITIALIZED = 3, INVALID_CONTEXT = 201, MOST_CONTEXTS = 8 };

struct cuda_context {
    int device;
};

static struct cuda_context contexts[MOST_DEVICES];
static atomic_bool is_ready, is_held[MOST_DEVICES];
static _Thread_local struct cuda_context *stack[MOST_CONTEXTS];
static _Thread_local int depth;

#define CALL(name, ...)                                                                            \
    EXPORT int name(__VA_ARGS__);                                                                  \
    int name(__VA_ARGS__)

/* ---- Devices ---- */

CALL(cuInit, unsigned flags)
{
    static pid_t process;
    const char *code = getenv("HIP_DOUBLE_INIT");
    if (is_ready && process != getpid())
        return NOT_INITIALIZED; /* a child of the one that began, as the real one */
    process = getpid();
    int error = code ? atoi(code) : hipInit(flags);
    is_ready = error == SUCCESS;
    return error;
}

CALL(cuGetErrorName, int error, const char **name)
{
    static const struct {
        int error;
        const char *name;
    } known[] = { { 2, "CUDA_ERROR_OUT_OF_MEMORY" }, { 100, "CUDA_ERROR_NO_DEVICE" },
        { 701, "CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES" }, { 716, "CUDA_ERROR_MISALIGNED_ADDRESS" },
        { 803, "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH" } };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (known[i].error == error) {
            *name = known[i].name;
            return SUCCESS;
        }
    return INVALID_VALUE;
}

CALL(cuDeviceGetCount, int *count)
{
    return is_ready ? hipGetDeviceCount(count) : NOT_INITIALIZED;
}

CALL(cuDeviceGet, int *device, int index)
{
    size_t bytes;
    *device = index;
    return is_ready ? hipDeviceTotalMem(&bytes, index) : NOT_INITIALIZED;
}

CALL(cuDeviceGetName, char *name, int length, int device)
{
    return hipDeviceGetName(name, length, device);
}

CALL(cuDeviceGetPCIBusId, char *name, int length, int device)
{
    int code = hipDeviceGetPCIBusId(name, length, device);
    for (int i = 0; code == SUCCESS && name[i]; i++)
        name[i] = (char)toupper((unsigned char)name[i]);
    return code;
}

CALL(cuDeviceTotalMem_v2, size_t *bytes, int device)
{
    return hipDeviceTotalMem(bytes, device);
}

CALL(cuDeviceGetAttribute, int *value, int attribute, int device)
{
    size_t bytes;
    int capability = strncmp(arch_name(), "sm_", 3) == 0 ? atoi(arch_name() + 3) : 0;
    *value = attribute == 75 ? capability / 10 : capability % 10;
    return attribute == 75 || attribute == 76 ? hipDeviceTotalMem(&bytes, device) : INVALID_VALUE;
}

CALL(cuDeviceCanAccessPeer, int *can, int device, int peer)
{
    return hipDeviceCanAccessPeer(can, device, peer);
}

/* ---- Contexts ---- */

CALL(cuDevicePrimaryCtxRetain, struct cuda_context **context, int device)
{
    size_t bytes;
    if (hipDeviceTotalMem(&bytes, device) != SUCCESS)
        return INVALID_DEVICE;
    contexts[device].device = device;
    is_held[device] = true;
    *context = &contexts[device];
    return SUCCESS;
}

static bool is_context(const struct cuda_context *context)
{
    return context >= contexts && context < contexts + MOST_DEVICES && is_held[context - contexts];
}

CALL(cuCtxGetCurrent, struct cuda_context **context)
{
    *context = depth ? stack[depth - 1] : NULL;
    return is_ready ? SUCCESS : NOT_INITIALIZED;
}

CALL(cuCtxPushCurrent_v2, struct cuda_context *context)
{
    if (!is_context(context) || depth == MOST_CONTEXTS)
        return INVALID_CONTEXT;
    stack[depth++] = context;
    return SUCCESS;
}

CALL(cuCtxPopCurrent_v2, struct cuda_context **context)
{
    if (depth == 0)
        return INVALID_CONTEXT;
    *context = stack[--depth];
    return SUCCESS;
}

CALL(cuCtxSetCurrent, struct cuda_context *context)
{
    depth -= depth > 0;
    return cuCtxPushCurrent_v2(context);
}

/* Whether the thread has a context; makes its card the one that HIP's calls are for. */
static bool enter(void)
{
    if (!depth)
        return false;
    current = stack[depth - 1]->device;
    return true;
}

#define IN_CONTEXT(call) (enter() ? (call) : INVALID_CONTEXT)

static int finish(void)
{
    stream_wait_all(current);
    pthread_mutex_lock(&lock);
    int error = card_error[current];
    pthread_mutex_unlock(&lock);
    return error;
}

CALL(cuCtxSynchronize, void)
{
    return IN_CONTEXT(finish());
}

CALL(cuCtxEnablePeerAccess, struct cuda_context *peer, unsigned flags)
{
    return is_context(peer) ? IN_CONTEXT(hipDeviceEnablePeerAccess(peer->device, flags))
                            : INVALID_CONTEXT;
}

/* ---- Memory ---- */

CALL(cuPointerGetAttribute, void *value, int attribute, uint64_t memory)
{
    pthread_mutex_lock(&lock);
    int device = device_of((void *)memory);
    pthread_mutex_unlock(&lock);
    if (attribute != 1 || device < 0)
        return INVALID_VALUE;
    *(struct cuda_context **)value = &contexts[device];
    return SUCCESS;
}

CALL(cuMemAlloc_v2, uint64_t *memory, size_t bytes)
{
    return bytes ? IN_CONTEXT(hipMalloc((void **)memory, bytes)) : INVALID_VALUE;
}

/* Waits for nothing: nobody promises that it does. */
CALL(cuMemFree_v2, uint64_t memory)
{
    return IN_CONTEXT(remove_block((void *)memory, false));
}

CALL(cuMemHostAlloc, void **memory, size_t bytes, unsigned flags)
{
    return bytes && flags == 1 ? IN_CONTEXT(hipHostMalloc(memory, bytes, 0)) : INVALID_VALUE;
}

CALL(cuMemFreeHost, void *memory)
{
    return IN_CONTEXT(hipHostFree(memory));
}

CALL(cuMemHostRegister_v2, void *memory, size_t bytes, unsigned flags)
{
    return flags == 1 ? IN_CONTEXT(hipHostRegister(memory, bytes, flags)) : INVALID_VALUE;
}

CALL(cuMemHostUnregister, void *memory)
{
    return IN_CONTEXT(hipHostUnregister(memory));
}

CALL(cuMemsetD8Async, uint64_t memory, unsigned char value, size_t bytes, struct hip_stream *stream)
{
    return IN_CONTEXT(hipMemsetAsync((void *)memory, value, bytes, stream));
}

CALL(cuMemcpyHtoDAsync_v2, uint64_t to, const void *from, size_t bytes, struct hip_stream *stream)
{
    return IN_CONTEXT(hipMemcpyAsync((void *)to, from, bytes, 1, stream));
}

CALL(cuMemcpyDtoHAsync_v2, void *to, uint64_t from, size_t bytes, struct hip_stream *stream)
{
    return IN_CONTEXT(hipMemcpyAsync(to, (void *)from, bytes, 2, stream));
}

CALL(cuMemcpyDtoDAsync_v2, uint64_t to, uint64_t from, size_t bytes, struct hip_stream *stream)
{
    return IN_CONTEXT(hipMemcpyAsync((void *)to, (void *)from, bytes, 3, stream));
}

CALL(cuMemcpyPeerAsync, uint64_t to, const struct cuda_context *to_context, uint64_t from,
    const struct cuda_context *from_context, size_t bytes, struct hip_stream *stream)
{
    if (!is_context(to_context) || !is_context(from_context))
        return INVALID_CONTEXT;
    return IN_CONTEXT(hipMemcpyPeerAsync(
        (void *)to, to_context->device, (void *)from, from_context->device, bytes, stream));
}

/* ---- Streams, events, kernels ---- */

CALL(cuStreamCreate, struct hip_stream **stream, unsigned flags)
{
    return IN_CONTEXT(hipStreamCreateWithFlags(stream, flags));
}

CALL(cuStreamDestroy_v2, struct hip_stream *stream)
{
    return IN_CONTEXT(hipStreamDestroy(stream));
}

CALL(cuStreamSynchronize, struct hip_stream *stream)
{
    return IN_CONTEXT(hipStreamSynchronize(stream));
}

CALL(cuStreamWaitEvent, struct hip_stream *stream, struct hip_event *event, unsigned flags)
{
    return IN_CONTEXT(hipStreamWaitEvent(stream, event, flags));
}

CALL(cuEventCreate, struct hip_event **event, unsigned flags)
{
    return IN_CONTEXT(hipEventCreateWithFlags(event, flags));
}

CALL(cuEventDestroy_v2, struct hip_event *event)
{
    return IN_CONTEXT(hipEventDestroy(event));
}

CALL(cuEventRecord, struct hip_event *event, struct hip_stream *stream)
{
    return IN_CONTEXT(hipEventRecord(event, stream));
}

CALL(cuEventSynchronize, struct hip_event *event)
{
    return IN_CONTEXT(hipEventSynchronize(event));
}

CALL(cuModuleLoadData, struct hip_module **module, const void *image)
{
    return IN_CONTEXT(hipModuleLoadData(module, image));
}

CALL(cuModuleUnload, struct hip_module *module)
{
    return IN_CONTEXT(hipModuleUnload(module));
}

CALL(cuModuleGetFunction, struct hip_function **function, struct hip_module *module,
    const char *name)
{
    return IN_CONTEXT(hipModuleGetFunction(function, module, name));
}

CALL(cuLaunchKernel, struct hip_function *function, unsigned groups_x, unsigned groups_y,
    unsigned groups_z, unsigned items_x, unsigned items_y, unsigned items_z, unsigned shared_bytes,
    struct hip_stream *stream, void **parameters, void **extra)
{
    return IN_CONTEXT(hipModuleLaunchKernel(function, groups_x, groups_y, groups_z, items_x,
        items_y, items_z, shared_bytes, stream, parameters, extra));
}

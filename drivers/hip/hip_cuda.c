/* SPDX-License-Identifier: Apache-2.0 */
#include "drivers/hip/hip_cuda.h"

#include "drivers/hip/hip_cuda_calls.h"

#include <ctype.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

enum { MOST_DEVICES = 64 };

/* What a libamdhip64 has inside itself: HIP's calls have no argument for it. Written once each, by
 * whoever opens a card first. */
static struct cuda_calls cuda;
static struct cuda_context *contexts[MOST_DEVICES];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* ---- Errors ---- */

/* The thread's last error as libcuda has it: several of its errors are one of HIP's. */
static _Thread_local int cuda_error;

static int hip_error_of(int result)
{
    switch (result) {
    case CUDA_NVLINK_UNCORRECTABLE:
    case CUDA_CONTEXT_IS_DESTROYED:
    case CUDA_HARDWARE_STACK_ERROR:
    case CUDA_ILLEGAL_INSTRUCTION:
    case CUDA_MISALIGNED_ADDRESS:
    case CUDA_INVALID_ADDRESS_SPACE:
    case CUDA_INVALID_PC:
        return HIP_LAUNCH_FAILURE;
    default:
        return result;
    }
}

static int check(int result)
{
    if (result != CUDA_SUCCESS)
        cuda_error = result;
    return hip_error_of(result);
}

static const char *get_error_name(int error)
{
    static _Thread_local char number[32];
    const char *name = NULL;
    int result = hip_error_of(cuda_error) == error ? cuda_error : error;
    if (cuda.GetErrorName(result, &name) == CUDA_SUCCESS && name)
        return name;
    snprintf(number, sizeof number, "CUDA's error %d", result);
    return number;
}

/* Ends the calling function with HIP's error if the call of libcuda does not succeed. */
#define TRY(call)                                                                                  \
    do {                                                                                           \
        int result_of_call = check(call);                                                          \
        if (result_of_call != HIP_SUCCESS)                                                         \
            return result_of_call;                                                                 \
    } while (0)

/* ---- Devices and their contexts ---- */

static int init(unsigned flags)
{
    return check(cuda.Init(flags));
}

static int get_device_count(int *count)
{
    return check(cuda.DeviceGetCount(count));
}

static int find_context(int index, struct cuda_context **out)
{
    int device, result = CUDA_SUCCESS;
    TRY(cuda.DeviceGet(&device, index)); /* refuses what is out of range */
    if (index >= MOST_DEVICES)
        return check(HIP_OUT_OF_MEMORY);
    pthread_mutex_lock(&lock);
    if (!contexts[index])
        result = cuda.DevicePrimaryCtxRetain(&contexts[index], device);
    *out = contexts[index];
    pthread_mutex_unlock(&lock);
    return check(result);
}

static int set_device(int index)
{
    struct cuda_context *context;
    TRY(find_context(index, &context));
    return check(cuda.CtxSetCurrent(context));
}

/* Many calls of libcuda want that the thread has a context, whichever; HIP's threads begin with card 0's. */
static int enter(void)
{
    struct cuda_context *context = NULL;
    TRY(cuda.CtxGetCurrent(&context));
    if (context)
        return HIP_SUCCESS;
    int index = 0;
    pthread_mutex_lock(&lock);
    while (index < MOST_DEVICES && !contexts[index])
        index++; /* one that is held anyway */
    pthread_mutex_unlock(&lock);
    return set_device(index < MOST_DEVICES ? index : 0);
}

static int device_get_name(char *name, int length, int index)
{
    int device;
    TRY(cuda.DeviceGet(&device, index));
    TRY(cuda.DeviceGetName(name, length, device));
    size_t used = strnlen(name, (size_t)length);
    snprintf(name + used, (size_t)length - used, " (HIP on CUDA)");
    return HIP_SUCCESS;
}

/* In the system's spelling: libcuda writes capital letters. */
static int device_get_pci_bus_id(char *name, int length, int index)
{
    int device;
    TRY(cuda.DeviceGet(&device, index));
    TRY(cuda.DeviceGetPCIBusId(name, length, device));
    for (int i = 0; i < length && name[i]; i++)
        name[i] = (char)tolower((unsigned char)name[i]);
    return HIP_SUCCESS;
}

static int device_total_mem(size_t *bytes, int index)
{
    int device;
    TRY(cuda.DeviceGet(&device, index));
    return check(cuda.DeviceTotalMem(bytes, device));
}

/* All that the driver looks for in it: the name of the instruction set. */
static int get_device_properties(void *properties, int index)
{
    int device, major = 0, minor = 0;
    TRY(cuda.DeviceGet(&device, index));
    TRY(cuda.DeviceGetAttribute(&major, CUDA_COMPUTE_CAPABILITY_MAJOR, device));
    TRY(cuda.DeviceGetAttribute(&minor, CUDA_COMPUTE_CAPABILITY_MINOR, device));
    snprintf(properties, HIP_PROPERTIES_BYTES, "sm_%d%d", major, minor);
    return HIP_SUCCESS;
}

static int device_can_access_peer(int *can, int index, int peer_index)
{
    int device, peer;
    TRY(cuda.DeviceGet(&device, index));
    TRY(cuda.DeviceGet(&peer, peer_index));
    return check(cuda.DeviceCanAccessPeer(can, device, peer));
}

static int device_enable_peer_access(int peer, unsigned flags)
{
    struct cuda_context *context;
    TRY(enter());
    TRY(find_context(peer, &context));
    return check(cuda.CtxEnablePeerAccess(context, flags));
}

/* ---- Memory ---- */

static uint64_t number_of(const void *memory)
{
    return (uintptr_t)memory;
}

static int allocate(void **memory, size_t bytes)
{
    uint64_t number = 0;
    TRY(enter());
    TRY(cuda.MemAlloc(&number, bytes));
    *memory = (void *)(uintptr_t)number;
    return HIP_SUCCESS;
}

/* hipFree() waits for the card's work; of cuMemFree() nobody says so. */
static int release(void *memory)
{
    struct cuda_context *context = NULL;
    TRY(enter());
    TRY(cuda.PointerGetAttribute(&context, CUDA_POINTER_CONTEXT, number_of(memory)));
    TRY(cuda.CtxPushCurrent(context));
    int waited = cuda.CtxSynchronize(), freed = cuda.MemFree(number_of(memory));
    TRY(cuda.CtxPopCurrent(&context));
    TRY(waited);
    return check(freed);
}

static int host_allocate(void **memory, size_t bytes, unsigned flags)
{
    TRY(enter());
    return check(cuda.MemHostAlloc(memory, bytes, flags | CUDA_HOST_MEMORY_PORTABLE));
}

static int host_release(void *memory)
{
    TRY(enter());
    return check(cuda.MemFreeHost(memory));
}

static int host_register(void *memory, size_t bytes, unsigned flags)
{
    TRY(enter());
    return check(cuda.MemHostRegister(memory, bytes, flags | CUDA_HOST_MEMORY_PORTABLE));
}

static int host_unregister(void *memory)
{
    TRY(enter());
    return check(cuda.MemHostUnregister(memory));
}

static int memset_async(void *memory, int value, size_t bytes, struct hip_stream *stream)
{
    TRY(enter());
    return check(cuda.MemsetD8Async(number_of(memory), (unsigned char)value, bytes, stream));
}

static int memcpy_async(
    void *to, const void *from, size_t bytes, int kind, struct hip_stream *stream)
{
    TRY(enter());
    if (kind == HIP_HOST_TO_DEVICE)
        return check(cuda.MemcpyHtoDAsync(number_of(to), from, bytes, stream));
    if (kind == HIP_DEVICE_TO_HOST)
        return check(cuda.MemcpyDtoHAsync(to, number_of(from), bytes, stream));
    return check(cuda.MemcpyDtoDAsync(number_of(to), number_of(from), bytes, stream));
}

static int memcpy_peer_async(void *to, int to_device, const void *from, int from_device,
    size_t bytes, struct hip_stream *stream)
{
    struct cuda_context *to_context, *from_context;
    TRY(enter());
    TRY(find_context(to_device, &to_context));
    TRY(find_context(from_device, &from_context));
    return check(cuda.MemcpyPeerAsync(
        number_of(to), to_context, number_of(from), from_context, bytes, stream));
}

/* ---- Streams, events and kernels: the same calls, where the thread has a context ---- */

#define SAME(function, call, parameters, arguments)                                                \
    static int function parameters                                                                 \
    {                                                                                              \
        TRY(enter());                                                                              \
        return check(cuda.call arguments);                                                         \
    }

SAME(stream_create, StreamCreate, (struct hip_stream * *stream, unsigned flags), (stream, flags))
SAME(stream_destroy, StreamDestroy, (struct hip_stream * stream), (stream))
SAME(stream_synchronize, StreamSynchronize, (struct hip_stream * stream), (stream))
SAME(stream_wait_event, StreamWaitEvent,
    (struct hip_stream * stream, struct hip_event *event, unsigned flags), (stream, event, flags))
SAME(event_create, EventCreate, (struct hip_event * *event, unsigned flags), (event, flags))
SAME(event_destroy, EventDestroy, (struct hip_event * event), (event))
SAME(event_record, EventRecord, (struct hip_event * event, struct hip_stream *stream),
    (event, stream))
SAME(event_synchronize, EventSynchronize, (struct hip_event * event), (event))
SAME(module_load_data, ModuleLoadData, (struct hip_module * *module, const void *image),
    (module, image))
SAME(module_unload, ModuleUnload, (struct hip_module * module), (module))
SAME(module_get_function, ModuleGetFunction,
    (struct hip_function * *function, struct hip_module *module, const char *name),
    (function, module, name))
SAME(module_launch_kernel, LaunchKernel,
    (struct hip_function * function, unsigned groups_x, unsigned groups_y, unsigned groups_z,
        unsigned items_x, unsigned items_y, unsigned items_z, unsigned shared_bytes,
        struct hip_stream *stream, void **parameters, void **extra),
    (function, groups_x, groups_y, groups_z, items_x, items_y, items_z, shared_bytes, stream,
        parameters, extra))

/* ---- Opening ---- */

static const struct hip_maker nvidia = {
    .library = "libcuda",
    .name = "NVIDIA",
    .prefix = "sm_",
    .compiler = "clang-22",
    .advice = "does nvidia-smi see it, is the kernel module of the library's version, and may this "
              "user open /dev/nvidia*?",
};

static const struct hip_api api = {
    .maker = &nvidia,
    .Init = init,
    .GetDeviceCount = get_device_count,
    .SetDevice = set_device,
    .DeviceGetName = device_get_name,
    .DeviceGetPCIBusId = device_get_pci_bus_id,
    .DeviceTotalMem = device_total_mem,
    .DeviceCanAccessPeer = device_can_access_peer,
    .DeviceEnablePeerAccess = device_enable_peer_access,
    .Malloc = allocate,
    .Free = release,
    .HostMalloc = host_allocate,
    .HostFree = host_release,
    .HostRegister = host_register,
    .HostUnregister = host_unregister,
    .MemsetAsync = memset_async,
    .MemcpyAsync = memcpy_async,
    .MemcpyPeerAsync = memcpy_peer_async,
    .StreamCreateWithFlags = stream_create,
    .StreamDestroy = stream_destroy,
    .StreamSynchronize = stream_synchronize,
    .StreamWaitEvent = stream_wait_event,
    .EventCreateWithFlags = event_create,
    .EventDestroy = event_destroy,
    .EventRecord = event_record,
    .EventSynchronize = event_synchronize,
    .ModuleLoadData = module_load_data,
    .ModuleUnload = module_unload,
    .ModuleGetFunction = module_get_function,
    .ModuleLaunchKernel = module_launch_kernel,
    .GetErrorName = get_error_name,
    .GetDeviceProperties = get_device_properties,
};

/* NULL, or the name of the first call that is missing. */
static const char *find_calls(void *handle, struct cuda_calls *out)
{
#define CUDA_FIND(call, version, parameters)                                                       \
    if (!hip_symbol_find(handle, "cu" #call version, &out->call))                                  \
        return "cu" #call version;
    CUDA_CALLS(CUDA_FIND)
#undef CUDA_FIND
    return NULL;
}

enum ash_status hip_cuda_open(const char *name, void *handle, struct hip_api *out)
{
    struct cuda_calls calls;
    const char *missing = find_calls(handle, &calls);
    if (missing)
        return ash_fail(ASH_ERR_NOT_FOUND,
            "%s lacks %s: it is no libcuda of CUDA 9 or later; install NVIDIA's driver", name,
            missing);
    pthread_mutex_lock(&lock);
    if (!cuda.Init)
        cuda = calls;
    pthread_mutex_unlock(&lock);
    *out = api;
    return ASH_OK;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "drivers/drivers.h"
#include "drivers/hip/hip.h"
#include "drivers/hip/hip_internal.h"

#include <limits.h>
#include <stdio.h>

/* Codes after which nothing works on this device any more. */
static bool is_fatal(int code)
{
    return code == HIP_DEINITIALIZED || code == HIP_ECC_UNCORRECTABLE ||
           code == HIP_ILLEGAL_ADDRESS || code == HIP_LAUNCH_TIME_OUT || code == HIP_ASSERT ||
           code == HIP_LAUNCH_FAILURE || code == HIP_UNKNOWN || code == HIP_RUNTIME_OTHER;
}

enum ash_status hip_check(struct hip_device *device, int code, const char *what)
{
    if (code == HIP_SUCCESS)
        return ASH_OK;
    const char *name = device->api.GetErrorName(code);
    enum ash_device_trouble trouble = is_fatal(code) ? ASH_DEVICE_LOST : ASH_DEVICE_FAILED;
    if (code == HIP_OUT_OF_MEMORY || code == HIP_RUNTIME_MEMORY)
        trouble = ASH_DEVICE_NO_MEMORY;
    return ash_device_fail(&device->queue, trouble, name ? name : "an error without a name", what);
}

/* ---- The calls of device_queue.h ---- */

static enum ash_status make_current(struct ash_device_queue *queue)
{
    struct hip_device *device = (struct hip_device *)queue;
    return hip_check(
        device, device->api.SetDevice(queue->base.info.index), "be made the current device");
}

static enum ash_status hold(
    struct ash_device_queue *queue, size_t size_bytes, bool zeroed, void **out)
{
    struct hip_device *device = (struct hip_device *)queue;
    void *memory = NULL;
    ASH_TRY(hip_check(device, device->api.Malloc(&memory, size_bytes), "hold a buffer"));
    *out = memory;
    if (!zeroed)
        return ASH_OK;
    return hip_check(device,
        device->api.MemsetAsync(memory, 0, size_bytes, device->stream[DEVICE_STEPS]),
        "hold a buffer");
}

static void release(struct ash_device_queue *queue, void *memory)
{
    (void)((struct hip_device *)queue)->api.Free(memory);
}

static enum ash_status pin(
    struct ash_device_queue *queue, size_t size_bytes, struct ash_device_staging *out)
{
    struct hip_device *device = (struct hip_device *)queue;
    void *host = NULL;
    ASH_TRY(hip_check(device, device->api.HostMalloc(&host, size_bytes, HIP_HOST_MALLOC_DEFAULT),
        "reserve host memory for copies"));
    out->host = host;
    return ASH_OK;
}

static void unpin(struct ash_device_queue *queue, struct ash_device_staging *staging)
{
    (void)((struct hip_device *)queue)->api.HostFree(staging->host);
}

/* Entry points are called <program>_<entry>, the program without hyphens: drivers/device/meson.build. */
static void name_entry(const char *program, const char *entry, char *out, size_t capacity)
{
    snprintf(out, capacity, "%s_%s", program, entry);
    for (char *letter = out; *letter; letter++)
        if (*letter == '-')
            *letter = '_';
}

static enum ash_status find(struct ash_device_queue *queue, struct ash_device_loaded *loaded)
{
    struct hip_device *device = (struct hip_device *)queue;
    const char *const *entry = loaded->op->entries;
    for (int i = 0; entry[i]; i++) {
        struct hip_function *function = NULL;
        char name[96];
        name_entry(loaded->variant.name, entry[i], name, sizeof name);
        int code = device->api.ModuleGetFunction(&function, device->module, name);
        ASH_TRY(ash_fail_in(hip_check(device, code, "find an entry point"), "%s", name));
        loaded->entry[i] = function;
    }
    return ASH_OK;
}

static enum ash_status send(struct ash_device_queue *queue, const void *host, size_t size_bytes,
    void *memory, size_t offset_bytes)
{
    struct hip_device *device = (struct hip_device *)queue;
    return hip_check(device,
        device->api.MemcpyAsync((char *)memory + offset_bytes, host, size_bytes, HIP_HOST_TO_DEVICE,
            device->stream[DEVICE_STEPS]),
        "take a copy");
}

/* The library counts work-items, not groups, and in 32 bits. */
enum { MOST_GROUPS = UINT_MAX / DEVICE_GROUP };

static enum ash_status start(struct ash_device_queue *queue, struct ash_device_start *start)
{
    struct hip_device *device = (struct hip_device *)queue;
    void *parameter[DEVICE_INPUTS + 3];
    if (start->groups > (int64_t)MOST_GROUPS)
        return ash_fail(ASH_ERR_LIMIT,
            "%lld work-groups; a card starts at most %lld: take a smaller batch",
            (long long)start->groups, (long long)MOST_GROUPS);
    for (int i = 0; i < DEVICE_INPUTS; i++)
        parameter[i] = &start->in[i];
    parameter[DEVICE_INPUTS] = &start->out;
    parameter[DEVICE_INPUTS + 1] = &start->batch;
    parameter[DEVICE_INPUTS + 2] = &start->args;
    return hip_check(device,
        device->api.ModuleLaunchKernel(start->entry, (unsigned)start->groups, 1, 1, DEVICE_GROUP, 1,
            1, 0, device->stream[DEVICE_STEPS], parameter, NULL),
        "run a step");
}

static enum ash_status mark(struct ash_device_queue *queue, enum ash_device_lane lane, void **slot)
{
    struct hip_device *device = (struct hip_device *)queue;
    struct hip_event *event = *slot;
    if (!event)
        ASH_TRY(hip_check(device,
            device->api.EventCreateWithFlags(&event, HIP_EVENT_DISABLE_TIMING), "mark its work"));
    *slot = event;
    return hip_check(device, device->api.EventRecord(event, device->stream[lane]), "mark its work");
}

static enum ash_status await(struct ash_device_queue *queue, void *slot)
{
    struct hip_device *device = (struct hip_device *)queue;
    return hip_check(device, device->api.EventSynchronize(slot), "finish its work");
}

static enum ash_status follow(struct ash_device_queue *queue, enum ash_device_lane lane,
    struct ash_device_queue *other, void *slot)
{
    (void)other; /* streams take events of any card */
    struct hip_device *device = (struct hip_device *)queue;
    return hip_check(
        device, device->api.StreamWaitEvent(device->stream[lane], slot, 0), "wait for other work");
}

static void forget(struct ash_device_queue *queue, void *slot)
{
    (void)((struct hip_device *)queue)->api.EventDestroy(slot);
}

static enum ash_status finish(struct ash_device_queue *queue, enum ash_device_lane lane)
{
    struct hip_device *device = (struct hip_device *)queue;
    return hip_check(
        device, device->api.StreamSynchronize(device->stream[lane]), "finish its work");
}

const struct ash_device_calls hip_calls = {
    .select = make_current,
    .hold = hold,
    .release = release,
    .pin = pin,
    .unpin = unpin,
    .find = find,
    .send = send,
    .start = start,
    .mark = mark,
    .await = await,
    .follow = follow,
    .forget = forget,
    .finish = finish,
};

/* ---- The host's memory ---- */

/* No error is one to the caller; what has become of a card shows in its next work. */
bool hip_pin(struct ash_device *device, void *host, size_t size_bytes)
{
    struct hip_device *self = (struct hip_device *)device;
    return self->api.SetDevice(device->info.index) == HIP_SUCCESS &&
           self->api.HostRegister(host, size_bytes, HIP_HOST_REGISTER_PORTABLE) == HIP_SUCCESS;
}

void hip_unpin(struct ash_device *device, void *host)
{
    struct hip_device *self = (struct hip_device *)device;
    (void)self->api.SetDevice(device->info.index);
    (void)self->api.HostUnregister(host);
}

/* ---- Copies ---- */

static bool is_of_hip(struct ash_place place)
{
    return place.buffer->device && place.buffer->device->driver == &ash_driver_hip;
}

static char *memory_at(struct ash_place place)
{
    return (char *)(is_of_hip(place) ? ash_device_memory(place) : place.buffer->host) +
           place.offset_bytes;
}

/* Asks once for the way from card to card; without it the library goes through host memory. */
static void open_way(struct hip_device *device, int peer)
{
    int can = 0;
    if (peer >= 64 || device->peers >> peer & 1)
        return;
    device->peers |= (uint64_t)1 << peer;
    if (device->api.DeviceCanAccessPeer(&can, device->queue.base.info.index, peer) == HIP_SUCCESS &&
        can)
        (void)device->api.DeviceEnablePeerAccess(peer, 0);
}

static int copy_between(struct hip_device *device, enum ash_device_lane lane, struct ash_place to,
    struct ash_place from, size_t size_bytes)
{
    int to_device = to.buffer->device->info.index, from_device = from.buffer->device->info.index;
    open_way(device, to_device == device->queue.base.info.index ? from_device : to_device);
    return device->api.MemcpyPeerAsync(
        memory_at(to), to_device, memory_at(from), from_device, size_bytes, device->stream[lane]);
}

enum ash_status hip_copy(struct ash_device *device, struct ash_place to, struct ash_place from,
    size_t size_bytes, const struct ash_event *after, int after_count, struct ash_event *done)
{
    struct hip_device *self = (struct hip_device *)device;
    bool own_to = to.buffer->device == device, own_from = from.buffer->device == device;
    enum ash_device_lane lane = ash_device_copy_lane(device, to);
    int code;
    ASH_TRY(ash_device_begin(&self->queue, lane, after, after_count));
    if ((!own_to && !own_from) || (!is_of_hip(to) && !to.buffer->host) ||
        (!is_of_hip(from) && !from.buffer->host))
        return ash_fail(ASH_ERR_ARGUMENT,
            "a copy on hip:%d needs a buffer of its own and one of its own, of another card of this "
            "driver or in host memory",
            device->info.index);
    if (is_of_hip(to) && is_of_hip(from) && !(own_to && own_from))
        code = copy_between(self, lane, to, from, size_bytes);
    else
        code = self->api.MemcpyAsync(memory_at(to), memory_at(from), size_bytes,
            own_to && own_from ? HIP_DEVICE_TO_DEVICE
            : own_to           ? HIP_HOST_TO_DEVICE
                               : HIP_DEVICE_TO_HOST,
            self->stream[lane]);
    ASH_TRY(hip_check(self, code, "copy"));
    return ash_device_mark(&self->queue, lane, done);
}

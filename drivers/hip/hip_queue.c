/* SPDX-License-Identifier: Apache-2.0 */
#include "drivers/drivers.h"
#include "drivers/hip/hip.h"
#include "drivers/hip/hip_internal.h"

/* Codes after which nothing works on this device any more. */
static bool is_fatal(int code)
{
    return code == HIP_DEINITIALIZED || code == HIP_ECC_UNCORRECTABLE ||
           code == HIP_ILLEGAL_ADDRESS || code == HIP_LAUNCH_TIME_OUT || code == HIP_ASSERT ||
           code == HIP_LAUNCH_FAILURE || code == HIP_UNKNOWN || code == HIP_RUNTIME_OTHER;
}

enum ash_status hip_check(struct hip_device *device, int code, const char *what)
{
    const struct ash_device_info *info = &device->base.info;
    if (code == HIP_SUCCESS)
        return ASH_OK;
    const char *name = device->api.GetErrorName(code);
    name = name ? name : "an error without a name";
    if (code == HIP_OUT_OF_MEMORY || code == HIP_RUNTIME_MEMORY)
        return ash_fail(ASH_ERR_NO_MEMORY,
            "hip:%d (%s) has no memory left to %s (%s): take a smaller model, context or batch, "
            "or another device",
            info->index, info->name, what, name);
    device->lost = device->lost || is_fatal(code);
    return ash_fail(ASH_ERR_DEVICE, "hip:%d (%s) cannot %s: %s%s", info->index, info->name, what,
        name, device->lost ? "; the device is lost: see the system's log, then start again" : "");
}

/* ---- The timeline ---- */

/* What has been forgotten by the ring came before the oldest that it knows. */
static struct hip_event *find_event(const struct hip_device *device, uint64_t value)
{
    if (value + HIP_RING <= device->queued)
        value = device->queued - HIP_RING + 1;
    return device->ring[value % HIP_RING];
}

/* Makes the stream wait for work of another card; the host does not. What becomes of that work, the
 * next wait() asks. */
static enum ash_status follow(struct hip_device *device, struct ash_event event)
{
    const struct hip_device *other = (const struct hip_device *)event.device;
    if (event.value <= other->waited)
        return ASH_OK;
    if (other->lost || event.value > other->queued || device->foreign_count == HIP_RING)
        return ash_events_wait(&event, 1);
    device->foreign[device->foreign_count++] = event;
    return hip_check(device,
        device->api.StreamWaitEvent(device->stream, find_event(other, event.value), 0),
        "wait for another card");
}

enum ash_status hip_begin(struct hip_device *device, const struct ash_event *after, int after_count)
{
    if (device->lost)
        return ash_fail(ASH_ERR_DEVICE, "hip:%d (%s) was lost earlier: start again",
            device->base.info.index, device->base.info.name);
    ASH_TRY(hip_check(
        device, device->api.SetDevice(device->base.info.index), "be made the current device"));
    for (int i = 0; i < after_count; i++) {
        if (!after[i].device || after[i].device == &device->base) /* its own are in order anyway */
            continue;
        ASH_TRY(after[i].device->driver == &ash_driver_hip ? follow(device, after[i])
                                                           : ash_events_wait(&after[i], 1));
    }
    return ASH_OK;
}

enum ash_status hip_mark(struct hip_device *device, struct ash_event *done)
{
    struct hip_event *event = device->ring[(device->queued + 1) % HIP_RING];
    ASH_TRY(hip_check(device, device->api.EventRecord(event, device->stream), "mark its work"));
    *done = (struct ash_event){ &device->base, ++device->queued };
    return ASH_OK;
}

enum ash_status hip_wait(struct ash_device *device, struct ash_event event)
{
    struct hip_device *self = (struct hip_device *)device;
    if (event.value > self->queued)
        return ash_fail(ASH_ERR_ARGUMENT, "no work was queued under event %llu",
            (unsigned long long)event.value);
    if (event.value <= self->waited)
        return ASH_OK;
    struct hip_event *found = find_event(self, event.value);
    self->waited = event.value; /* also after an error, which is told once */
    ASH_TRY(hip_check(self, self->api.EventSynchronize(found), "finish its work"));
    int count = self->foreign_count;
    self->foreign_count = 0;
    return ash_events_wait(self->foreign, count); /* has happened: only its errors are new */
}

/* ---- Copies ---- */

static bool is_of_hip(struct ash_place place)
{
    return place.buffer->device && place.buffer->device->driver == &ash_driver_hip;
}

static char *memory_at(struct ash_place place)
{
    return (is_of_hip(place) ? ((const struct hip_buffer *)place.buffer)->memory
                             : (char *)place.buffer->host) +
           place.offset_bytes;
}

/* Asks once for the way from card to card; without it the library goes through host memory. */
static void open_way(struct hip_device *device, int peer)
{
    int can = 0;
    if (peer >= 64 || device->peers >> peer & 1)
        return;
    device->peers |= (uint64_t)1 << peer;
    if (device->api.DeviceCanAccessPeer(&can, device->base.info.index, peer) == HIP_SUCCESS && can)
        (void)device->api.DeviceEnablePeerAccess(peer, 0);
}

static int copy_between(
    struct hip_device *device, struct ash_place to, struct ash_place from, size_t size_bytes)
{
    int to_device = to.buffer->device->info.index, from_device = from.buffer->device->info.index;
    open_way(device, to_device == device->base.info.index ? from_device : to_device);
    return device->api.MemcpyPeerAsync(
        memory_at(to), to_device, memory_at(from), from_device, size_bytes, device->stream);
}

enum ash_status hip_copy(struct ash_device *device, struct ash_place to, struct ash_place from,
    size_t size_bytes, const struct ash_event *after, int after_count, struct ash_event *done)
{
    struct hip_device *self = (struct hip_device *)device;
    bool own_to = to.buffer->device == device, own_from = from.buffer->device == device;
    int code;
    ASH_TRY(hip_begin(self, after, after_count));
    if ((!own_to && !own_from) || (!is_of_hip(to) && !to.buffer->host) ||
        (!is_of_hip(from) && !from.buffer->host))
        return ash_fail(ASH_ERR_ARGUMENT,
            "a copy on hip:%d needs a buffer of its own and one of its own, of another card of this "
            "driver or in host memory",
            device->info.index);
    if (is_of_hip(to) && is_of_hip(from) && !(own_to && own_from))
        code = copy_between(self, to, from, size_bytes);
    else
        code = self->api.MemcpyAsync(memory_at(to), memory_at(from), size_bytes,
            own_to && own_from ? HIP_DEVICE_TO_DEVICE
            : own_to           ? HIP_HOST_TO_DEVICE
                               : HIP_DEVICE_TO_HOST,
            self->stream);
    ASH_TRY(hip_check(self, code, "copy"));
    return hip_mark(self, done);
}

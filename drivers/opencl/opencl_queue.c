/* SPDX-License-Identifier: Apache-2.0 */
#include "drivers/drivers.h"
#include "drivers/opencl/opencl_internal.h"

#include <assert.h>

/* Codes after which nothing works on this device any more; -9999 is NVIDIA's illegal access. */
static bool is_fatal(cl_int code)
{
    return code == CL_OUT_OF_RESOURCES || code == CL_DEVICE_NOT_AVAILABLE ||
           code == CL_INVALID_COMMAND_QUEUE || code == -9999 ||
           code == CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST;
}

enum ash_status opencl_check(struct opencl_device *device, cl_int code, const char *what)
{
    const struct ash_device_info *info = &device->base.info;
    if (code == CL_SUCCESS)
        return ASH_OK;
    if (code == CL_MEM_OBJECT_ALLOCATION_FAILURE || code == CL_OUT_OF_HOST_MEMORY ||
        code == CL_INVALID_BUFFER_SIZE)
        return ash_fail(ASH_ERR_NO_MEMORY,
            "opencl:%d (%s) has no memory left to %s (%s): take a smaller model, context or batch, "
            "or another device",
            info->index, info->name, what, opencl_error_name(code));
    device->lost = device->lost || is_fatal(code);
    return ash_fail(ASH_ERR_DEVICE, "opencl:%d (%s) cannot %s: %s%s", info->index, info->name, what,
        opencl_error_name(code),
        device->lost ? "; the device is lost: see the system's log, then start again" : "");
}

enum ash_status opencl_order(struct opencl_device *device)
{
    if (!device->unordered)
        return ASH_OK;
    ASH_TRY(opencl_check(device,
        device->api.EnqueueBarrierWithWaitList(device->queue, 0, NULL, NULL), "order its work"));
    device->unordered = false;
    return ASH_OK;
}

enum ash_status opencl_begin(
    struct opencl_device *device, const struct ash_event *after, int after_count)
{
    for (int i = 0; i < after_count; i++)
        if (after[i].device != &device->base) /* its own are in order anyway */
            ASH_TRY(ash_events_wait(&after[i], 1));
    if (device->lost)
        return ash_fail(ASH_ERR_DEVICE, "opencl:%d (%s) was lost earlier: start again",
            device->base.info.index, device->base.info.name);
    return opencl_order(device);
}

struct ash_event opencl_note(struct opencl_device *device, cl_event event)
{
    cl_event *slot = &device->ring[++device->queued % OPENCL_RING];
    if (*slot)
        device->api.ReleaseEvent(*slot);
    *slot = event;
    device->unordered = device->out_of_order;
    return (struct ash_event){ &device->base, device->queued };
}

/* What has been forgotten by the ring came before the oldest that it knows. */
static cl_event find_event(const struct opencl_device *device, uint64_t value)
{
    if (value + OPENCL_RING <= device->queued)
        value = device->queued - OPENCL_RING + 1;
    return device->ring[value % OPENCL_RING];
}

enum ash_status opencl_wait(struct ash_device *device, struct ash_event event)
{
    struct opencl_device *self = (struct opencl_device *)device;
    if (event.value > self->queued)
        return ash_fail(ASH_ERR_ARGUMENT, "no work was queued under event %llu",
            (unsigned long long)event.value);
    if (event.value <= self->waited)
        return ASH_OK;
    cl_event found = find_event(self, event.value);
    self->waited = event.value; /* also after an error, which is told once */
    return opencl_check(self, self->api.WaitForEvents(1, &found), "finish its work");
}

static cl_mem memory_of(const struct opencl_device *device, struct ash_place place)
{
    return place.buffer->device == &device->base
               ? ((const struct opencl_buffer *)place.buffer)->memory
               : NULL;
}

static char *host_at(struct ash_place place)
{
    return (char *)place.buffer->host + place.offset_bytes;
}

enum ash_status opencl_copy(struct ash_device *device, struct ash_place to, struct ash_place from,
    size_t size_bytes, const struct ash_event *after, int after_count, struct ash_event *done)
{
    struct opencl_device *self = (struct opencl_device *)device;
    const struct opencl_api *api = &self->api;
    cl_mem target = memory_of(self, to), source = memory_of(self, from);
    cl_event event;
    cl_int code;
    ASH_TRY(opencl_begin(self, after, after_count));
    if (target && source)
        code = api->EnqueueCopyBuffer(self->queue, source, target, from.offset_bytes,
            to.offset_bytes, size_bytes, 0, NULL, &event);
    else if (target && from.buffer->host)
        code = api->EnqueueWriteBuffer(self->queue, target, CL_FALSE, to.offset_bytes, size_bytes,
            host_at(from), 0, NULL, &event);
    else if (source && to.buffer->host)
        code = api->EnqueueReadBuffer(self->queue, source, CL_FALSE, from.offset_bytes, size_bytes,
            host_at(to), 0, NULL, &event);
    else
        return ash_fail(ASH_ERR_ARGUMENT,
            "a copy on opencl:%d needs a buffer of its own and one of its own or in host memory",
            device->info.index);
    ASH_TRY(opencl_check(self, code, "copy"));
    *done = opencl_note(self, event);
    return opencl_check(self, api->Flush(self->queue), "start a copy");
}

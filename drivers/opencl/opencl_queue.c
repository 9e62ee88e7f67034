/* SPDX-License-Identifier: Apache-2.0 */
#include "drivers/opencl/opencl_internal.h"

/* Codes after which nothing works on this device any more; -9999 is NVIDIA's illegal access. */
static bool is_fatal(cl_int code)
{
    return code == CL_OUT_OF_RESOURCES || code == CL_DEVICE_NOT_AVAILABLE ||
           code == CL_INVALID_COMMAND_QUEUE || code == -9999 ||
           code == CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST;
}

enum ash_status opencl_check(struct opencl_device *device, cl_int code, const char *what)
{
    if (code == CL_SUCCESS)
        return ASH_OK;
    enum ash_device_trouble trouble = is_fatal(code) ? ASH_DEVICE_LOST : ASH_DEVICE_FAILED;
    if (code == CL_MEM_OBJECT_ALLOCATION_FAILURE || code == CL_OUT_OF_HOST_MEMORY ||
        code == CL_INVALID_BUFFER_SIZE)
        trouble = ASH_DEVICE_NO_MEMORY;
    return ash_device_fail(&device->queue, trouble, opencl_error_name(code), what);
}

/* Notes that a command was queued which the next may not run beside. */
static enum ash_status queued(struct opencl_device *device, cl_int code, const char *what)
{
    device->unordered = device->out_of_order;
    return opencl_check(device, code, what);
}

/* ---- The calls of device_queue.h ---- */

static enum ash_status order(struct ash_device_queue *queue)
{
    struct opencl_device *device = (struct opencl_device *)queue;
    if (!device->unordered)
        return ASH_OK;
    ASH_TRY(opencl_check(device,
        device->api.EnqueueBarrierWithWaitList(device->commands[DEVICE_STEPS], 0, NULL, NULL),
        "order its work"));
    device->unordered = false;
    return ASH_OK;
}

static enum ash_status hold(
    struct ash_device_queue *queue, size_t size_bytes, bool zeroed, void **out)
{
    struct opencl_device *device = (struct opencl_device *)queue;
    static const unsigned char zero[4];
    size_t size = (size_bytes + 3) / 4 * 4;
    cl_int code;
    cl_mem memory = device->api.CreateBuffer(device->context, CL_MEM_READ_WRITE, size, NULL, &code);
    if (code == CL_OUT_OF_RESOURCES) /* here it means memory, not the device's end */
        code = CL_MEM_OBJECT_ALLOCATION_FAILURE;
    ASH_TRY(opencl_check(device, code, "hold a buffer"));
    *out = memory;
    code = zeroed ? device->api.EnqueueFillBuffer(device->commands[DEVICE_STEPS], memory, zero,
                        sizeof zero, 0, size, 0, NULL, NULL)
                  : device->api.EnqueueMigrateMemObjects(device->commands[DEVICE_STEPS], 1, &memory,
                        CL_MIGRATE_MEM_OBJECT_CONTENT_UNDEFINED, 0, NULL, NULL);
    return queued(device, code, "hold a buffer");
}

static void release(struct ash_device_queue *queue, void *memory)
{
    ((struct opencl_device *)queue)->api.ReleaseMemObject(memory);
}

static void unpin(struct ash_device_queue *queue, struct ash_device_staging *staging)
{
    struct opencl_device *device = (struct opencl_device *)queue;
    if (staging->host)
        (void)device->api.EnqueueUnmapMemObject(
            device->commands[DEVICE_STEPS], staging->memory, staging->host, 0, NULL, NULL);
    if (staging->memory)
        device->api.ReleaseMemObject(staging->memory);
    *staging = (struct ash_device_staging){ 0 };
}

static enum ash_status pin(
    struct ash_device_queue *queue, size_t size_bytes, struct ash_device_staging *out)
{
    struct opencl_device *device = (struct opencl_device *)queue;
    cl_int code;
    out->memory = device->api.CreateBuffer(
        device->context, CL_MEM_READ_ONLY | CL_MEM_ALLOC_HOST_PTR, size_bytes, NULL, &code);
    if (code == CL_SUCCESS)
        out->host = device->api.EnqueueMapBuffer(device->commands[DEVICE_STEPS], out->memory,
            CL_TRUE, CL_MAP_WRITE, 0, size_bytes, 0, NULL, NULL, &code);
    if (code != CL_SUCCESS)
        unpin(queue, out);
    return opencl_check(device, code, "reserve host memory for copies");
}

static enum ash_status find(struct ash_device_queue *queue, struct ash_device_loaded *loaded)
{
    struct opencl_device *device = (struct opencl_device *)queue;
    const char *const *entry = loaded->op->entries;
    cl_program program;
    ASH_TRY(opencl_program_get(device, loaded->op, &loaded->variant, &program));
    for (int i = 0; entry[i]; i++) {
        cl_int code;
        loaded->entry[i] = device->api.CreateKernel(program, entry[i], &code);
        ASH_TRY(ash_fail_in(opencl_check(device, code, "find an entry point"), "%s", entry[i]));
    }
    return ASH_OK;
}

static void drop(struct ash_device_queue *queue, struct ash_device_loaded *loaded)
{
    for (int i = 0; i < DEVICE_MOST_ENTRIES; i++)
        if (loaded->entry[i])
            ((struct opencl_device *)queue)->api.ReleaseKernel(loaded->entry[i]);
}

static enum ash_status send(struct ash_device_queue *queue, const void *host, size_t size_bytes,
    void *memory, size_t offset_bytes)
{
    struct opencl_device *device = (struct opencl_device *)queue;
    return queued(device,
        device->api.EnqueueWriteBuffer(device->commands[DEVICE_STEPS], memory, CL_FALSE,
            offset_bytes, size_bytes, host, 0, NULL, NULL),
        "take a copy");
}

static cl_int set_arguments(struct opencl_device *device, struct ash_device_start *start)
{
    cl_int code = CL_SUCCESS;
    void *const memory[] = { &start->out, &start->batch };
    for (cl_uint i = 0; i < DEVICE_INPUTS + 2 && code == CL_SUCCESS; i++)
        code = device->api.SetKernelArg(start->entry, i, sizeof(cl_mem),
            i < DEVICE_INPUTS ? &start->in[i] : memory[i - DEVICE_INPUTS]);
    if (code == CL_SUCCESS)
        code = device->api.SetKernelArg(
            start->entry, DEVICE_INPUTS + 2, sizeof start->args, &start->args);
    return code;
}

static enum ash_status start(struct ash_device_queue *queue, struct ash_device_start *start)
{
    struct opencl_device *device = (struct opencl_device *)queue;
    size_t group = DEVICE_GROUP, all = (size_t)start->groups * group;
    cl_int code = set_arguments(device, start);
    if (code == CL_SUCCESS)
        code = device->api.EnqueueNDRangeKernel(
            device->commands[DEVICE_STEPS], start->entry, 1, NULL, &all, &group, 0, NULL, NULL);
    return queued(device, code, "run a step");
}

static enum ash_status mark(struct ash_device_queue *queue, enum ash_device_lane lane, void **slot)
{
    struct opencl_device *device = (struct opencl_device *)queue;
    cl_event event;
    ASH_TRY(opencl_check(device,
        device->api.EnqueueMarkerWithWaitList(device->commands[lane], 0, NULL, &event),
        "mark its work"));
    if (*slot)
        device->api.ReleaseEvent(*slot);
    *slot = event;
    return opencl_check(device, device->api.Flush(device->commands[lane]), "start its work");
}

static enum ash_status await(struct ash_device_queue *queue, void *slot)
{
    struct opencl_device *device = (struct opencl_device *)queue;
    cl_event event = slot;
    return opencl_check(device, device->api.WaitForEvents(1, &event), "finish its work");
}

static enum ash_status follow(struct ash_device_queue *queue, enum ash_device_lane lane,
    struct ash_device_queue *other, void *slot)
{
    struct opencl_device *device = (struct opencl_device *)queue;
    cl_command_queue commands = device->commands[lane];
    cl_event event = slot;
    if (other == queue)
        return opencl_check(device,
            device->api.EnqueueBarrierWithWaitList(commands, 1, &event, NULL), "order its work");
    if (!device->follows || !opencl_relay_follow(device->relay, device->context, commands, event))
        (void)device->api.WaitForEvents(1, &event);
    return ASH_OK;
}

static void forget(struct ash_device_queue *queue, void *slot)
{
    ((struct opencl_device *)queue)->api.ReleaseEvent(slot);
}

static enum ash_status finish(struct ash_device_queue *queue, enum ash_device_lane lane)
{
    struct opencl_device *device = (struct opencl_device *)queue;
    return opencl_check(device, device->api.Finish(device->commands[lane]), "finish its work");
}

const struct ash_device_calls opencl_calls = {
    .hold = hold,
    .release = release,
    .pin = pin,
    .unpin = unpin,
    .find = find,
    .drop = drop,
    .send = send,
    .start = start,
    .order = order,
    .mark = mark,
    .await = await,
    .follow = follow,
    .forget = forget,
    .finish = finish,
};

/* ---- Copies ---- */

static cl_mem memory_of(const struct opencl_device *device, struct ash_place place)
{
    return place.buffer->device == &device->queue.base ? ash_device_memory(place) : NULL;
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
    enum ash_device_lane lane = ash_device_copy_lane(device, to);
    cl_command_queue commands = self->commands[lane];
    cl_int code;
    ASH_TRY(ash_device_begin(&self->queue, lane, after, after_count));
    if (target && source)
        code = api->EnqueueCopyBuffer(commands, source, target, from.offset_bytes, to.offset_bytes,
            size_bytes, 0, NULL, NULL);
    else if (target && from.buffer->host)
        code = api->EnqueueWriteBuffer(
            commands, target, CL_FALSE, to.offset_bytes, size_bytes, host_at(from), 0, NULL, NULL);
    else if (source && to.buffer->host)
        code = api->EnqueueReadBuffer(
            commands, source, CL_FALSE, from.offset_bytes, size_bytes, host_at(to), 0, NULL, NULL);
    else
        return ash_fail(ASH_ERR_ARGUMENT,
            "a copy on opencl:%d needs a buffer of its own and one of its own or in host memory",
            device->info.index);
    ASH_TRY(opencl_check(self, code, "copy"));
    return ash_device_mark(&self->queue, lane, done);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "drivers/opencl/opencl_internal.h"

#include <limits.h>

/* ---- The batch ---- */

static enum ash_status grow_batch(struct opencl_device *device, size_t size_bytes)
{
    cl_int code;
    if (device->batch)
        device->api.ReleaseMemObject(device->batch);
    device->batch_bytes = 0;
    device->batch = device->api.CreateBuffer(
        device->context, CL_MEM_READ_ONLY, size_bytes + size_bytes / 2, NULL, &code);
    if (code != CL_SUCCESS)
        device->batch = NULL;
    else
        device->batch_bytes = size_bytes + size_bytes / 2;
    return opencl_check(device, code, "hold a batch");
}

/* Queues the numbers of a batch on their way; grows what holds them, which is soon large enough. */
static enum ash_status send_batch(struct opencl_device *device, const struct ash_batch *batch)
{
    struct opencl_staging *staging = &device->batch_staging;
    size_t count;
    ASH_TRY(opencl_staging_get(device, staging, sizeof(int32_t)));
    ash_device_batch(batch, staging->host, staging->size_bytes / sizeof(int32_t), &count);
    if (count > INT_MAX)
        return ash_fail(
            ASH_ERR_LIMIT, "a batch of %zu numbers; a device counts to %d", count, INT_MAX);
    size_t size = count * sizeof(int32_t);
    if (size > staging->size_bytes) {
        ASH_TRY(opencl_staging_get(device, staging, size));
        ash_device_batch(batch, staging->host, staging->size_bytes / sizeof(int32_t), &count);
    }
    if (size > device->batch_bytes)
        ASH_TRY(grow_batch(device, size));
    ASH_TRY(opencl_order(device));
    ASH_TRY(opencl_check(device,
        device->api.EnqueueWriteBuffer(device->queue, device->batch, CL_FALSE, 0, size,
            staging->host, 0, NULL, &staging->busy),
        "take a batch"));
    device->unordered = device->out_of_order;
    return ASH_OK;
}

/* ---- One step ---- */

static cl_mem memory_at(struct ash_place place)
{
    return place.buffer ? ((const struct opencl_buffer *)place.buffer)->memory : NULL;
}

/* The memory of input i, and where in it. */
static cl_mem find_input(const struct ash_step *step, int i, long *at)
{
    const struct opencl_loaded *loaded = (const struct opencl_loaded *)step->loaded;
    *at = (long)step->in[i].offset_bytes;
    if (step->args.in[i].rank > 0)
        return memory_at(step->in[i]);
    return loaded->base.op->packed_input == i && i > 0 ? loaded->table : NULL;
}

static cl_int set_arguments(
    struct opencl_device *device, const struct ash_step *step, struct ash_device_call *call)
{
    cl_kernel kernel = ((const struct opencl_loaded *)step->loaded)->kernel[call->entry];
    cl_int code = CL_SUCCESS;
    for (int i = 0; i < DEVICE_INPUTS && code == CL_SUCCESS; i++) {
        cl_mem memory = find_input(step, i, &call->args.at[i]);
        code = device->api.SetKernelArg(kernel, (cl_uint)i, sizeof memory, &memory);
    }
    cl_mem out = memory_at(step->out);
    call->args.out_at = (long)step->out.offset_bytes;
    if (code == CL_SUCCESS)
        code = device->api.SetKernelArg(kernel, DEVICE_INPUTS, sizeof out, &out);
    if (code == CL_SUCCESS)
        code = device->api.SetKernelArg(
            kernel, DEVICE_INPUTS + 1, sizeof device->batch, &device->batch);
    if (code == CL_SUCCESS)
        code = device->api.SetKernelArg(kernel, DEVICE_INPUTS + 2, sizeof call->args, &call->args);
    return code;
}

/* Queues a step, unless the batch leaves it nothing to do. */
static enum ash_status start(
    struct opencl_device *device, const struct ash_step *step, const struct ash_batch *batch)
{
    const struct opencl_loaded *loaded = (const struct opencl_loaded *)step->loaded;
    struct ash_args args = step->args;
    struct ash_device_call call;
    ash_args_bind(&args, batch);
    loaded->base.op->bind(&args, &call);
    if (call.groups == 0)
        return ASH_OK;
    size_t group = DEVICE_GROUP, all = (size_t)call.groups * group;
    cl_int code = set_arguments(device, step, &call);
    if (code == CL_SUCCESS)
        code = device->api.EnqueueNDRangeKernel(
            device->queue, loaded->kernel[call.entry], 1, NULL, &all, &group, 0, NULL, NULL);
    device->unordered = device->out_of_order;
    return ash_fail_in(opencl_check(device, code, "run a step"), "%s", step->name);
}

/* A point on the timeline behind all that was queued. */
static enum ash_status mark(struct opencl_device *device, struct ash_event *done)
{
    cl_event event;
    ASH_TRY(opencl_check(device,
        device->api.EnqueueMarkerWithWaitList(device->queue, 0, NULL, &event), "mark its work"));
    *done = opencl_note(device, event);
    return opencl_check(device, device->api.Flush(device->queue), "start its work");
}

enum ash_status opencl_launch(struct ash_device *device, const struct ash_step *step,
    const struct ash_batch *batch, const struct ash_event *after, int after_count,
    struct ash_event *done)
{
    struct opencl_device *self = (struct opencl_device *)device;
    ASH_TRY(opencl_begin(self, after, after_count));
    if (step->op->needs_batch)
        ASH_TRY(send_batch(self, batch));
    ASH_TRY(opencl_order(self));
    ASH_TRY(start(self, step, batch));
    return mark(self, done);
}

/* ---- A whole run ---- */

/* With a trace each step is waited for: its span is its own time, and the run as a whole is slower. */
static enum ash_status start_traced(struct opencl_device *device, struct ash_program *program,
    int32_t index, const struct ash_batch *batch)
{
    const struct ash_step *step = &program->step[index];
    int64_t start_ns = ash_now_ns();
    ASH_TRY(start(device, step, batch));
    ASH_TRY(opencl_check(device, device->api.Finish(device->queue), "finish a step"));
    ash_device_trace(program, index, start_ns);
    return ASH_OK;
}

static enum ash_status start_all(
    struct opencl_device *device, struct ash_program *program, const struct ash_batch *batch)
{
    for (int32_t i = 0; i < program->steps; i++) {
        const struct ash_step *step = &program->step[i];
        if (i == 0 || step->phase != step[-1].phase)
            ASH_TRY(opencl_order(device));
        ASH_TRY(
            program->lane ? start_traced(device, program, i, batch) : start(device, step, batch));
    }
    return ASH_OK;
}

enum ash_status opencl_run(struct ash_device *device, struct ash_program *program,
    const struct ash_batch *batch, const struct ash_event *after, int after_count,
    struct ash_event *done)
{
    struct opencl_device *self = (struct opencl_device *)device;
    ASH_TRY(opencl_begin(self, after, after_count));
    if (program->needs_batch)
        ASH_TRY(send_batch(self, batch));
    ASH_TRY(start_all(self, program, batch));
    return mark(self, done);
}

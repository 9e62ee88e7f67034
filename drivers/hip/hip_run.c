/* SPDX-License-Identifier: Apache-2.0 */
#include "drivers/hip/hip_internal.h"

#include <limits.h>

/* The library counts work-items, not groups, and in 32 bits. */
enum { MOST_GROUPS = UINT_MAX / DEVICE_GROUP };

/* ---- The batch ---- */

static enum ash_status grow_batch(struct hip_device *device, size_t size_bytes)
{
    if (device->batch)
        (void)device->api.Free(device->batch); /* waits for whoever reads it */
    device->batch = NULL;
    device->batch_bytes = 0;
    size_t room = size_bytes + size_bytes / 2;
    ASH_TRY(hip_check(device, device->api.Malloc(&device->batch, room), "hold a batch"));
    device->batch_bytes = room;
    return ASH_OK;
}

/* Queues the numbers of a batch on their way; grows what holds them, which is soon large enough. */
static enum ash_status send_batch(struct hip_device *device, const struct ash_batch *batch)
{
    struct hip_staging *staging = &device->batch_staging;
    size_t count;
    ASH_TRY(hip_staging_get(device, staging, sizeof(int32_t)));
    ash_device_batch(batch, staging->host, staging->size_bytes / sizeof(int32_t), &count);
    if (count > INT_MAX)
        return ash_fail(
            ASH_ERR_LIMIT, "a batch of %zu numbers; a device counts to %d", count, INT_MAX);
    size_t size = count * sizeof(int32_t);
    if (size > staging->size_bytes) {
        ASH_TRY(hip_staging_get(device, staging, size));
        ash_device_batch(batch, staging->host, staging->size_bytes / sizeof(int32_t), &count);
    }
    if (size > device->batch_bytes)
        ASH_TRY(grow_batch(device, size));
    return hip_staging_send(device, staging, size, device->batch);
}

/* ---- One step ---- */

static void *memory_at(struct ash_place place)
{
    return place.buffer ? ((const struct hip_buffer *)place.buffer)->memory : NULL;
}

/* The memory of input i, and where in it. */
static void *find_input(const struct ash_step *step, int i, long *at)
{
    const struct hip_loaded *loaded = (const struct hip_loaded *)step->loaded;
    *at = (long)step->in[i].offset_bytes;
    if (step->args.in[i].rank > 0)
        return memory_at(step->in[i]);
    return loaded->base.op->packed_input == i && i > 0 ? loaded->table : NULL;
}

/* Starts an entry point with DEVICE_PARAMETERS of kernels/device.h. */
static int start_entry(
    struct hip_device *device, const struct ash_step *step, struct ash_device_call *call)
{
    const struct hip_loaded *loaded = (const struct hip_loaded *)step->loaded;
    void *in[DEVICE_INPUTS], *out = memory_at(step->out), *parameter[DEVICE_INPUTS + 3];
    for (int i = 0; i < DEVICE_INPUTS; i++) {
        in[i] = find_input(step, i, &call->args.at[i]);
        parameter[i] = &in[i];
    }
    call->args.out_at = (long)step->out.offset_bytes;
    parameter[DEVICE_INPUTS] = &out;
    parameter[DEVICE_INPUTS + 1] = &device->batch;
    parameter[DEVICE_INPUTS + 2] = &call->args;
    return device->api.ModuleLaunchKernel(loaded->entry[call->entry], (unsigned)call->groups, 1, 1,
        DEVICE_GROUP, 1, 1, 0, device->stream, parameter, NULL);
}

/* Queues a step, unless the batch leaves it nothing to do. */
static enum ash_status start(
    struct hip_device *device, const struct ash_step *step, const struct ash_batch *batch)
{
    const struct hip_loaded *loaded = (const struct hip_loaded *)step->loaded;
    struct ash_args args = step->args;
    struct ash_device_call call;
    ash_args_bind(&args, batch);
    loaded->base.op->bind(&args, &call);
    if (call.groups == 0)
        return ASH_OK;
    if (call.groups > (int64_t)MOST_GROUPS)
        return ash_fail(ASH_ERR_LIMIT,
            "%s: %lld work-groups; a card starts at most %lld: take a "
            "smaller batch",
            step->name, (long long)call.groups, (long long)MOST_GROUPS);
    return ash_fail_in(
        hip_check(device, start_entry(device, step, &call), "run a step"), "%s", step->name);
}

enum ash_status hip_launch(struct ash_device *device, const struct ash_step *step,
    const struct ash_batch *batch, const struct ash_event *after, int after_count,
    struct ash_event *done)
{
    struct hip_device *self = (struct hip_device *)device;
    ASH_TRY(hip_begin(self, after, after_count));
    if (step->op->needs_batch)
        ASH_TRY(send_batch(self, batch));
    ASH_TRY(start(self, step, batch));
    return hip_mark(self, done);
}

/* ---- A whole run ---- */

/* With a trace each step is waited for: its span is its own time, and the run as a whole is slower. */
static enum ash_status start_traced(struct hip_device *device, struct ash_program *program,
    int32_t index, const struct ash_batch *batch)
{
    int64_t start_ns = ash_now_ns();
    ASH_TRY(start(device, &program->step[index], batch));
    ASH_TRY(hip_check(device, device->api.StreamSynchronize(device->stream), "finish a step"));
    ash_device_trace(program, index, start_ns);
    return ASH_OK;
}

enum ash_status hip_run(struct ash_device *device, struct ash_program *program,
    const struct ash_batch *batch, const struct ash_event *after, int after_count,
    struct ash_event *done)
{
    struct hip_device *self = (struct hip_device *)device;
    ASH_TRY(hip_begin(self, after, after_count));
    if (program->needs_batch)
        ASH_TRY(send_batch(self, batch));
    for (int32_t i = 0; i < program->steps; i++)
        ASH_TRY(program->lane ? start_traced(self, program, i, batch)
                              : start(self, &program->step[i], batch));
    return hip_mark(self, done);
}

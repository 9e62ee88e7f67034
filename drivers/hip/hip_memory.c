/* SPDX-License-Identifier: Apache-2.0 */
#include "drivers/hip/hip_internal.h"
#include "runtime/memory.h"

enum { STAGING_BYTES = 4 << 20 }; /* twice: one is filled while the other is on its way */

static enum ash_status settle(
    struct hip_device *device, struct hip_buffer *buffer, enum ash_memory_use use)
{
    size_t size_bytes = buffer->base.size_bytes;
    void *memory = NULL;
    ASH_TRY(hip_begin(device, NULL, 0));
    ASH_TRY(hip_check(device, device->api.Malloc(&memory, size_bytes), "hold a buffer"));
    buffer->memory = memory;
    if (use != ASH_MEMORY_STATE)
        return ASH_OK;
    struct ash_event done;
    ASH_TRY(hip_check(
        device, device->api.MemsetAsync(memory, 0, size_bytes, device->stream), "hold a buffer"));
    ASH_TRY(hip_mark(device, &done));
    return hip_wait(&device->base, done);
}

enum ash_status hip_alloc(
    struct ash_device *device, size_t size_bytes, enum ash_memory_use use, struct ash_buffer **out)
{
    if (size_bytes > device->info.memory_bytes)
        return ash_fail_memory(size_bytes, "a buffer");
    struct hip_buffer *buffer = ash_alloc_zero(sizeof *buffer);
    if (!buffer)
        return ash_fail_memory(sizeof *buffer, "a buffer");
    buffer->base = (struct ash_buffer){ .device = device, .size_bytes = size_bytes };
    enum ash_status status = settle((struct hip_device *)device, buffer, use);
    if (status != ASH_OK) {
        hip_free(&buffer->base);
        return status;
    }
    *out = &buffer->base;
    return ASH_OK;
}

void hip_free(struct ash_buffer *buffer)
{
    if (!buffer)
        return;
    struct hip_buffer *self = (struct hip_buffer *)buffer;
    if (self->memory)
        (void)((struct hip_device *)buffer->device)->api.Free(self->memory);
    ash_free(buffer);
}

/* ---- Staging ---- */

void hip_staging_release(struct hip_device *device, struct hip_staging *staging)
{
    const struct hip_api *api = &device->api;
    if (staging->busy)
        (void)api->EventSynchronize(staging->done);
    if (staging->done)
        (void)api->EventDestroy(staging->done);
    if (staging->host)
        (void)api->HostFree(staging->host);
    *staging = (struct hip_staging){ 0 };
}

static enum ash_status grow(
    struct hip_device *device, struct hip_staging *staging, size_t size_bytes)
{
    const struct hip_api *api = &device->api;
    hip_staging_release(device, staging);
    int code = api->HostMalloc(&staging->host, size_bytes, HIP_HOST_MALLOC_DEFAULT);
    if (code == HIP_SUCCESS)
        code = api->EventCreateWithFlags(&staging->done, HIP_EVENT_DISABLE_TIMING);
    if (code == HIP_SUCCESS)
        staging->size_bytes = size_bytes;
    else
        hip_staging_release(device, staging);
    return hip_check(device, code, "reserve host memory for copies");
}

enum ash_status hip_staging_get(
    struct hip_device *device, struct hip_staging *staging, size_t size_bytes)
{
    if (staging->size_bytes < size_bytes)
        return grow(device, staging, size_bytes + size_bytes / 2);
    if (!staging->busy)
        return ASH_OK;
    staging->busy = false;
    return hip_check(device, device->api.EventSynchronize(staging->done), "finish a copy");
}

enum ash_status hip_staging_send(
    struct hip_device *device, struct hip_staging *staging, size_t size_bytes, void *to)
{
    ASH_TRY(hip_check(device,
        device->api.MemcpyAsync(to, staging->host, size_bytes, HIP_HOST_TO_DEVICE, device->stream),
        "copy"));
    staging->busy = true;
    return hip_check(device, device->api.EventRecord(staging->done, device->stream), "copy");
}

/* ---- Weights ---- */

static enum ash_status send(struct hip_device *device, struct ash_device_sending sending, char *to)
{
    struct ash_event done;
    ASH_TRY(hip_begin(device, NULL, 0));
    for (int i = 0; ash_device_send_next(&sending); i++) {
        struct hip_staging *staging = &device->staging[i % 2];
        ASH_TRY(hip_staging_get(device, staging, sending.run_bytes));
        ash_device_send_fill(&sending, staging->host);
        ASH_TRY(hip_staging_send(device, staging, sending.run_bytes, to + sending.at_bytes));
    }
    ASH_TRY(hip_mark(device, &done));
    return hip_wait(&device->base, done);
}

enum ash_status hip_upload(struct ash_device *device, const struct ash_loaded *loaded, int input,
    const struct ash_tensor *weight, struct ash_place to)
{
    return send((struct hip_device *)device,
        ash_device_send((const struct ash_device_loaded *)loaded, input, weight, STAGING_BYTES),
        ((const struct hip_buffer *)to.buffer)->memory + to.offset_bytes);
}

enum ash_status hip_table_make(struct hip_device *device, struct hip_loaded *loaded)
{
    struct ash_device_sending sending =
        ash_device_send(&loaded->base, loaded->base.op->packed_input, NULL, STAGING_BYTES);
    ASH_TRY(hip_begin(device, NULL, 0));
    ASH_TRY(
        hip_check(device, device->api.Malloc(&loaded->table, sending.total_bytes), "hold a table"));
    return send(device, sending, loaded->table);
}

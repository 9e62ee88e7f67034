/* SPDX-License-Identifier: Apache-2.0 */
#include "drivers/opencl/opencl_internal.h"
#include "runtime/memory.h"

enum { STAGING_BYTES = 4 << 20 }; /* twice: one is filled while the other is on its way */

/* Memory is the device's own from here on, so that a lack of it shows now and not in a step. */
static enum ash_status settle(
    struct opencl_device *device, cl_mem memory, size_t size_bytes, enum ash_memory_use use)
{
    static const unsigned char zero[4];
    cl_event event;
    ASH_TRY(opencl_order(device));
    cl_int code = use == ASH_MEMORY_STATE
                      ? device->api.EnqueueFillBuffer(device->queue, memory, zero, sizeof zero, 0,
                            (size_bytes + 3) / 4 * 4, 0, NULL, &event)
                      : device->api.EnqueueMigrateMemObjects(device->queue, 1, &memory,
                            CL_MIGRATE_MEM_OBJECT_CONTENT_UNDEFINED, 0, NULL, &event);
    ASH_TRY(opencl_check(device, code, "hold a buffer"));
    return opencl_wait(&device->base, opencl_note(device, event));
}

enum ash_status opencl_alloc(
    struct ash_device *device, size_t size_bytes, enum ash_memory_use use, struct ash_buffer **out)
{
    struct opencl_device *self = (struct opencl_device *)device;
    cl_int code = CL_SUCCESS;
    ASH_TRY(opencl_begin(self, NULL, 0));
    if (size_bytes > device->info.memory_bytes)
        return ash_fail_memory(size_bytes, "a buffer");
    struct opencl_buffer *buffer = ash_alloc_zero(sizeof *buffer);
    if (!buffer)
        return ash_fail_memory(sizeof *buffer, "a buffer");
    buffer->base = (struct ash_buffer){ .device = device, .size_bytes = size_bytes };
    buffer->memory = self->api.CreateBuffer(
        self->context, CL_MEM_READ_WRITE, (size_bytes + 3) / 4 * 4, NULL, &code);
    if (code == CL_OUT_OF_RESOURCES) /* here it means memory, not the device's end */
        code = CL_MEM_OBJECT_ALLOCATION_FAILURE;
    enum ash_status status = opencl_check(self, code, "hold a buffer");
    if (status == ASH_OK)
        status = settle(self, buffer->memory, size_bytes, use);
    if (status != ASH_OK) {
        opencl_free(&buffer->base);
        return status;
    }
    *out = &buffer->base;
    return ASH_OK;
}

void opencl_free(struct ash_buffer *buffer)
{
    if (!buffer)
        return;
    struct opencl_device *device = (struct opencl_device *)buffer->device;
    cl_mem memory = ((struct opencl_buffer *)buffer)->memory;
    if (memory)
        device->api.ReleaseMemObject(memory);
    ash_free(buffer);
}

/* ---- Staging ---- */

void opencl_staging_release(struct opencl_device *device, struct opencl_staging *staging)
{
    const struct opencl_api *api = &device->api;
    if (staging->busy) {
        (void)api->WaitForEvents(1, &staging->busy);
        api->ReleaseEvent(staging->busy);
    }
    if (staging->host)
        (void)api->EnqueueUnmapMemObject(
            device->queue, staging->memory, staging->host, 0, NULL, NULL);
    if (staging->memory)
        api->ReleaseMemObject(staging->memory);
    *staging = (struct opencl_staging){ 0 };
}

static enum ash_status grow(
    struct opencl_device *device, struct opencl_staging *staging, size_t size_bytes)
{
    const struct opencl_api *api = &device->api;
    cl_int code;
    opencl_staging_release(device, staging);
    staging->memory = api->CreateBuffer(
        device->context, CL_MEM_READ_ONLY | CL_MEM_ALLOC_HOST_PTR, size_bytes, NULL, &code);
    if (code == CL_SUCCESS)
        staging->host = api->EnqueueMapBuffer(device->queue, staging->memory, CL_TRUE, CL_MAP_WRITE,
            0, size_bytes, 0, NULL, NULL, &code);
    if (code == CL_SUCCESS)
        staging->size_bytes = size_bytes;
    else
        opencl_staging_release(device, staging);
    return opencl_check(device, code, "reserve host memory for copies");
}

enum ash_status opencl_staging_get(
    struct opencl_device *device, struct opencl_staging *staging, size_t size_bytes)
{
    if (staging->size_bytes < size_bytes)
        return grow(device, staging, size_bytes + size_bytes / 2);
    if (!staging->busy)
        return ASH_OK;
    cl_int code = device->api.WaitForEvents(1, &staging->busy);
    device->api.ReleaseEvent(staging->busy);
    staging->busy = NULL;
    return opencl_check(device, code, "finish a copy");
}

/* ---- Weights ---- */

/* The run at hand through one staging buffer. */
static enum ash_status send_run(struct opencl_device *device, struct opencl_staging *staging,
    const struct ash_device_sending *sending, cl_mem memory, size_t offset_bytes)
{
    ASH_TRY(opencl_staging_get(device, staging, sending->run_bytes));
    ash_device_send_fill(sending, staging->host);
    ASH_TRY(opencl_check(device,
        device->api.EnqueueWriteBuffer(device->queue, memory, CL_FALSE,
            offset_bytes + sending->at_bytes, sending->run_bytes, staging->host, 0, NULL,
            &staging->busy),
        "take a weight"));
    return opencl_check(device, device->api.Flush(device->queue), "take a weight");
}

static enum ash_status send_all(struct opencl_device *device, struct ash_device_sending sending,
    cl_mem memory, size_t offset_bytes)
{
    ASH_TRY(opencl_begin(device, NULL, 0));
    enum ash_status status = ASH_OK;
    for (int i = 0; status == ASH_OK && ash_device_send_next(&sending); i++)
        status = send_run(device, &device->staging[i % 2], &sending, memory, offset_bytes);
    enum ash_status finished =
        opencl_check(device, device->api.Finish(device->queue), "take a weight");
    return status == ASH_OK ? finished : status;
}

enum ash_status opencl_upload(struct ash_device *device, const struct ash_loaded *loaded, int input,
    const struct ash_tensor *weight, struct ash_place to)
{
    return send_all((struct opencl_device *)device,
        ash_device_send((const struct ash_device_loaded *)loaded, input, weight, STAGING_BYTES),
        ((const struct opencl_buffer *)to.buffer)->memory, to.offset_bytes);
}

enum ash_status opencl_table_make(struct opencl_device *device, struct opencl_loaded *loaded)
{
    cl_int code;
    struct ash_device_sending sending =
        ash_device_send(&loaded->base, loaded->base.op->packed_input, NULL, STAGING_BYTES);
    loaded->table = device->api.CreateBuffer(
        device->context, CL_MEM_READ_ONLY, sending.total_bytes, NULL, &code);
    ASH_TRY(opencl_check(device, code, "hold a table"));
    return send_all(device, sending, loaded->table, 0);
}

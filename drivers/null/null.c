/* SPDX-License-Identifier: Apache-2.0 */
#include "drivers/null/null.h"

#include "drivers/drivers.h"
#include "runtime/memory.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* What a driver adds to the base structs comes after them. */
struct null_device {
    struct ash_device base;
    uint64_t done; /* the timeline: the number of calls that have queued work, all of it done */
};

static enum ash_status null_probe(
    const struct ash_topology *topology, struct ash_device_info *out, int capacity, int *count)
{
    (void)topology;
    *count = 1;
    if (capacity < 1)
        return ASH_OK;
    *out = (struct ash_device_info){ .driver = &ash_driver_null,
        .memory_bytes = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE),
        .numa_node = -1,
        .host_memory = true,
        .usable = true };
    snprintf(out->name, sizeof out->name, "Reference (plain C, one thread)");
    return ASH_OK;
}

static enum ash_status null_open(
    const struct ash_device_info *info, const struct ash_config *config, struct ash_device **out)
{
    (void)config;
    struct null_device *device = ash_alloc_zero(sizeof *device);
    if (!device)
        return ash_fail_memory(sizeof *device, "a device");
    device->base = (struct ash_device){ .driver = &ash_driver_null, .info = *info };
    *out = &device->base;
    return ASH_OK;
}

static void null_close(struct ash_device *device)
{
    ash_free(device);
}

static enum ash_status null_alloc(
    struct ash_device *device, size_t size_bytes, enum ash_memory_use use, struct ash_buffer **out)
{
    (void)use; /* zeroed memory serves all of them */
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    struct ash_buffer *buffer = NULL;
    if (size_bytes <= device->info.memory_bytes)
        buffer = ash_alloc_zero(sizeof *buffer + 2 * (page - 1) + size_bytes);
    if (!buffer)
        return ash_fail_memory(size_bytes, "a buffer");
    uintptr_t after = (uintptr_t)(buffer + 1);
    *buffer = (struct ash_buffer){ .device = device,
        .size_bytes = size_bytes,
        .host = (char *)(buffer + 1) + (page - after % page) % page };
    *out = buffer;
    return ASH_OK;
}

static void null_free(struct ash_buffer *buffer)
{
    ash_free(buffer);
}

static enum ash_status null_load(struct ash_device *device, const struct ash_op *op,
    const struct ash_args *args, struct ash_loaded **out)
{
    (void)device;
    struct ash_tensor result;
    ASH_TRY(ash_op_infer(op, args, &result));
    if (result.rank && result.type != args->out.type)
        return ash_fail(ASH_ERR_UNSUPPORTED, "%s: the reference writes %s, not %s", op->name,
            ash_type_info(result.type)->name, ash_type_info(args->out.type)->name);
    struct ash_loaded *loaded = ash_alloc_zero(sizeof *loaded);
    if (!loaded)
        return ash_fail_memory(sizeof *loaded, "a kernel");
    *loaded = (struct ash_loaded){
        .kernel = "reference", .activation = args->in[0].type, .fallback = true
    };
    *out = loaded;
    return ASH_OK;
}

static void null_unload(struct ash_device *device, struct ash_loaded *loaded)
{
    (void)device;
    ash_free(loaded);
}

static char *host_at(struct ash_place place)
{
    return (char *)place.buffer->host + place.offset_bytes;
}

static enum ash_status null_upload(struct ash_device *device, const struct ash_loaded *loaded,
    int input, const struct ash_tensor *weight, struct ash_place to)
{
    (void)device, (void)loaded, (void)input;
    memcpy(host_at(to), weight->data, ash_tensor_bytes(weight));
    return ASH_OK;
}

/* Work is done by the time it would have been queued: its event has happened. */
static struct ash_event next_event(struct ash_device *device)
{
    struct null_device *self = (struct null_device *)device;
    return (struct ash_event){ device, ++self->done };
}

static enum ash_status null_launch(struct ash_device *device, const struct ash_step *step,
    const struct ash_batch *batch, const struct ash_event *after, int after_count,
    struct ash_event *done)
{
    ASH_TRY(ash_events_wait(after, after_count));
    struct ash_args args = step->args;
    ash_args_bind(&args, batch);
    if (ash_op_rows(step->op, &args) > 0)
        step->op->reference(&args);
    *done = next_event(device);
    return ASH_OK;
}

static enum ash_status null_copy(struct ash_device *device, struct ash_place to,
    struct ash_place from, size_t size_bytes, const struct ash_event *after, int after_count,
    struct ash_event *done)
{
    ASH_TRY(ash_events_wait(after, after_count));
    memmove(host_at(to), host_at(from), size_bytes);
    *done = next_event(device);
    return ASH_OK;
}

static enum ash_status null_wait(struct ash_device *device, struct ash_event event)
{
    const struct null_device *self = (const struct null_device *)device;
    if (event.value > self->done)
        return ash_fail(ASH_ERR_ARGUMENT, "no work was queued under event %llu",
            (unsigned long long)event.value);
    return ASH_OK;
}

const struct ash_driver ash_driver_null = {
    .name = "null",
    .probe = null_probe,
    .open = null_open,
    .close = null_close,
    .alloc = null_alloc,
    .free = null_free,
    .load = null_load,
    .unload = null_unload,
    .upload = null_upload,
    .launch = null_launch,
    .copy = null_copy,
    .wait = null_wait,
};

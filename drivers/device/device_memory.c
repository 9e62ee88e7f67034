/* SPDX-License-Identifier: Apache-2.0 */
#include "drivers/device/device_queue.h"
#include "runtime/memory.h"

enum { STAGING_BYTES = 4 << 20 }; /* twice: one is filled while the other is on its way */

/* ---- Buffers ---- */

void *ash_device_memory(struct ash_place place)
{
    return place.buffer ? ((const struct ash_device_buffer *)place.buffer)->memory : NULL;
}

/* Memory is the device's own from here on, so that a lack of it shows now and not in a step. */
static enum ash_status settle(
    struct ash_device_queue *queue, struct ash_device_buffer *buffer, enum ash_memory_use use)
{
    ASH_TRY(ash_device_begin(queue, DEVICE_STEPS, NULL, 0));
    ASH_TRY(queue->calls->hold(
        queue, buffer->base.size_bytes, use == ASH_MEMORY_STATE, &buffer->memory));
    return queue->calls->finish(queue, DEVICE_STEPS);
}

enum ash_status ash_device_alloc(
    struct ash_device *device, size_t size_bytes, enum ash_memory_use use, struct ash_buffer **out)
{
    if (size_bytes > device->info.memory_bytes)
        return ash_fail_memory(size_bytes, "a buffer");
    struct ash_device_buffer *buffer = ash_alloc_zero(sizeof *buffer);
    if (!buffer)
        return ash_fail_memory(sizeof *buffer, "a buffer");
    buffer->base = (struct ash_buffer){ .device = device, .size_bytes = size_bytes };
    enum ash_status status = settle((struct ash_device_queue *)device, buffer, use);
    if (status != ASH_OK) {
        ash_device_free(&buffer->base);
        return status;
    }
    *out = &buffer->base;
    return ASH_OK;
}

void ash_device_free(struct ash_buffer *buffer)
{
    if (!buffer)
        return;
    struct ash_device_queue *queue = (struct ash_device_queue *)buffer->device;
    void *memory = ((struct ash_device_buffer *)buffer)->memory;
    if (memory)
        queue->calls->release(queue, memory);
    ash_free(buffer);
}

/* ---- Staging ---- */

static enum ash_status settle_staging(
    struct ash_device_queue *queue, struct ash_device_staging *staging)
{
    struct ash_event busy = staging->busy;
    staging->busy = (struct ash_event){ 0 };
    return ash_device_wait(&queue->base, busy);
}

void ash_device_staging_release(struct ash_device_queue *queue, struct ash_device_staging *staging)
{
    (void)settle_staging(queue, staging);
    if (staging->host)
        queue->calls->unpin(queue, staging);
    *staging = (struct ash_device_staging){ 0 };
}

enum ash_status ash_device_staging_get(
    struct ash_device_queue *queue, struct ash_device_staging *staging, size_t size_bytes)
{
    if (staging->size_bytes >= size_bytes)
        return settle_staging(queue, staging);
    size_t room = size_bytes + size_bytes / 2;
    ash_device_staging_release(queue, staging);
    ASH_TRY(queue->calls->pin(queue, room, staging));
    staging->size_bytes = room;
    return ASH_OK;
}

enum ash_status ash_device_staging_send(struct ash_device_queue *queue,
    struct ash_device_staging *staging, size_t size_bytes, void *memory, size_t offset_bytes)
{
    ASH_TRY(queue->calls->send(queue, staging->host, size_bytes, memory, offset_bytes));
    return ash_device_mark(queue, DEVICE_STEPS, &staging->busy);
}

void ash_device_finish(struct ash_device_queue *queue)
{
    const struct ash_device_calls *calls = queue->calls;
    if (calls->select)
        (void)calls->select(queue);
    for (int lane = 0; lane < DEVICE_LANES; lane++)
        (void)calls->finish(queue, (enum ash_device_lane)lane);
    for (int i = 0; i < 2; i++)
        ash_device_staging_release(queue, &queue->staging[i]);
    ash_device_batches_release(queue);
    for (int i = 0; i < DEVICE_LANES * DEVICE_RING; i++) {
        void *slot = queue->lane[i / DEVICE_RING].ring[i % DEVICE_RING];
        if (slot)
            calls->forget(queue, slot);
    }
}

/* ---- Weights ---- */

/* Run after run, through one staging buffer and the other. */
static enum ash_status send_runs(struct ash_device_queue *queue, struct ash_device_sending *sending,
    void *memory, size_t offset_bytes)
{
    for (int i = 0; ash_device_send_next(sending); i++) {
        struct ash_device_staging *staging = &queue->staging[i % 2];
        ASH_TRY(ash_device_staging_get(queue, staging, sending->run_bytes));
        ash_device_send_fill(sending, staging->host);
        ASH_TRY(ash_device_staging_send(
            queue, staging, sending->run_bytes, memory, offset_bytes + sending->at_bytes));
    }
    return ASH_OK;
}

static enum ash_status send(struct ash_device_queue *queue, struct ash_device_sending sending,
    void *memory, size_t offset_bytes)
{
    ASH_TRY(ash_device_begin(queue, DEVICE_STEPS, NULL, 0));
    enum ash_status status = send_runs(queue, &sending, memory, offset_bytes);
    enum ash_status finished = queue->calls->finish(queue, DEVICE_STEPS);
    return status == ASH_OK ? finished : status;
}

enum ash_status ash_device_upload(struct ash_device *device, const struct ash_loaded *loaded,
    int input, const struct ash_tensor *weight, struct ash_place to)
{
    return send((struct ash_device_queue *)device,
        ash_device_send((const struct ash_device_loaded *)loaded, input, weight, STAGING_BYTES),
        ash_device_memory(to), to.offset_bytes);
}

/* ---- Kernels ---- */

/* Makes the packed input of a step that has none. */
static enum ash_status make_table(struct ash_device_queue *queue, struct ash_device_loaded *loaded)
{
    struct ash_device_sending sending =
        ash_device_send(loaded, loaded->op->packed_input, NULL, STAGING_BYTES);
    ASH_TRY(queue->calls->hold(queue, sending.total_bytes, false, &loaded->table));
    return send(queue, sending, loaded->table, 0);
}

static enum ash_status load(struct ash_device_queue *queue, const struct ash_op *op,
    const struct ash_args *args, struct ash_device_loaded *loaded)
{
    ASH_TRY(ash_device_loaded_init(op, args, queue->matrix, loaded));
    ASH_TRY(ash_device_begin(queue, DEVICE_STEPS, NULL, 0));
    ASH_TRY(queue->calls->find(queue, loaded));
    return ash_device_needs_table(loaded) ? make_table(queue, loaded) : ASH_OK;
}

enum ash_status ash_device_load(struct ash_device *device, const struct ash_op *op,
    const struct ash_args *args, struct ash_loaded **out)
{
    struct ash_device_loaded *loaded = ash_alloc_zero(sizeof *loaded);
    if (!loaded)
        return ash_fail_memory(sizeof *loaded, "a kernel");
    struct ash_device_queue *queue = (struct ash_device_queue *)device;
    enum ash_status status = load(queue, op, args, loaded);
    if (status != ASH_OK) {
        const bool cores = loaded->op == &ash_device_matrix;
        ash_device_unload(device, &loaded->base);
        if (status != ASH_ERR_DEVICE || !cores || queue->lost)
            return status;
        queue->matrix = 0; /* its compiler does not know them, after all */
        return ash_device_load(device, op, args, out);
    }
    *out = &loaded->base;
    return ASH_OK;
}

const char *ash_device_round_up(
    const struct ash_device *device, const struct ash_op *op, struct ash_args *args)
{
    const struct ash_device_queue *queue = (const struct ash_device_queue *)device;
    const struct ash_device_op *found = ash_device_op_of(op, args, queue->matrix);
    return found && found->round_up ? found->round_up(args) : NULL;
}

void ash_device_unload(struct ash_device *device, struct ash_loaded *loaded)
{
    struct ash_device_queue *queue = (struct ash_device_queue *)device;
    struct ash_device_loaded *self = (struct ash_device_loaded *)loaded;
    if (!self)
        return;
    if (queue->calls->drop)
        queue->calls->drop(queue, self);
    if (self->table)
        queue->calls->release(queue, self->table);
    ash_free(self);
}

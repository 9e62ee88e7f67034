/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/lazy_device.h"

#include "tests/support/double_device.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_QUEUED = 8192, MOST_AFTER = 4 };

/* A launch, or a copy where `step` is NULL. */
struct work {
    const struct ash_step *step;
    const struct ash_batch *batch;
    char *to;
    const char *from;
    size_t size_bytes;
    struct ash_event after[MOST_AFTER];
    int after_count;
};

/* In order. The n-th work (from 1) of queue q has the event value n * QUEUES + q. */
enum { STEPS, ARRIVALS, DEPARTURES, QUEUES };

struct queue {
    struct work work[MOST_QUEUED]; /* the n-th: work[(n - 1) % MOST_QUEUED] */
    uint64_t queued, done;
};

struct lazy_device {
    struct ash_device base;
    struct queue queue[QUEUES];
    enum lazy_copying copying;
    int64_t fail_in; /* calls until one fails; -1 = never */
    enum ash_status fail_with;
    bool lost;
    int64_t copies;
};

static struct lazy_device *of(const struct ash_device *device)
{
    return (struct lazy_device *)(uintptr_t)device;
}

static enum ash_status fail(const struct lazy_device *self)
{
    return ash_fail(self->fail_with, "lazy:%d was told to fail", self->base.info.index);
}

/* Every call that can fail begins with this. */
static enum ash_status begin(struct lazy_device *self)
{
    if (self->lost)
        return fail(self);
    if (self->fail_in < 0 || self->fail_in-- > 0)
        return ASH_OK;
    self->lost = self->fail_with == ASH_ERR_DEVICE;
    return fail(self);
}

static enum ash_status lazy_alloc(
    struct ash_device *device, size_t size_bytes, enum ash_memory_use use, struct ash_buffer **out)
{
    (void)use;
    ASH_TRY(begin(of(device)));
    if (size_bytes > device->info.memory_bytes)
        return ash_fail(
            ASH_ERR_NO_MEMORY, "lazy:%d has no %zu bytes", device->info.index, size_bytes);
    *out = double_alloc(device, size_bytes, false);
    return ASH_OK;
}

static enum ash_status lazy_load(struct ash_device *device, const struct ash_op *op,
    const struct ash_args *args, struct ash_loaded **out)
{
    ASH_TRY(begin(of(device)));
    return double_load(device, op, args, out);
}

static enum ash_status lazy_upload(struct ash_device *device, const struct ash_loaded *loaded,
    int input, const struct ash_tensor *weight, struct ash_place to)
{
    (void)loaded, (void)input;
    ASH_TRY(begin(of(device)));
    memcpy(double_at(to), weight->data, ash_tensor_bytes(weight));
    return ASH_OK;
}

/* Runs it, or drops it where what it waits for has failed. */
static enum ash_status run_work(const struct work *work)
{
    for (int i = 0; i < work->after_count; i++)
        if (work->after[i].device)
            ASH_TRY(work->after[i].device->driver->wait(work->after[i].device, work->after[i]));
    if (work->step)
        (void)double_run(work->step, work->batch);
    else
        memmove(work->to, work->from, work->size_bytes);
    return ASH_OK;
}

/* Nothing up to the event is left in the queue, also after an error: its memory may go then. */
static enum ash_status lazy_wait(struct ash_device *device, struct ash_event event)
{
    struct lazy_device *self = of(device);
    struct queue *queue = &self->queue[event.value % QUEUES];
    enum ash_status status = ASH_OK;
    if (event.value / QUEUES > queue->queued)
        return ash_fail(ASH_ERR_ARGUMENT, "no work was queued under this event");
    if (self->lost)
        return fail(self);
    while (queue->done < event.value / QUEUES) {
        enum ash_status ran = run_work(&queue->work[queue->done++ % MOST_QUEUED]);
        status = status == ASH_OK ? ran : status;
    }
    return status;
}

static enum ash_status add(struct ash_device *device, int index, struct work work,
    const struct ash_event *after, int after_count, struct ash_event *done)
{
    struct lazy_device *self = of(device);
    struct queue *queue = &self->queue[index];
    ASH_TRY(begin(self));
    assert(after_count <= MOST_AFTER);
    assert(queue->queued - queue->done < MOST_QUEUED);
    memcpy(work.after, after, (size_t)after_count * sizeof *after);
    work.after_count = after_count;
    queue->work[queue->queued++ % MOST_QUEUED] = work;
    *done = (struct ash_event){ device, queue->queued * QUEUES + (uint64_t)index };
    return ASH_OK;
}

static enum ash_status lazy_launch(struct ash_device *device, const struct ash_step *step,
    const struct ash_batch *batch, const struct ash_event *after, int after_count,
    struct ash_event *done)
{
    return add(
        device, STEPS, (struct work){ .step = step, .batch = batch }, after, after_count, done);
}

static enum ash_status lazy_copy(struct ash_device *device, struct ash_place to,
    struct ash_place from, size_t size_bytes, const struct ash_event *after, int after_count,
    struct ash_event *done)
{
    struct lazy_device *self = of(device);
    assert(to.buffer->device == device || to.buffer->host);
    assert(from.buffer->device == device || from.buffer->host);
    self->copies++;
    struct work work = { .to = double_at(to), .from = double_at(from), .size_bytes = size_bytes };
    int index = to.buffer->device == device ? ARRIVALS : DEPARTURES;
    if (self->copying == LAZY_COPIES_IN_ORDER)
        index = STEPS;
    ASH_TRY(add(device, index, work, after, after_count, done));
    return self->copying == LAZY_COPIES_EARLY ? lazy_wait(device, *done) : ASH_OK;
}

static void lazy_close(struct ash_device *device)
{
    free(device);
}

static const struct ash_driver lazy_driver = {
    .name = "lazy",
    .close = lazy_close,
    .alloc = lazy_alloc,
    .free = double_free,
    .load = lazy_load,
    .unload = double_unload,
    .upload = lazy_upload,
    .launch = lazy_launch,
    .copy = lazy_copy,
    .wait = lazy_wait,
};

struct ash_device *lazy_open(int index, uint64_t memory_bytes)
{
    struct lazy_device *self = calloc(1, sizeof *self);
    assert(self);
    self->base = (struct ash_device){ .driver = &lazy_driver,
        .info = { .driver = &lazy_driver,
            .index = index,
            .memory_bytes = memory_bytes,
            .numa_node = -1,
            .usable = true } };
    snprintf(self->base.info.name, sizeof self->base.info.name, "Lazy");
    self->fail_in = -1;
    return &self->base;
}

void lazy_fail(struct ash_device *device, int64_t nth, enum ash_status status)
{
    of(device)->fail_in = nth;
    of(device)->fail_with = status;
}

void lazy_set_copying(struct ash_device *device, enum lazy_copying copying)
{
    of(device)->copying = copying;
}

int64_t lazy_copies(const struct ash_device *device)
{
    return of(device)->copies;
}

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "drivers/device/device_loaded.h"
#include "drivers/device/device_program.h"

/*
 * A device that runs the portable kernels as three queues of work, each in order: steps, and beside them copies to
 * it and from it. A driver (opencl, hip) gives the calls below; what is made of them here is the same for all: memory,
 * weights on their way, batches, steps, the timelines of events, and what became of a device that failed.
 *
 * Memory, entry points and points of the queue go by the driver's own names: a cl_mem, an address of the
 * card, a cl_event.
 */
struct ash_device_queue;

/* A timeline of a device. What prepares a device and sends weights and batches is among the steps; a copy within it is
 * an arrival. */
enum ash_device_lane { DEVICE_STEPS, DEVICE_ARRIVALS, DEVICE_DEPARTURES, DEVICE_LANES };

/* Host memory that the device reads fast. */
struct ash_device_staging {
    void *host;
    void *memory; /* the driver's own name for it; NULL = none */
    size_t size_bytes;
    struct ash_event busy; /* behind the last that reads it */
};

/* One start of an entry point, with DEVICE_PARAMETERS of kernels/device.h. */
struct ash_device_start {
    void *entry;
    int64_t groups; /* of DEVICE_GROUP items */
    void *in[DEVICE_INPUTS], *out, *batch;
    struct ash_device_args args;
};

struct ash_device_calls {
    /* Optional: makes it the thread's current device. */
    enum ash_status (*select)(struct ash_device_queue *queue);

    /* Memory, in zeros if asked; the device's own for sure once finish() has succeeded. */
    enum ash_status (*hold)(
        struct ash_device_queue *queue, size_t size_bytes, bool zeroed, void **out);
    void (*release)(struct ash_device_queue *queue, void *memory);
    /* Fills host and memory of *out, which is empty; after a failure it is empty again. */
    enum ash_status (*pin)(
        struct ash_device_queue *queue, size_t size_bytes, struct ash_device_staging *out);
    void (*unpin)(struct ash_device_queue *queue, struct ash_device_staging *staging);

    /* The entry points of loaded->op, by its variant, into loaded->entry[]; drop() (optional) lets go of
     * those that are there. */
    enum ash_status (*find)(struct ash_device_queue *queue, struct ash_device_loaded *loaded);
    void (*drop)(struct ash_device_queue *queue, struct ash_device_loaded *loaded);

    /* Queue steps: from pinned memory to `offset_bytes` in `memory`; a start of an entry point. */
    enum ash_status (*send)(struct ash_device_queue *queue, const void *host, size_t size_bytes,
        void *memory, size_t offset_bytes);
    enum ash_status (*start)(struct ash_device_queue *queue, struct ash_device_start *start);
    /* Optional: steps queued from here on wait for all before. NULL = they do anyway. */
    enum ash_status (*order)(struct ash_device_queue *queue);

    /* Has *slot (NULL, or an older point, which it may take over) happen when all that was queued on the
     * lane has, and work begin. */
    enum ash_status (*mark)(struct ash_device_queue *queue, enum ash_device_lane lane, void **slot);
    enum ash_status (*await)(struct ash_device_queue *queue, void *slot);
    /* What is queued on the lane from here on waits for a point of `other`: the queue's own other lane, or
     * another device of this driver. Where the host waits instead, errors are left to await(). */
    enum ash_status (*follow)(struct ash_device_queue *queue, enum ash_device_lane lane,
        struct ash_device_queue *other, void *slot);
    void (*forget)(struct ash_device_queue *queue, void *slot);
    /* Waits for all that was queued on the lane. */
    enum ash_status (*finish)(struct ash_device_queue *queue, enum ash_device_lane lane);
};

enum { DEVICE_RING = 64 };

struct ash_device_timeline {
    uint64_t queued;         /* how many points it has */
    uint64_t waited;         /* of those, what has happened for sure */
    void *ring[DEVICE_RING]; /* the last points, by number */
    /* Of other timelines, the last event of each that this one waits for by itself, since the last wait. */
    struct ash_event foreign[DEVICE_RING];
    int foreign_count;
};

/* The numbers of a batch (device_batch.c). */
struct ash_device_numbers {
    int32_t *item; /* owned */
    size_t count, capacity;
};

enum { DEVICE_BATCHES = 8 };

struct ash_device_held {
    struct ash_device_numbers numbers; /* as the device has them; count 0 = nothing */
    struct ash_device_staging staging;
    void *memory;
    size_t size_bytes;
    uint64_t wanted; /* when last */
};

/* A device in use. Drivers put this first in a struct of their own, and fill base, calls and
 * matrix. */
struct ash_device_queue {
    struct ash_device base;
    const struct ash_device_calls *calls;
    int matrix; /* MATRIX_*: the matrix cores that prompts take; 0 = none */
    bool lost;
    struct ash_device_timeline lane[DEVICE_LANES];
    struct ash_device_staging staging[2];
    /* Batches whose numbers the device has, which of their memories the steps at hand read, and how often one was wanted;
     * `numbers` are being compared. */
    struct ash_device_held held[DEVICE_BATCHES];
    void *batch;
    uint64_t wanted;
    struct ash_device_numbers numbers;
};

struct ash_device_buffer {
    struct ash_buffer base;
    void *memory;
};

/* What a call that failed means. */
enum ash_device_trouble {
    ASH_DEVICE_NO_MEMORY,
    ASH_DEVICE_FAILED,
    ASH_DEVICE_LOST, /* nothing works on it any more */
};

/* Says so with what to do, and notes a lost device. `code` names the error; `what` completes "cannot ...". */
enum ash_status ash_device_fail(struct ash_device_queue *queue, enum ash_device_trouble trouble,
    const char *code, const char *what);

/* That of a copy which `device` makes. */
enum ash_device_lane ash_device_copy_lane(const struct ash_device *device, struct ash_place to);
/* Before work is queued on a lane: whether the device is lost, and `after`. */
enum ash_status ash_device_begin(struct ash_device_queue *queue, enum ash_device_lane lane,
    const struct ash_event *after, int after_count);
/* Steps queued from here on wait for all before. */
enum ash_status ash_device_order(struct ash_device_queue *queue);
/* *done = a point behind all that was queued on the lane. */
enum ash_status ash_device_mark(
    struct ash_device_queue *queue, enum ash_device_lane lane, struct ash_event *done);

/* Before close(): waits for the work, and lets go of all that the queue holds. */
void ash_device_finish(struct ash_device_queue *queue);

/* At least `size_bytes` that nobody reads any more; then sends the first `size_bytes` of it. */
enum ash_status ash_device_staging_get(
    struct ash_device_queue *queue, struct ash_device_staging *staging, size_t size_bytes);
enum ash_status ash_device_staging_send(struct ash_device_queue *queue,
    struct ash_device_staging *staging, size_t size_bytes, void *memory, size_t offset_bytes);

void ash_device_staging_release(struct ash_device_queue *queue, struct ash_device_staging *staging);

/* device_batch.c: steps queued from here on read the numbers of `batch`, which are sent if the device has not got
 * them; and the end of what that holds. */
enum ash_status ash_device_batch_send(
    struct ash_device_queue *queue, const struct ash_batch *batch);
void ash_device_batches_release(struct ash_device_queue *queue);

/* The driver's name of the memory; NULL where there is none. */
void *ash_device_memory(struct ash_place place);

/* ---- Functions of struct ash_driver ---- */

enum ash_status ash_device_alloc(
    struct ash_device *device, size_t size_bytes, enum ash_memory_use use, struct ash_buffer **out);
void ash_device_free(struct ash_buffer *buffer);
enum ash_status ash_device_load(struct ash_device *device, const struct ash_op *op,
    const struct ash_args *args, struct ash_loaded **out);
void ash_device_unload(struct ash_device *device, struct ash_loaded *loaded);
const char *ash_device_round_up(
    const struct ash_device *device, const struct ash_op *op, struct ash_args *args);
enum ash_status ash_device_upload(struct ash_device *device, const struct ash_loaded *loaded,
    int input, const struct ash_tensor *weight, struct ash_place to);
enum ash_status ash_device_launch(struct ash_device *device, const struct ash_step *step,
    const struct ash_batch *batch, const struct ash_event *after, int after_count,
    struct ash_event *done);
enum ash_status ash_device_run(struct ash_device *device, struct ash_program *program,
    const struct ash_batch *batch, const struct ash_event *after, int after_count,
    struct ash_event *done);
enum ash_status ash_device_wait(struct ash_device *device, struct ash_event event);

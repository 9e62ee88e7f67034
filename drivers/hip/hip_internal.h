/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "drivers/device/device_loaded.h"
#include "drivers/device/device_program.h"
#include "drivers/hip/hip_api.h"
#include "runtime/driver.h"

#include <stdbool.h>

/* Host memory that the device reads by itself. */
struct hip_staging {
    void *host;
    size_t size_bytes;
    struct hip_event *done; /* the copy that reads it */
    bool busy;              /* that copy may not have happened */
};

enum { HIP_RING = 64, HIP_MOST_ENTRIES = 4, HIP_MOST_DEVICES = 32 };

struct hip_device {
    struct ash_device base;
    struct hip_api api;
    struct hip_stream *stream; /* in order */
    struct hip_module *module; /* every kernel there is */
    bool lost;
    uint64_t queued;                    /* the timeline */
    uint64_t waited;                    /* of that, what has happened for sure */
    struct hip_event *ring[HIP_RING];   /* of the last ones, by value */
    struct ash_event foreign[HIP_RING]; /* what the stream waits for of other devices, by arrival */
    int foreign_count;                  /* since the last wait */
    uint64_t peers;                     /* bit i: device i's memory was asked for */
    struct hip_staging staging[2], batch_staging;
    void *batch;
    size_t batch_bytes;
};

struct hip_buffer {
    struct ash_buffer base;
    char *memory;
};

struct hip_loaded {
    struct ash_device_loaded base;
    struct hip_function *entry[HIP_MOST_ENTRIES];
    void *table; /* the packed input, where the step has none */
};

/* hip_probe.c: what a device is; *out is usable or says why not. `arch` as hip_arch.h has it, or "". */
void hip_describe(
    const struct hip_api *api, int index, struct ash_device_info *out, char arch[static 16]);
enum ash_status hip_probe(
    const struct ash_topology *topology, struct ash_device_info *out, int capacity, int *count);

/* hip_queue.c. ASH_ERR_NO_MEMORY or ASH_ERR_DEVICE with what to do, by the code of a call that failed;
 * notes a lost device. `what` completes "cannot ...". */
enum ash_status hip_check(struct hip_device *device, int code, const char *what);
/* Before work is queued: `after` of other devices, and whether this one is lost. Makes it the thread's
 * current one. */
enum ash_status hip_begin(
    struct hip_device *device, const struct ash_event *after, int after_count);
/* A point on the timeline behind all that was queued. */
enum ash_status hip_mark(struct hip_device *device, struct ash_event *done);
enum ash_status hip_wait(struct ash_device *device, struct ash_event event);
enum ash_status hip_copy(struct ash_device *device, struct ash_place to, struct ash_place from,
    size_t size_bytes, const struct ash_event *after, int after_count, struct ash_event *done);

/* hip_memory.c */
enum ash_status hip_alloc(
    struct ash_device *device, size_t size_bytes, enum ash_memory_use use, struct ash_buffer **out);
void hip_free(struct ash_buffer *buffer);
enum ash_status hip_upload(struct ash_device *device, const struct ash_loaded *loaded, int input,
    const struct ash_tensor *weight, struct ash_place to);
/* Makes the packed input of a step that has none. */
enum ash_status hip_table_make(struct hip_device *device, struct hip_loaded *loaded);
/* At least `size_bytes`, and nobody reads it any more. */
enum ash_status hip_staging_get(
    struct hip_device *device, struct hip_staging *staging, size_t size_bytes);
/* Queues the first `size_bytes` of it on their way to `to`. */
enum ash_status hip_staging_send(
    struct hip_device *device, struct hip_staging *staging, size_t size_bytes, void *to);
void hip_staging_release(struct hip_device *device, struct hip_staging *staging);

/* hip_run.c */
enum ash_status hip_launch(struct ash_device *device, const struct ash_step *step,
    const struct ash_batch *batch, const struct ash_event *after, int after_count,
    struct ash_event *done);
enum ash_status hip_run(struct ash_device *device, struct ash_program *program,
    const struct ash_batch *batch, const struct ash_event *after, int after_count,
    struct ash_event *done);

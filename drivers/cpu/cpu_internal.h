/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "drivers/cpu/ranking.h"
#include "runtime/driver.h"
#include "runtime/thread.h"
#include "runtime/trace.h"

struct cpu_device {
    struct ash_device base;
    struct ash_team *team;
    struct ash_ranking *ranking; /* NULL = kernels as they are listed */
    uint64_t done;               /* the timeline */
};

struct cpu_loaded {
    struct ash_loaded base;
    const struct ash_kernel *kernel; /* NULL = only the reference can run it */
};

enum { CPU_SHAPES_BYTES = 96 }; /* of a step's text in a trace */

/* One step, bound to the batch at hand. */
struct cpu_task {
    const struct ash_step *step;
    const struct ash_kernel *kernel;
    struct ash_args args;
    int64_t rows;
    int64_t chunk_rows;
    int64_t first_chunk; /* chunks are numbered across the steps of a phase */
    const char *shapes;  /* for the trace */
};

/* Tasks [first, end) of a program, and how they were cut for `tokens` and `outputs`. */
struct cpu_phase {
    int32_t first, end;
    int32_t tokens, outputs; /* what the tasks are bound to; -1 = nothing yet */
    bool needs_batch;        /* some step's cost hangs on the sequences, not on T and O alone */
    bool whole;              /* too little to share: one chunk runs every step */
    int64_t chunks;
};

struct ash_program {
    struct ash_batch batch; /* the one being run; every task's args point here */
    int threads;
    int32_t phases;
    struct cpu_phase *phase;
    struct cpu_task *task;
    struct ash_trace_lane **lane; /* by worker; NULL = no tracing */
    char (*shapes)[CPU_SHAPES_BYTES];
};

/* The program's part of struct ash_driver. */
enum ash_status cpu_compile(struct ash_device *device, const struct ash_step *steps, int32_t count,
    struct ash_trace *trace, struct ash_program **out);
enum ash_status cpu_run(struct ash_device *device, struct ash_program *program,
    const struct ash_batch *batch, const struct ash_event *after, int after_count,
    struct ash_event *done);
void cpu_discard(struct ash_device *device, struct ash_program *program);
enum ash_status cpu_launch(struct ash_device *device, const struct ash_step *step,
    const struct ash_batch *batch, const struct ash_event *after, int after_count,
    struct ash_event *done);

/* The memory's part. */
enum ash_status cpu_alloc(
    struct ash_device *device, size_t size_bytes, enum ash_memory_use use, struct ash_buffer **out);
void cpu_free(struct ash_buffer *buffer);
enum ash_status cpu_upload(struct ash_device *device, const struct ash_loaded *loaded, int input,
    const struct ash_tensor *weight, struct ash_place to);
enum ash_status cpu_copy(struct ash_device *device, struct ash_place to, struct ash_place from,
    size_t size_bytes, const struct ash_event *after, int after_count, struct ash_event *done);

/* Work is done by the time it would have been queued: its event has happened. */
static inline struct ash_event cpu_next_event(struct ash_device *device)
{
    struct cpu_device *self = (struct cpu_device *)device;
    return (struct ash_event){ device, ++self->done };
}

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "drivers/cpu/ranking.h"
#include "runtime/driver.h"
#include "runtime/thread.h"
#include "runtime/trace.h"

/* Part of a weight. */
struct cpu_range {
    const char *at;
    int64_t bytes;
};

enum { CPU_AHEAD_RANGES = 8 };

/*
 * What a worker calls into its cache next: a window on its stream, copied, so that a worker may go on
 * calling after the program is gone. Its own alone.
 */
struct cpu_ahead {
    const struct ash_program *program;
    int32_t phase;       /* in which the worker entered the window */
    int32_t from;        /* the stream's range that range[0] is, or what is left of it */
    int32_t next, count; /* of range[]: calling has come to `next` */
    int64_t distance;    /* bytes called and not yet read */
    struct cpu_range range[CPU_AHEAD_RANGES];
    char apart[128]; /* from the next worker's */
};

/* A worker's shares of all weights, in the order it reads them, for the cuts of one size of batch. */
struct cpu_stream {
    int32_t tokens, outputs; /* -1 = none yet */
    int32_t ranges;
    struct cpu_range *range;
    int32_t *first; /* by phase: the range that it begins with */
};

struct cpu_device {
    struct ash_device base;
    struct ash_team *team;
    struct cpu_ahead *ahead;     /* by worker */
    int *node;                   /* by worker: the NUMA node whose CPUs it stays on */
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
    double ns; /* estimated */
    int64_t chunk_rows;
    int64_t first_chunk; /* chunks are numbered across the steps of a phase */
    const char *shapes;  /* for the trace */
};

/* Tasks [first, end) of a program, and how they were cut for `tokens` and `outputs`. */
struct cpu_phase {
    int32_t first, end;
    int32_t tokens, outputs; /* what the tasks are bound to; -1 = nothing yet */
    bool needs_batch;        /* some step's cost hangs on the sequences, not on T and O alone */
    bool has_weights;        /* some step reads packed ones */
    bool whole;              /* too little to share: one chunk runs every step */
    bool waits_for_memory;   /* more than for arithmetic */
    int64_t chunks;
};

struct ash_program {
    struct ash_batch batch; /* the one being run; every task's args point here */
    int threads;
    int32_t phases;
    struct cpu_phase *phase;
    struct cpu_task *task;
    struct cpu_ahead *ahead; /* the device's; NULL = nothing is called ahead, nor the three below */
    struct cpu_stream *stream; /* by worker, its arrays in: */
    struct cpu_range *range;
    int32_t *first;
    struct ash_trace_lane **lane; /* by worker; NULL = no tracing */
    char (*shapes)[CPU_SHAPES_BYTES];
};

/*
 * Whether weights of this phase are worth calling ahead. Where the cut changes while a program runs,
 * nobody else may look at it.
 */
static inline bool cpu_phase_calls_ahead(const struct cpu_phase *phase)
{
    return phase->has_weights && !phase->needs_batch && !phase->whole && phase->waits_for_memory;
}

/* cpu_ahead.c: the memory of it; `ahead` is the device's. */
enum ash_status cpu_ahead_create(struct ash_program *program, struct cpu_ahead *ahead);
void cpu_ahead_destroy(struct ash_program *program);

/* A worker's shares of all weights for the program's batch, to which the phases are bound. */
void cpu_ahead_fill(struct cpu_stream *stream, const struct ash_program *program, int worker);

/* A worker is about to run rows of its own share, of a phase that calls ahead. */
void cpu_ahead_rows(const struct ash_program *program, int32_t phase, const struct cpu_task *task,
    int64_t first, int64_t last, int worker);

/* For struct ash_team_options; ctx is the device. */
bool cpu_ahead_idle(void *ctx, int worker);

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

/* Cuts all phases with weights for the batch at hand; cpu_program.c. */
void cpu_bind_weights(struct ash_program *program);

/* The memory's part. */
enum ash_status cpu_settle(struct ash_device *device, const struct ash_step *steps, int32_t count);
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

/* SPDX-License-Identifier: Apache-2.0 */
#include "drivers/device/device_queue.h"

/* ---- One step ---- */

/* The memory of input i, and where in it. */
static void *find_input(const struct ash_step *step, int i, long *at)
{
    const struct ash_device_loaded *loaded = (const struct ash_device_loaded *)step->loaded;
    *at = (long)step->in[i].offset_bytes;
    if (step->args.in[i].rank > 0)
        return ash_device_memory(step->in[i]);
    return loaded->op->packed_input == i && i > 0 ? loaded->table : NULL;
}

static enum ash_status start_entry(struct ash_device_queue *queue, const struct ash_step *step,
    const struct ash_device_call *call, int entry, int64_t groups)
{
    const struct ash_device_loaded *loaded = (const struct ash_device_loaded *)step->loaded;
    struct ash_device_start start = { .entry = loaded->entry[entry],
        .groups = groups,
        .out = ash_device_memory(step->out),
        .batch = queue->batch,
        .args = call->args };
    for (int i = 0; i < DEVICE_INPUTS; i++)
        start.in[i] = find_input(step, i, &start.args.at[i]);
    start.args.out_at = (long)step->out.offset_bytes;
    return ash_fail_in(queue->calls->start(queue, &start), "%s", step->name);
}

/* Queues a step, unless the batch leaves it nothing to do. */
static enum ash_status start(
    struct ash_device_queue *queue, const struct ash_step *step, const struct ash_batch *batch)
{
    const struct ash_device_loaded *loaded = (const struct ash_device_loaded *)step->loaded;
    struct ash_args args = step->args;
    struct ash_device_call call;
    ash_args_bind(&args, batch);
    loaded->op->bind(&args, &call);
    if (call.groups == 0)
        return ASH_OK;
    ASH_TRY(start_entry(queue, step, &call, call.entry, call.groups));
    if (call.then_groups == 0)
        return ASH_OK;
    ASH_TRY(ash_device_order(queue));
    return start_entry(queue, step, &call, call.then_entry, call.then_groups);
}

enum ash_status ash_device_launch(struct ash_device *device, const struct ash_step *step,
    const struct ash_batch *batch, const struct ash_event *after, int after_count,
    struct ash_event *done)
{
    struct ash_device_queue *queue = (struct ash_device_queue *)device;
    ASH_TRY(ash_device_begin(queue, DEVICE_STEPS, after, after_count));
    if (step->op->needs_batch)
        ASH_TRY(ash_device_batch_send(queue, batch));
    ASH_TRY(start(queue, step, batch));
    return ash_device_mark(queue, DEVICE_STEPS, done);
}

/* ---- A whole run ---- */

/* With a trace each step is waited for: its span is its own time, and the run as a whole is slower. */
static enum ash_status start_traced(struct ash_device_queue *queue, struct ash_program *program,
    int32_t index, const struct ash_batch *batch)
{
    int64_t start_ns = ash_now_ns();
    ASH_TRY(start(queue, &program->step[index], batch));
    ASH_TRY(queue->calls->finish(queue, DEVICE_STEPS));
    ash_device_trace(program, index, start_ns);
    return ASH_OK;
}

static enum ash_status start_all(
    struct ash_device_queue *queue, struct ash_program *program, const struct ash_batch *batch)
{
    for (int32_t i = 0; i < program->steps; i++) {
        const struct ash_step *step = &program->step[i];
        if (i > 0 && step->phase != step[-1].phase)
            ASH_TRY(ash_device_order(queue));
        ASH_TRY(program->lane ? start_traced(queue, program, i, batch) : start(queue, step, batch));
    }
    return ASH_OK;
}

enum ash_status ash_device_run(struct ash_device *device, struct ash_program *program,
    const struct ash_batch *batch, const struct ash_event *after, int after_count,
    struct ash_event *done)
{
    struct ash_device_queue *queue = (struct ash_device_queue *)device;
    ASH_TRY(ash_device_begin(queue, DEVICE_STEPS, after, after_count));
    if (program->needs_batch)
        ASH_TRY(ash_device_batch_send(queue, batch));
    ASH_TRY(start_all(queue, program, batch));
    return ash_device_mark(queue, DEVICE_STEPS, done);
}

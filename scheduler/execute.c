/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/trace.h"
#include "scheduler/plan_internal.h"

/*
 * The replay: binds the numbers of the batch and hands each segment to its device. Nothing here, nor
 * below it, allocates or takes a lock.
 */

static enum ash_status check_batch(const struct ash_plan *plan, const struct ash_batch *batch)
{
    if (batch->tokens < 1 || batch->outputs < 0)
        return ash_fail(
            ASH_ERR_ARGUMENT, "a batch of %d tokens and %d outputs", batch->tokens, batch->outputs);
    if (batch->tokens > plan->tokens || batch->outputs > plan->outputs)
        return ash_fail(ASH_ERR_LIMIT,
            "%d tokens and %d outputs are more than the %lld and %lld that this plan was made for",
            batch->tokens, batch->outputs, (long long)plan->tokens, (long long)plan->outputs);
    return ASH_OK;
}

/* With a lane, records how long the launch took: the work itself where a device works at once. */
static enum ash_status launch_step(const struct plan_device *device, const struct ash_step *step,
    const struct ash_batch *batch, struct ash_event *done)
{
    struct ash_event after = *done;
    int64_t start_ns = device->lane ? ash_now_ns() : 0;
    enum ash_status status =
        device->device->driver->launch(device->device, step, batch, &after, 1, done);
    if (device->lane) {
        struct ash_trace_span span = { .name = step->name,
            .category = "step",
            .start_ns = start_ns,
            .duration_ns = ash_now_ns() - start_ns,
            .arg = { { .key = "op", .text = step->op->name },
                { .key = "kernel", .text = step->loaded->kernel } } };
        ash_trace_record(device->lane, &span);
    }
    return status;
}

/* Queues a segment after `done` and makes that the event of its end. */
static enum ash_status run_segment(const struct ash_plan *plan, const struct plan_segment *segment,
    const struct ash_batch *batch, struct ash_event *done)
{
    const struct plan_device *device = &plan->device[segment->device];
    struct ash_event after = *done;
    if (segment->program)
        return device->device->driver->run(
            device->device, segment->program, batch, &after, 1, done);
    for (int32_t i = segment->first; i < segment->end; i++)
        ASH_TRY(launch_step(device, &plan->step[i], batch, done));
    return ASH_OK;
}

/* Binds the outputs, and fetches those that were made where the host cannot read them. */
static enum ash_status take_outputs(
    struct ash_plan *plan, const struct ash_batch *batch, struct ash_event *done)
{
    for (int32_t i = 0; i < plan->output_count; i++) {
        struct plan_output *output = &plan->output[i];
        ash_tensor_bind(&output->tensor, batch);
        size_t bytes = output->tensor.dim[0] > 0 ? ash_tensor_bytes(&output->tensor) : 0;
        if (!output->place.buffer || bytes == 0)
            continue;
        struct ash_device *device = output->place.buffer->device;
        struct ash_event after = *done;
        ASH_TRY(device->driver->copy(
            device, (struct ash_place){ &output->copy, 0 }, output->place, bytes, &after, 1, done));
    }
    return ASH_OK;
}

enum ash_status ash_plan_run(struct ash_plan *plan, const struct ash_batch *batch)
{
    ASH_TRY(check_batch(plan, batch));
    struct ash_event done = { 0 };
    enum ash_status status = ASH_OK;
    for (int32_t i = 0; i < plan->segments && status == ASH_OK; i++)
        status = run_segment(plan, &plan->segment[i], batch, &done);
    if (status == ASH_OK)
        status = take_outputs(plan, batch, &done);
    /* Also after an error: the batch is the caller's again when this returns. */
    if (done.device) {
        enum ash_status waited = done.device->driver->wait(done.device, done);
        status = status == ASH_OK ? waited : status;
    }
    return status;
}

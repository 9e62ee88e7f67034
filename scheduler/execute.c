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
static enum ash_status launch_step(
    struct plan_device *device, const struct ash_step *step, const struct ash_batch *batch)
{
    struct ash_event after = device->last;
    int64_t start_ns = device->lane ? ash_now_ns() : 0;
    enum ash_status status =
        device->device->driver->launch(device->device, step, batch, &after, 1, &device->last);
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

/* Queues steps behind all that touches their device's memory. */
static enum ash_status run_steps(
    struct ash_plan *plan, const struct plan_segment *segment, const struct ash_batch *batch)
{
    struct plan_device *device = &plan->device[segment->device];
    struct ash_event after = device->last;
    if (segment->program)
        return device->device->driver->run(
            device->device, segment->program, batch, &after, 1, &device->last);
    for (int32_t i = segment->first; i < segment->end; i++)
        ASH_TRY(launch_step(device, &plan->step[i], batch));
    return ASH_OK;
}

/* Queues a copy on the device whose memory the host cannot reach, behind all that touches either. */
static enum ash_status copy_directly(struct ash_plan *plan, const struct plan_segment *segment,
    struct ash_place to, struct ash_place from, size_t bytes)
{
    struct plan_device *source = &plan->device[segment->from];
    struct plan_device *target = &plan->device[segment->device];
    int32_t by = to.buffer->host ? segment->from : segment->device;
    struct ash_device *device = plan->device[by].device;
    struct ash_event after[2] = { source->last, target->last }, done;
    ASH_TRY(plan_note(plan, by, device->driver->copy(device, to, from, bytes, after, 2, &done)));
    source->last = target->last = done;
    return ASH_OK;
}

/* By way of host memory. The source may go on once its half is done, which begins when the target has taken what was
 * there before: of an earlier part of the batch, in micro-batches. */
static enum ash_status copy_staged(struct ash_plan *plan, struct plan_segment *segment,
    struct ash_place to, struct ash_place from, size_t bytes)
{
    struct plan_device *source = &plan->device[segment->from];
    struct plan_device *target = &plan->device[segment->device];
    struct ash_device *device = source->device;
    struct ash_place middle = { &segment->staging, 0 };
    struct ash_event after[2] = { source->last, segment->taken };
    ASH_TRY(plan_note(plan, segment->from,
        device->driver->copy(device, middle, from, bytes, after, 2, &source->last)));
    after[0] = source->last;
    after[1] = target->last;
    device = target->device;
    ASH_TRY(plan_note(plan, segment->device,
        device->driver->copy(device, to, middle, bytes, after, 2, &target->last)));
    segment->taken = target->last;
    return ASH_OK;
}

/* As many rows as the batch has. */
static enum ash_status run_copy(
    struct ash_plan *plan, struct plan_segment *segment, const struct ash_batch *batch)
{
    const struct ash_step *step = &plan->step[segment->first];
    struct ash_tensor tensor = step->args.out;
    ash_tensor_bind(&tensor, batch);
    if (tensor.dim[0] == 0)
        return ASH_OK;
    size_t bytes = ash_tensor_bytes(&tensor);
    if (segment->staging.host)
        return copy_staged(plan, segment, step->out, step->in[0], bytes);
    return copy_directly(plan, segment, step->out, step->in[0], bytes);
}

enum ash_status plan_queue_segment(
    struct ash_plan *plan, int32_t index, const struct ash_batch *batch)
{
    struct plan_segment *segment = &plan->segment[index];
    if (segment->from >= 0)
        return run_copy(plan, segment, batch);
    return plan_note(plan, segment->device, run_steps(plan, segment, batch));
}

enum ash_status plan_queue_output(
    struct ash_plan *plan, int32_t index, const struct ash_batch *batch, struct ash_place to)
{
    const struct plan_output *output = &plan->output[index];
    struct ash_tensor tensor = output->tensor;
    ash_tensor_bind(&tensor, batch);
    size_t bytes = tensor.dim[0] > 0 ? ash_tensor_bytes(&tensor) : 0;
    if (!output->place.buffer || bytes == 0)
        return ASH_OK;
    int32_t by = plan->value[output->value].device;
    struct plan_device *device = &plan->device[by];
    struct ash_event after = device->last;
    return plan_note(plan, by,
        device->device->driver->copy(
            device->device, to, output->place, bytes, &after, 1, &device->last));
}

/* Binds the outputs, and fetches those that were made where the host cannot read them. */
static enum ash_status take_outputs(struct ash_plan *plan, const struct ash_batch *batch)
{
    for (int32_t i = 0; i < plan->output_count; i++) {
        struct plan_output *output = &plan->output[i];
        ash_tensor_bind(&output->tensor, batch);
        ASH_TRY(plan_queue_output(plan, i, batch, (struct ash_place){ &output->copy, 0 }));
    }
    return ASH_OK;
}

/* Waits for all devices, also after an error, as the batch is the caller's again then. Returns the first
 * error. */
enum ash_status plan_finish(struct ash_plan *plan, enum ash_status status)
{
    for (int32_t i = 0; i < plan->devices; i++) {
        struct ash_event last = plan->device[i].last;
        enum ash_status waited =
            last.device ? last.device->driver->wait(last.device, last) : ASH_OK;
        for (int32_t k = 0; k < plan->devices && status == ASH_OK; k++)
            if (plan->device[k].device == last.device)
                (void)!plan_note(plan, k, waited);
        status = status == ASH_OK ? waited : status;
    }
    return status;
}

void plan_begin(struct ash_plan *plan)
{
    plan->failed = -1;
    for (int32_t i = 0; i < plan->devices; i++)
        plan->device[i].last = (struct ash_event){ 0 };
    for (int32_t i = 0; i < plan->segments; i++)
        plan->segment[i].taken = (struct ash_event){ 0 };
}

enum ash_status plan_run_segment(
    struct ash_plan *plan, int32_t index, const struct ash_batch *batch)
{
    plan_begin(plan);
    return plan_finish(plan, plan_queue_segment(plan, index, batch));
}

enum ash_status plan_run_step(struct ash_plan *plan, int32_t index, const struct ash_batch *batch)
{
    int32_t device = plan->node[index].device;
    plan_begin(plan);
    return plan_finish(plan,
        plan_note(plan, device, launch_step(&plan->device[device], &plan->step[index], batch)));
}

enum ash_status ash_plan_run(struct ash_plan *plan, const struct ash_batch *batch)
{
    ASH_TRY(check_batch(plan, batch));
    if (plan_micro_takes(plan, batch))
        return plan_micro_run(plan, batch);
    enum ash_status status = ASH_OK;
    plan_begin(plan);
    for (int32_t i = 0; i < plan->segments && status == ASH_OK; i++)
        status = plan_queue_segment(plan, i, batch);
    if (status == ASH_OK)
        status = take_outputs(plan, batch);
    return plan_finish(plan, status);
}

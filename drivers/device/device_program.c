/* SPDX-License-Identifier: Apache-2.0 */
#include "drivers/device/device_program.h"

#include "drivers/drivers.h"
#include "runtime/memory.h"

#include <stdio.h>

static enum ash_status add_trace(
    struct ash_device *device, struct ash_program *program, struct ash_trace *trace)
{
    char name[128];
    int group;
    program->shapes = ash_alloc_array((size_t)program->steps, sizeof *program->shapes);
    if (!program->shapes)
        return ash_fail_memory((size_t)program->steps * sizeof *program->shapes, "a trace");
    for (int32_t i = 0; i < program->steps; i++)
        ash_step_describe(&program->step[i], program->shapes[i], sizeof *program->shapes);
    snprintf(
        name, sizeof name, "%s:%d %s", device->driver->name, device->info.index, device->info.name);
    ASH_TRY(ash_trace_add_device(trace, name, &group));
    return ash_trace_add_lane(trace, group, "queue", &program->lane);
}

enum ash_status ash_device_compile(struct ash_device *device, const struct ash_step *steps,
    int32_t count, struct ash_trace *trace, struct ash_program **out)
{
    struct ash_program *program = ash_alloc_zero(sizeof *program);
    if (!program)
        return ash_fail_memory(sizeof *program, "a program");
    *program = (struct ash_program){ .step = steps, .steps = count };
    for (int32_t i = 0; i < count; i++)
        program->needs_batch = program->needs_batch || steps[i].op->needs_batch;
    enum ash_status status = trace ? add_trace(device, program, trace) : ASH_OK;
    if (status != ASH_OK) {
        ash_device_discard(device, program);
        return status;
    }
    *out = program;
    return ASH_OK;
}

void ash_device_discard(struct ash_device *device, struct ash_program *program)
{
    (void)device;
    if (!program)
        return;
    ash_free(program->shapes);
    ash_free(program);
}

void ash_device_trace(struct ash_program *program, int32_t index, int64_t start_ns)
{
    const struct ash_step *step = &program->step[index];
    struct ash_trace_span span = { .name = step->name,
        .category = "step",
        .start_ns = start_ns,
        .duration_ns = ash_now_ns() - start_ns,
        .arg = { { .key = "op", .text = step->op->name },
            { .key = "shape", .text = program->shapes[index] },
            { .key = "kernel", .text = step->loaded->kernel } } };
    ash_trace_record(program->lane, &span);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "drivers/cpu/cpu_internal.h"
#include "drivers/drivers.h"
#include "runtime/memory.h"

#include <stdio.h>

/*
 * What one thread does in a nanosecond, and the least work worth handing to another (waking it and
 * seeing its result took 0.3 us between two cores). They decide only how work is cut, never its result.
 */
static const double bytes_per_ns = 8, flops_per_ns = 16, chunk_ns = 2000;
enum { CHUNKS_PER_THREAD = 4 }; /* so that no thread waits long for the slowest */

static double task_ns(const struct cpu_task *task)
{
    struct ash_cost cost;
    task->step->op->cost(&task->args, &cost);
    double memory_ns = (cost.bytes_read + cost.bytes_written) / bytes_per_ns;
    double compute_ns = cost.flops / flops_per_ns;
    return memory_ns > compute_ns ? memory_ns : compute_ns;
}

/* Cuts a task's rows; returns how many chunks that makes. */
static int64_t cut_task(struct cpu_task *task, int threads, double ns)
{
    int64_t grain = task->kernel ? task->kernel->grain : task->rows;
    int64_t wanted = (int64_t)threads * CHUNKS_PER_THREAD;
    if (ns < chunk_ns * (double)wanted)
        wanted = (int64_t)(ns / chunk_ns) + 1;
    int64_t rows = (task->rows + wanted - 1) / wanted;
    task->chunk_rows = grain ? (rows + grain - 1) / grain * grain : 0;
    return task->chunk_rows ? (task->rows + task->chunk_rows - 1) / task->chunk_rows : 0;
}

/* A phase too small to be worth the hand-over is one chunk that runs all of its steps. */
static bool is_worth_sharing(
    const struct cpu_phase *phase, const struct cpu_task *task, int threads)
{
    double ns = 0;
    for (int32_t i = phase->first; threads > 1 && i < phase->end && ns < 2 * chunk_ns; i++)
        ns += task_ns(&task[i]);
    return ns >= 2 * chunk_ns;
}

static void cut_phase(struct cpu_phase *phase, struct cpu_task *task, int threads)
{
    phase->whole = !is_worth_sharing(phase, task, threads);
    phase->chunks = phase->whole ? 1 : 0;
    for (int32_t i = phase->first; !phase->whole && i < phase->end; i++) {
        task[i].first_chunk = phase->chunks;
        phase->chunks += cut_task(&task[i], threads, task_ns(&task[i]));
    }
}

/* Binds the numbers of the batch, unless they are those of the last run. */
static int64_t open_phase(void *ctx, int64_t index)
{
    struct ash_program *program = ctx;
    struct cpu_phase *phase = &program->phase[index];
    const struct ash_batch *batch = &program->batch;
    bool bound = phase->tokens == batch->tokens && phase->outputs == batch->outputs;
    if (!bound) {
        phase->tokens = batch->tokens;
        phase->outputs = batch->outputs;
        for (int32_t i = phase->first; i < phase->end; i++) {
            struct cpu_task *task = &program->task[i];
            ash_args_bind(&task->args, batch);
            task->rows = ash_op_rows(task->step->op, &task->args);
        }
    }
    if (!bound || (phase->needs_batch && program->threads > 1))
        cut_phase(phase, program->task, program->threads);
    return phase->chunks;
}

static void run_rows(const struct cpu_task *task, int64_t first, int64_t last)
{
    if (task->kernel)
        task->kernel->run(&task->args, first, last);
    else
        task->step->op->reference(&task->args);
}

/* Runs rows and records a span: what, on which shapes, how many bytes of the step's. */
static void run_rows_traced(
    const struct cpu_task *task, int64_t first, int64_t last, struct ash_trace_lane *lane)
{
    struct ash_cost cost;
    int64_t start_ns = ash_now_ns();
    run_rows(task, first, last);
    int64_t end_ns = ash_now_ns();
    task->step->op->cost(&task->args, &cost);
    double share = (double)(last - first) / (double)task->rows;
    struct ash_trace_span span = { .name = task->step->name,
        .category = "step",
        .start_ns = start_ns,
        .duration_ns = end_ns - start_ns,
        .arg = { { .key = "op", .text = task->step->op->name },
            { .key = "shape", .text = task->shapes }, { .key = "rows", .number = last - first },
            { .key = "bytes",
                .number = (int64_t)(share * (cost.bytes_read + cost.bytes_written)) } } };
    ash_trace_record(lane, &span);
}

static void run_part(const struct ash_program *program, const struct cpu_task *task, int64_t first,
    int64_t last, int worker)
{
    if (program->lane)
        run_rows_traced(task, first, last, program->lane[worker]);
    else
        run_rows(task, first, last);
}

static void run_chunk(void *ctx, int64_t index, int64_t chunk, int worker)
{
    struct ash_program *program = ctx;
    const struct cpu_phase *phase = &program->phase[index];
    const struct cpu_task *task = &program->task[phase->first], *end = &program->task[phase->end];
    if (phase->whole) {
        for (; task < end; task++)
            if (task->rows > 0)
                run_part(program, task, 0, task->rows, worker);
        return;
    }
    while (task + 1 < end && chunk >= task[1].first_chunk)
        task++;
    int64_t first = (chunk - task->first_chunk) * task->chunk_rows;
    int64_t last = first + task->chunk_rows;
    run_part(program, task, first, last < task->rows ? last : task->rows, worker);
}

static void run_program(struct cpu_device *device, struct ash_program *program)
{
    struct ash_team_work work = {
        .phases = program->phases, .open = open_phase, .chunk = run_chunk, .ctx = program
    };
    ash_team_run(device->team, &work);
}

static void init_task(struct cpu_task *task, const struct ash_step *step)
{
    const struct cpu_loaded *loaded = (const struct cpu_loaded *)step->loaded;
    *task = (struct cpu_task){ .step = step, .kernel = loaded->kernel, .args = step->args };
}

enum ash_status cpu_launch(struct ash_device *device, const struct ash_step *step,
    const struct ash_batch *batch, const struct ash_event *after, int after_count,
    struct ash_event *done)
{
    struct cpu_device *self = (struct cpu_device *)device;
    struct cpu_task task;
    struct cpu_phase phase = { .end = 1, .tokens = -1 };
    struct ash_program program = { .batch = *batch,
        .threads = ash_team_threads(self->team),
        .phases = 1,
        .phase = &phase,
        .task = &task };
    init_task(&task, step);
    ASH_TRY(ash_events_wait(after, after_count));
    run_program(self, &program);
    *done = cpu_next_event(device);
    return ASH_OK;
}

static int32_t count_phases(const struct ash_step *steps, int32_t count)
{
    int32_t phases = 0;
    for (int32_t i = 0; i < count; i++)
        phases += i == 0 || steps[i].phase != steps[i - 1].phase;
    return phases;
}

/* A lane for each worker, and the texts that spans borrow. */
static enum ash_status add_trace(
    struct ash_device *device, struct ash_program *program, int32_t count, struct ash_trace *trace)
{
    char name[128];
    int group;
    program->shapes = ash_alloc_array((size_t)count, sizeof *program->shapes);
    struct ash_trace_lane **lane = ash_alloc_array((size_t)program->threads, sizeof(void *));
    program->lane = lane;
    if (!program->shapes || !lane)
        return ash_fail_memory((size_t)count * sizeof *program->shapes, "a trace");
    for (int32_t i = 0; i < count; i++) {
        ash_step_describe(program->task[i].step, program->shapes[i], CPU_SHAPES_BYTES);
        program->task[i].shapes = program->shapes[i];
    }
    snprintf(name, sizeof name, "cpu:%d %s", device->info.index, device->info.name);
    ASH_TRY(ash_trace_add_device(trace, name, &group));
    for (int i = 0; i < program->threads; i++) {
        snprintf(name, sizeof name, "worker %d (CPU %d)", i,
            ash_team_cpu(((struct cpu_device *)device)->team, i));
        ASH_TRY(ash_trace_add_lane(trace, group, name, &lane[i]));
    }
    return ASH_OK;
}

enum ash_status cpu_compile(struct ash_device *device, const struct ash_step *steps, int32_t count,
    struct ash_trace *trace, struct ash_program **out)
{
    struct ash_program *program = ash_alloc_zero(sizeof *program);
    int32_t phases = count_phases(steps, count);
    if (program) {
        program->phase = ash_alloc_array((size_t)phases, sizeof *program->phase);
        program->task = ash_alloc_array((size_t)count, sizeof *program->task);
    }
    if (!program || !program->phase || !program->task) {
        cpu_discard(device, program);
        return ash_fail_memory((size_t)count * sizeof *program->task, "a program");
    }
    program->threads = ash_team_threads(((struct cpu_device *)device)->team);
    struct cpu_phase *phase = program->phase - 1;
    for (int32_t i = 0; i < count; i++) {
        if (i == 0 || steps[i].phase != steps[i - 1].phase)
            *++phase = (struct cpu_phase){ .first = i, .tokens = -1 };
        phase->end = i + 1;
        phase->needs_batch |= steps[i].op->needs_batch;
        init_task(&program->task[i], &steps[i]);
    }
    program->phases = phases;
    enum ash_status status = trace ? add_trace(device, program, count, trace) : ASH_OK;
    if (status != ASH_OK) {
        cpu_discard(device, program);
        return status;
    }
    *out = program;
    return ASH_OK;
}

enum ash_status cpu_run(struct ash_device *device, struct ash_program *program,
    const struct ash_batch *batch, const struct ash_event *after, int after_count,
    struct ash_event *done)
{
    ASH_TRY(ash_events_wait(after, after_count));
    program->batch = *batch;
    run_program((struct cpu_device *)device, program);
    *done = cpu_next_event(device);
    return ASH_OK;
}

void cpu_discard(struct ash_device *device, struct ash_program *program)
{
    (void)device;
    if (!program)
        return;
    ash_free(program->lane);
    ash_free(program->shapes);
    ash_free(program->phase);
    ash_free(program->task);
    ash_free(program);
}

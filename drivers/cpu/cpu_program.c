/* SPDX-License-Identifier: Apache-2.0 */
#include "drivers/cpu/cpu_internal.h"
#include "drivers/drivers.h"
#include "runtime/memory.h"

#include <stdio.h>

/*
 * What one thread does in a nanosecond at the least, the least work worth handing to another (waking it
 * and seeing its result took 0.3 us between two cores), and the smallest chunk. They decide only how
 * work is cut, never its result.
 */
static const double bytes_per_ns = 8, flops_per_ns = 16, shared_ns = 4000, chunk_ns = 1000;

/*
 * From here on the kernel reads as fast as it can use the weights, and calling them first only makes it
 * wait: 2 tokens by Q4_0, 4 by Q8_0.
 */
static const double flops_per_byte = 6;

/*
 * So that no thread waits long for the slowest. A chunk that reads weights costs little to begin, one of
 * many tokens prepares them anew: 8 were 6 % ahead of 16 and of 4 in a prefill of 512.
 */
enum { CHUNKS_PER_THREAD = 8, CHUNKS_PER_THREAD_FROM_MEMORY = 16 };

static double add_task(const struct cpu_task *task, double *bytes, double *flops)
{
    struct ash_cost cost;
    task->step->op->cost(&task->args, &cost);
    double task_bytes = cost.bytes_read + cost.bytes_written;
    *bytes += task_bytes;
    *flops += cost.flops;
    double memory_ns = task_bytes / bytes_per_ns, compute_ns = cost.flops / flops_per_ns;
    return memory_ns > compute_ns ? memory_ns : compute_ns;
}

/* Cuts a task's rows into `wanted` chunks, or as the grain lets; returns how many chunks that makes. */
static int64_t cut_task(struct cpu_task *task, int64_t wanted)
{
    int64_t grain = task->kernel ? task->kernel->grain : task->rows;
    int64_t rows = (task->rows + wanted - 1) / wanted;
    task->chunk_rows = grain ? (rows + grain - 1) / grain * grain : 0;
    return task->chunk_rows ? (task->rows + task->chunk_rows - 1) / task->chunk_rows : 0;
}

/*
 * Into chunks of about the same time, whichever step they are of: a worker's share is a number of them.
 * A phase too small to be worth the hand-over is one chunk that runs all of its steps.
 */
static void cut_phase(struct cpu_phase *phase, struct cpu_task *task, int threads)
{
    double bytes = 0, flops = 0, ns = 0;
    for (int32_t i = phase->first; threads > 1 && i < phase->end; i++)
        ns += task[i].ns = add_task(&task[i], &bytes, &flops);
    phase->whole = ns < shared_ns;
    phase->waits_for_memory = flops <= flops_per_byte * bytes;
    phase->chunks = phase->whole ? 1 : 0;
    int per_thread = phase->waits_for_memory ? CHUNKS_PER_THREAD_FROM_MEMORY : CHUNKS_PER_THREAD;
    double each_ns = ns / (threads * per_thread);
    each_ns = each_ns > chunk_ns ? each_ns : chunk_ns;
    for (int32_t i = phase->first; !phase->whole && i < phase->end; i++) {
        task[i].first_chunk = phase->chunks;
        phase->chunks += cut_task(&task[i], (int64_t)(task[i].ns / each_ns) + 1);
    }
}

/* Binds the numbers of the batch, unless they are those of the last run. */
static void bind_phase(struct ash_program *program, struct cpu_phase *phase)
{
    const struct ash_batch *batch = &program->batch;
    bool bound = phase->tokens == batch->tokens && phase->outputs == batch->outputs;
    if (!bound) {
        phase->tokens = batch->tokens;
        phase->outputs = batch->outputs;
        for (int32_t i = phase->first; i < phase->end; i++)
            ash_args_bind(&program->task[i].args, batch);
    }
    for (int32_t i = phase->first; (!bound || phase->needs_batch) && i < phase->end; i++) {
        struct cpu_task *task = &program->task[i];
        task->rows = ash_op_rows(task->step->op, &task->args);
    }
    if (!bound || (phase->needs_batch && program->threads > 1))
        cut_phase(phase, program->task, program->threads);
}

static int64_t open_phase(void *ctx, int64_t index)
{
    struct ash_program *program = ctx;
    bind_phase(program, &program->phase[index]);
    return program->phase[index].chunks;
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

static bool is_own(const struct cpu_phase *phase, int threads, int64_t chunk, int worker)
{
    return chunk >= ash_team_share(phase->chunks, threads, worker) &&
           chunk < ash_team_share(phase->chunks, threads, worker + 1);
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
    int64_t last = first + task->chunk_rows < task->rows ? first + task->chunk_rows : task->rows;
    if (program->ahead && task->step->loaded->packed_input && cpu_phase_calls_ahead(phase) &&
        is_own(phase, program->threads, chunk, worker))
        cpu_ahead_rows(program, (int32_t)index, task, first, last, worker);
    run_part(program, task, first, last, worker);
}

/* Streams are made of the cuts of all phases: those that would only be cut when they are opened. */
void cpu_bind_weights(struct ash_program *program)
{
    for (int32_t i = 0; program->ahead && i < program->phases; i++)
        if (program->phase[i].has_weights)
            bind_phase(program, &program->phase[i]);
}

static void run_program(struct cpu_device *device, struct ash_program *program)
{
    struct ash_team_work work = {
        .phases = program->phases, .open = open_phase, .chunk = run_chunk, .ctx = program
    };
    cpu_bind_weights(program);
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
        phase->has_weights |= steps[i].loaded->packed_input != 0;
        init_task(&program->task[i], &steps[i]);
    }
    program->phases = phases;
    enum ash_status status = trace ? add_trace(device, program, count, trace) : ASH_OK;
    if (status == ASH_OK && program->threads > 1)
        status = cpu_ahead_create(program, ((struct cpu_device *)device)->ahead);
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
    cpu_ahead_destroy(program);
    ash_free(program->lane);
    ash_free(program->shapes);
    ash_free(program->phase);
    ash_free(program->task);
    ash_free(program);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "drivers/cpu/cpu_internal.h"
#include "runtime/memory.h"

#include <string.h>

/*
 * Weights called into a worker's cache before it reads them. Its shares of all phases are known
 * beforehand, one after the other its stream: so memory is kept busy across the borders of chunks and
 * phases, where the processor's own prefetchers begin anew, and while the worker waits for others.
 */

enum {
    LINE_BYTES = 64,
    IDLE_LINES = 8,         /* between two looks whether there is work: some 40 ns */
    AHEAD_BYTES = 32 << 10, /* 16 to 128 KiB came to the same; a small part of any second level */
};

/* Moves the window on by `bytes`, and calls them into the second level if `fetch`. */
static void move(struct cpu_ahead *ahead, int64_t bytes, bool fetch)
{
    while (bytes > 0 && ahead->next < ahead->count) {
        struct cpu_range *range = &ahead->range[ahead->next];
        int64_t part = bytes < range->bytes ? bytes : range->bytes;
        for (int64_t at = 0; fetch && at < part; at += LINE_BYTES)
            __builtin_prefetch(range->at + at, 0, 2);
        range->at += part;
        range->bytes -= part;
        ahead->next += range->bytes == 0;
        ahead->distance += part;
        bytes -= part;
    }
}

/* Calls about `bytes`, but never more ahead of the chunks than AHEAD_BYTES. */
static void call(struct cpu_ahead *ahead, int64_t bytes)
{
    const int64_t room = AHEAD_BYTES - ahead->distance;
    move(ahead, bytes < room ? bytes : room, true);
}

bool cpu_ahead_idle(void *ctx, int worker)
{
    struct cpu_ahead *ahead = &((struct cpu_device *)ctx)->ahead[worker];
    call(ahead, IDLE_LINES * LINE_BYTES);
    return ahead->distance < AHEAD_BYTES && ahead->next < ahead->count;
}

/* ---- Streams ---- */

/* Where rows [first, last) of a task's weight lie. */
static struct cpu_range find_rows(const struct cpu_task *task, int64_t first, int64_t last)
{
    const struct ash_loaded *loaded = task->step->loaded;
    const double row_bytes = (double)loaded->packed_bytes / (double)task->rows;
    const char *weight = task->args.in[loaded->packed_input].data;
    return (struct cpu_range){ weight + (int64_t)((double)first * row_bytes),
        (int64_t)((double)(last - first) * row_bytes) };
}

/* Adds a worker's share of a phase to its stream. */
static void add_share(struct cpu_stream *stream, const struct ash_program *program,
    const struct cpu_phase *phase, int worker)
{
    const int64_t begin = ash_team_share(phase->chunks, program->threads, worker);
    const int64_t end = ash_team_share(phase->chunks, program->threads, worker + 1);
    for (int32_t i = phase->first; i < phase->end; i++) {
        const struct cpu_task *task = &program->task[i];
        int64_t first = (begin - task->first_chunk) * task->chunk_rows;
        int64_t last = (end - task->first_chunk) * task->chunk_rows;
        first = first > 0 ? first : 0;
        last = last < task->rows ? last : task->rows;
        if (task->step->loaded->packed_input && first < last)
            stream->range[stream->ranges++] = find_rows(task, first, last);
    }
}

/* When the cuts of all phases with weights are those of this batch; in a run by the worker itself. */
void cpu_ahead_fill(struct cpu_stream *stream, const struct ash_program *program, int worker)
{
    stream->tokens = program->batch.tokens;
    stream->outputs = program->batch.outputs;
    stream->ranges = 0;
    for (int32_t i = 0; i < program->phases; i++) {
        stream->first[i] = stream->ranges;
        if (cpu_phase_calls_ahead(&program->phase[i]))
            add_share(stream, program, &program->phase[i], worker);
    }
}

/* Moves the window to where the worker is now: the beginning of its share of a phase. */
static void enter(
    struct cpu_ahead *ahead, const struct ash_program *program, int32_t phase, int worker)
{
    struct cpu_stream *stream = &program->stream[worker];
    const bool fresh =
        stream->tokens != program->batch.tokens || stream->outputs != program->batch.outputs;
    if (fresh)
        cpu_ahead_fill(stream, program, worker);
    const int32_t first = stream->first[phase];
    int32_t at = ahead->from + ahead->next;
    int64_t called = 0; /* of the range `at` */
    if (fresh || ahead->program != program || ahead->phase >= phase || at < first)
        at = first;
    else if (ahead->next < ahead->count)
        called = stream->range[at].bytes - ahead->range[ahead->next].bytes;
    const int32_t left = stream->ranges - at;
    *ahead = (struct cpu_ahead){ .program = program,
        .phase = phase,
        .from = at,
        .count = left < CPU_AHEAD_RANGES ? left : CPU_AHEAD_RANGES,
        .distance = called };
    for (int32_t i = first; i < at; i++)
        ahead->distance += stream->range[i].bytes;
    if (left == 0)
        return;
    memcpy(ahead->range, &stream->range[at], (size_t)ahead->count * sizeof *ahead->range);
    ahead->range[0].at += called;
    ahead->range[0].bytes -= called;
}

void cpu_ahead_rows(const struct ash_program *program, int32_t phase, const struct cpu_task *task,
    int64_t first, int64_t last, int worker)
{
    struct cpu_ahead *ahead = &program->ahead[worker];
    if (ahead->program != program || ahead->phase != phase)
        enter(ahead, program, phase, worker);
    const int64_t bytes = find_rows(task, first, last).bytes;
    ahead->distance -= bytes;
    /* What was not called of these rows is read as fast by the kernel, which works meanwhile. */
    move(ahead, -ahead->distance, false);
    call(ahead, bytes + bytes / 8); /* a little more than is used, until far enough ahead */
}

/* ---- Memory ---- */

enum ash_status cpu_ahead_create(struct ash_program *program, struct cpu_ahead *ahead)
{
    size_t threads = (size_t)program->threads, phases = (size_t)program->phases, weights = 0;
    for (int32_t i = 0; i < program->phase[phases - 1].end; i++)
        weights += program->task[i].step->loaded->packed_input != 0;
    const size_t ranges = threads * weights, firsts = threads * phases;
    struct cpu_stream *stream = ash_alloc_array(threads, sizeof *stream);
    program->stream = stream;
    program->range = ash_alloc_array(ranges, sizeof *program->range);
    program->first = ash_alloc_array(firsts, sizeof *program->first);
    if (!stream || !program->range || !program->first)
        return ash_fail_memory(ranges * sizeof *program->range, "the order of weights");
    for (size_t i = 0; i < threads; i++)
        stream[i] = (struct cpu_stream){ .tokens = -1,
            .range = &program->range[i * weights],
            .first = &program->first[i * phases] };
    program->ahead = ahead;
    return ASH_OK;
}

void cpu_ahead_destroy(struct ash_program *program)
{
    ash_free(program->stream);
    ash_free(program->range);
    ash_free(program->first);
}

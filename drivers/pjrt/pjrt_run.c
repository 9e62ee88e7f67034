/* SPDX-License-Identifier: Apache-2.0 */
#include "drivers/pjrt/pjrt_internal.h"
#include "kernels/kv_write/kv_write.h"
#include "kernels/rope/rope.h"
#include "runtime/memory.h"
#include "runtime/trace.h"

#include <stdio.h>
#include <string.h>

struct ash_program {
    struct pjrt_runner runner;
    const struct ash_step *steps;
    int32_t count;
    struct ash_trace_lane *lane; /* NULL = no trace */
};

/* ---- The batch ---- */

static int64_t count_pages(const struct ash_batch *batch)
{
    int64_t count = 0;
    for (int32_t s = 0; s < batch->spans; s++) {
        const struct ash_span *span = &batch->span[s];
        count += ((int64_t)span->first_position + span->tokens + ASH_PAGE_POSITIONS - 1) /
                 ASH_PAGE_POSITIONS;
    }
    return count;
}

/* One span's tokens, and from `at` on its pages. */
static void write_span(const struct pjrt_variant *variant, const struct ash_batch *batch,
    const struct ash_span *span, int32_t at, int32_t *out)
{
    int64_t tokens = variant->tokens;
    for (int32_t i = 0; i < span->tokens; i++) {
        int32_t *t = out + span->first_token + i, position = span->first_position + i;
        t[0] = batch->token[span->first_token + i];
        t[tokens] = position;
        t[2 * tokens] = at;
        t[3 * tokens] = span->page[position / ASH_PAGE_POSITIONS];
    }
}

/*
 * Token ids, positions, where each token's pages begin in the list, the page that it writes to (T each);
 * rows of outputs (O); the list of pages. Rows that only fill up are token 0 at position 0, and write to
 * page -1, which there is not.
 */
static void write_batch(
    const struct pjrt_variant *variant, const struct ash_batch *batch, int32_t *out)
{
    int64_t tokens = variant->tokens;
    int32_t *pages = out + 4 * tokens + variant->outputs, at = 0;
    memset(out, 0, (size_t)(4 * tokens + variant->outputs + variant->pages) * sizeof *out);
    for (int64_t t = 0; t < tokens; t++)
        out[3 * tokens + t] = -1;
    for (int32_t s = 0; s < batch->spans; s++) {
        const struct ash_span *span = &batch->span[s];
        int32_t end = span->first_position + span->tokens;
        write_span(variant, batch, span, at, out);
        for (int32_t p = 0; p * ASH_PAGE_POSITIONS < end; p++)
            pages[at++] = span->page[p];
    }
    for (int32_t o = 0; o < batch->outputs; o++)
        out[4 * tokens + o] = batch->output[o];
}

static enum ash_status send_batch(struct pjrt_device *device, const struct pjrt_variant *variant,
    const struct pjrt_argument *argument, const struct ash_batch *batch, struct pjrt_array **out)
{
    size_t count = (size_t)argument->form.part[0].dim[0];
    struct pjrt_array *array[PJRT_MOST_PARTS];
    if (count > device->batch_capacity) {
        int32_t *larger = ash_realloc_array(device->batch, count, sizeof *larger);
        if (!larger)
            return ash_fail_memory(count * sizeof *larger, "a batch");
        device->batch = larger;
        device->batch_capacity = count;
    }
    write_batch(variant, batch, device->batch);
    ASH_TRY(pjrt_form_send(device, &argument->form, device->batch, array));
    *out = array[0];
    return ASH_OK;
}

/* ---- Angles ---- */

/* The factors of a step's rope, if it has any: read once where they stay the same. */
static enum ash_status find_factors(const struct pjrt_runner *runner,
    struct pjrt_argument *argument, const struct ash_step *step, const float **out)
{
    size_t size = ash_tensor_bytes(&step->args.in[argument->input]);
    *out = NULL;
    if (step->args.in[argument->input].rank == 0)
        return ASH_OK;
    if (!argument->factor || !runner->keeps_steps) {
        ash_free(argument->factor);
        argument->factor = ash_alloc(size);
        if (!argument->factor)
            return ash_fail_memory(size, "rope's factors");
        ASH_TRY(pjrt_read(step->in[argument->input], size, argument->factor));
    }
    *out = argument->factor;
    return ASH_OK;
}

/* What (1, 0) turns to in every pair, by the definition, in double: exact at any position. */
static void write_angles(const struct ash_rope_params *params, const float *factor,
    int32_t position, float *cosine, float *sine)
{
    double head[ASH_ROPE_MAX_DIMS];
    int pairs = params->dims / 2;
    bool half = params->mode == ASH_ROPE_HALF;
    for (int i = 0; i < pairs; i++) {
        head[half ? i : 2 * i] = 1;
        head[half ? i + pairs : 2 * i + 1] = 0;
    }
    ash_rope_ref_head(params, factor, position, head);
    for (int i = 0; i < pairs; i++) {
        cosine[i] = (float)head[half ? i : 2 * i];
        sine[i] = (float)head[half ? i + pairs : 2 * i + 1];
    }
}

static enum ash_status send_angles(const struct pjrt_runner *runner, struct pjrt_argument *argument,
    const struct ash_step *step, const struct ash_batch *batch, struct pjrt_array **out)
{
    const struct ash_rope_params *params =
        step->op == &ash_op_kv_write
            ? &((const struct ash_kv_write_params *)step->args.params)->rope
            : step->args.params;
    int64_t tokens = argument->form.part[0].dim[1], pairs = argument->form.part[0].dim[2];
    const float *factor;
    struct pjrt_array *array[PJRT_MOST_PARTS];
    ASH_TRY(find_factors(runner, argument, step, &factor));
    memset(argument->table, 0, pjrt_form_bytes(&argument->form));
    for (int32_t t = 0; t < batch->tokens; t++)
        write_angles(params, factor, ash_batch_position(batch, t), argument->table + t * pairs,
            argument->table + (tokens + t) * pairs);
    ASH_TRY(pjrt_form_send(runner->device, &argument->form, argument->table, array));
    *out = array[0];
    return ASH_OK;
}

/* ---- Memory ---- */

/* Zeros are made where they are wanted: a cache is large, and nothing of it is known here. */
static enum ash_status make_zeros(
    struct pjrt_device *device, const struct pjrt_shape *shape, struct pjrt_array **out)
{
    struct pjrt_text text = { 0 };
    struct pjrt_shape one = { .type = shape->type };
    struct pjrt_executable *executable = NULL;
    struct pjrt_event *done = NULL;
    pjrt_write(&text, "module @zeros {\nfunc.func public @main() -> ");
    pjrt_write_shape(&text, shape);
    pjrt_write(&text, " {\n");
    struct pjrt_value zero = pjrt_fill(&text, one, 0);
    zero = pjrt_broadcast(&text, *shape, zero, NULL);
    pjrt_write(&text, "return %%%d : ", zero.id);
    pjrt_write_shape(&text, shape);
    pjrt_write(&text, "\n}\n}\n");
    enum ash_status status = pjrt_compile_text(device, &text, &executable);
    if (status == ASH_OK) {
        struct pjrt_executable_destroy destroy = { PJRT_ARGS(pjrt_executable_destroy),
            .executable = executable };
        status = pjrt_execute(device, executable, NULL, 0, out, &done);
        if (status == ASH_OK)
            status = pjrt_device_finish(device, done, "make zeros");
        if (status == ASH_OK && !*out)
            status = pjrt_device_fail(device, "make zeros");
        pjrt_drop(device->api, device->api->executable_destroy(&destroy));
    }
    ash_free(text.text);
    return status;
}

/* Arrays of a form out of whatever bytes are at a place. */
static enum ash_status make_arrays(struct pjrt_device *device, struct ash_place place,
    const struct pjrt_form *form, struct pjrt_array *out[PJRT_MOST_PARTS])
{
    size_t size = pjrt_form_bytes(form), left = place.buffer->size_bytes - place.offset_bytes;
    char *bytes = ash_alloc_zero(size);
    if (!bytes)
        return ash_fail_memory(size, "what a step reads");
    enum ash_status status = pjrt_read(place, size < left ? size : left, bytes);
    if (status == ASH_OK)
        status = pjrt_form_send(device, form, bytes, out);
    ash_free(bytes);
    return status;
}

/* The arrays of a state, made of what is there, or of zeros, and kept. */
static enum ash_status keep_arrays(
    struct pjrt_device *device, struct ash_place place, const struct pjrt_form *form)
{
    struct pjrt_piece piece = {
        .offset_bytes = place.offset_bytes, .size_bytes = pjrt_form_bytes(form), .form = *form
    };
    enum ash_status status = pjrt_has_bytes(place, piece.size_bytes)
                                 ? make_arrays(device, place, form, piece.array)
                                 : make_zeros(device, &form->part[0], &piece.array[0]);
    if (status == ASH_OK)
        status = pjrt_piece_put((struct pjrt_buffer *)place.buffer, &piece);
    if (status != ASH_OK)
        pjrt_arrays_destroy(device, piece.array);
    return status;
}

/* The arrays of an argument in memory; *borrowed = they are a buffer's. */
static enum ash_status find_arrays(struct pjrt_device *device, const struct pjrt_argument *argument,
    struct ash_place place, struct pjrt_array *out[PJRT_MOST_PARTS], bool *borrowed)
{
    const struct pjrt_piece *piece = pjrt_piece_of(place, &argument->form);
    *borrowed = true;
    if (!piece) {
        *borrowed = argument->donated_to >= 0 || argument->form.part[0].rank >= 4;
        if (!*borrowed)
            return make_arrays(device, place, &argument->form, out);
        ASH_TRY(keep_arrays(device, place, &argument->form));
        piece = pjrt_piece_of(place, &argument->form);
    }
    memcpy(out, piece->array, sizeof piece->array);
    return ASH_OK;
}

/* ---- One run ---- */

enum ash_status pjrt_execute(struct pjrt_device *device, struct pjrt_executable *executable,
    struct pjrt_array **in, size_t in_count, struct pjrt_array **out, struct pjrt_event **done)
{
    struct pjrt_execute_options options = { PJRT_ARGS(pjrt_execute_options) };
    struct pjrt_array *const *const ins[] = { in };
    struct pjrt_array **const outs[] = { out };
    struct pjrt_execute call = { PJRT_ARGS(pjrt_execute), .executable = executable,
        .options = &options, .in = ins, .devices = 1, .in_count = in_count, .out = outs,
        .done = done };
    return pjrt_device_check(device, device->api->execute(&call), "run a program");
}

static enum ash_status fill_argument(const struct pjrt_runner *runner, struct pjrt_variant *variant,
    struct pjrt_argument *argument, const struct ash_step *steps, const struct ash_batch *batch,
    size_t *at)
{
    struct pjrt_array *array[PJRT_MOST_PARTS] = { NULL };
    const struct ash_step *step = &steps[argument->step];
    bool borrowed = false;
    if (argument->kind == PJRT_BATCH)
        ASH_TRY(send_batch(runner->device, variant, argument, batch, &array[0]));
    else if (argument->kind == PJRT_TURNS)
        ASH_TRY(send_angles(runner, argument, step, batch, &array[0]));
    else
        ASH_TRY(find_arrays(runner->device, argument, step->in[argument->input], array, &borrowed));
    for (int i = 0; i < argument->form.parts; i++) {
        variant->in[*at] = array[i];
        variant->borrowed[(*at)++] = borrowed;
    }
    return ASH_OK;
}

static void release_arguments(
    struct pjrt_device *device, struct pjrt_variant *variant, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct pjrt_array *array[PJRT_MOST_PARTS] = { variant->borrowed[i] ? NULL
                                                                           : variant->in[i] };
        pjrt_arrays_destroy(device, array);
        variant->in[i] = NULL;
    }
}

/* Puts what came out where the steps say. What cannot be put away is lost with the device. */
static enum ash_status take_results(
    struct pjrt_device *device, struct pjrt_variant *variant, const struct ash_step *steps)
{
    enum ash_status status = ASH_OK;
    for (size_t i = 0; i < variant->results; i++) {
        const struct pjrt_result *result = &variant->result[i];
        const struct ash_step *step = &steps[result->step];
        struct ash_place place = result->input < 0 ? step->out : step->in[result->input];
        struct pjrt_piece piece = { .offset_bytes = place.offset_bytes,
            .size_bytes = pjrt_form_bytes(&result->form),
            .form = result->form,
            .array = { variant->out[i] } };
        if (status == ASH_OK && !variant->out[i])
            status = pjrt_device_fail(device, "run a program");
        if (status == ASH_OK)
            status = pjrt_piece_put((struct pjrt_buffer *)place.buffer, &piece);
        if (status != ASH_OK)
            pjrt_arrays_destroy(device, piece.array);
        variant->out[i] = NULL;
        device->lost = device->lost || status != ASH_OK;
    }
    return status;
}

/* After a run that did not begin: a state that is gone all the same cannot be had again. */
static void look_for_loss(struct pjrt_device *device, const struct pjrt_variant *variant)
{
    size_t at = 0;
    for (size_t i = 0; i < variant->arguments; i++) {
        struct pjrt_array_is_deleted call = { PJRT_ARGS(pjrt_array_is_deleted),
            .array = variant->in[at] };
        if (variant->argument[i].donated_to >= 0) {
            call.deleted = !device->api->array_is_deleted; /* who knows */
            if (!call.deleted)
                pjrt_drop(device->api, device->api->array_is_deleted(&call));
            device->lost = device->lost || call.deleted;
        }
        at += (size_t)variant->argument[i].form.parts;
    }
}

static enum ash_status run_variant(const struct pjrt_runner *runner, struct pjrt_variant *variant,
    const struct ash_step *steps, const struct ash_batch *batch, struct ash_event *done)
{
    struct pjrt_device *device = runner->device;
    struct pjrt_event *event = NULL;
    enum ash_status status = ASH_OK;
    size_t filled = 0;
    for (size_t i = 0; i < variant->arguments && status == ASH_OK; i++)
        status = fill_argument(runner, variant, &variant->argument[i], steps, batch, &filled);
    if (status == ASH_OK) {
        status = pjrt_execute(
            device, variant->executable, variant->in, variant->in_count, variant->out, &event);
        if (status != ASH_OK)
            look_for_loss(device, variant);
    }
    release_arguments(device, variant, filled);
    ASH_TRY(status);
    *done = pjrt_note(device, event);
    return take_results(device, variant, steps);
}

/* ---- Sizes ---- */

/* The least of a few sizes that holds `count`. On a processor none is below a tile: where a dimension is
 * 1, its compiler leaves it out and makes other code, with other bits. */
static int64_t round_up(const struct pjrt_device *device, int64_t count, int64_t most)
{
    static const int64_t sizes[] = { 1, 16, 128 };
    for (size_t i = device->is_processor; i < sizeof sizes / sizeof *sizes; i++)
        if (count <= sizes[i] && sizes[i] < most)
            return sizes[i];
    return count > most ? count : most;
}

static enum ash_status find_variant(struct pjrt_runner *runner, const struct ash_step *steps,
    int32_t count, const struct ash_batch *batch, struct pjrt_variant **out)
{
    struct pjrt_variant wanted = {
        .tokens = round_up(runner->device, batch->tokens, runner->tokens),
        .outputs = round_up(runner->device, batch->outputs, runner->outputs),
        .pages = runner->pages,
    };
    wanted.one_span = runner->shares_pages && batch->spans <= 1 && wanted.tokens > 1;
    for (int64_t pages = runner->needs_batch ? count_pages(batch) : 0; wanted.pages < pages;)
        wanted.pages *= 2;
    for (struct pjrt_variant *variant = runner->variant; variant; variant = variant->next)
        if (variant->tokens == wanted.tokens && variant->outputs == wanted.outputs &&
            variant->pages == wanted.pages && variant->one_span == wanted.one_span) {
            *out = variant;
            return ASH_OK;
        }
    ASH_TRY(pjrt_variant_make(runner, steps, count, &wanted));
    *out = runner->variant;
    return ASH_OK;
}

static enum ash_status run_steps(struct pjrt_runner *runner, const struct ash_step *steps,
    int32_t count, const struct ash_batch *batch, struct ash_event *done)
{
    struct pjrt_variant *variant;
    ASH_TRY(find_variant(runner, steps, count, batch, &variant));
    return run_variant(runner, variant, steps, batch, done);
}

enum ash_status pjrt_launch(struct ash_device *device, const struct ash_step *step,
    const struct ash_batch *batch, const struct ash_event *after, int after_count,
    struct ash_event *done)
{
    struct pjrt_loaded *loaded = (struct pjrt_loaded *)step->loaded;
    ASH_TRY(pjrt_begin((struct pjrt_device *)device, after, after_count));
    return run_steps(&loaded->runner, step, 1, batch, done);
}

/* ---- Whole runs ---- */

static enum ash_status add_lane(
    const struct pjrt_device *device, struct ash_program *program, struct ash_trace *trace)
{
    int group;
    if (!trace)
        return ASH_OK;
    ASH_TRY(ash_trace_add_device(trace, device->who, &group));
    return ash_trace_add_lane(trace, group, "programs", &program->lane);
}

enum ash_status pjrt_compile(struct ash_device *device, const struct ash_step *steps, int32_t count,
    struct ash_trace *trace, struct ash_program **out)
{
    struct pjrt_device *self = (struct pjrt_device *)device;
    struct ash_program *program = ash_alloc_zero(sizeof *program);
    if (!program)
        return ash_fail_memory(sizeof *program, "a program");
    pjrt_runner_init(&program->runner, self, steps, count);
    program->runner.keeps_steps = true;
    program->steps = steps;
    program->count = count;
    enum ash_status status = add_lane(self, program, trace);
    struct ash_batch one = { .tokens = 1, .outputs = 1 };
    struct pjrt_variant *variant;
    if (status == ASH_OK)
        status = find_variant(&program->runner, steps, count, &one, &variant);
    if (status != ASH_OK) {
        pjrt_discard(device, program);
        return status;
    }
    *out = program;
    return ASH_OK;
}

/* With a trace the run is waited for, so that its span is its own time. The plugin's compiler has made
 * one piece of its steps: there is one span for all of them. */
static enum ash_status trace_run(
    struct pjrt_device *device, const struct ash_program *program, const struct ash_batch *batch)
{
    int64_t start_ns = ash_now_ns();
    enum ash_status status =
        pjrt_wait(&device->base, (struct ash_event){ &device->base, device->queued });
    struct ash_trace_span span = { .name = "program",
        .category = "step",
        .start_ns = start_ns,
        .duration_ns = ash_now_ns() - start_ns,
        .arg = { { .key = "steps", .number = program->count },
            { .key = "tokens", .number = batch->tokens } } };
    ash_trace_record(program->lane, &span);
    return status;
}

enum ash_status pjrt_run(struct ash_device *device, struct ash_program *program,
    const struct ash_batch *batch, const struct ash_event *after, int after_count,
    struct ash_event *done)
{
    struct pjrt_device *self = (struct pjrt_device *)device;
    ASH_TRY(pjrt_begin(self, after, after_count));
    ASH_TRY(run_steps(&program->runner, program->steps, program->count, batch, done));
    return program->lane ? trace_run(self, program, batch) : ASH_OK;
}

void pjrt_discard(struct ash_device *device, struct ash_program *program)
{
    (void)device;
    if (!program)
        return;
    pjrt_runner_finish(&program->runner);
    ash_free(program);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "drivers/pjrt/pjrt_emit.h"
#include "kernels/attention/attention.h"
#include "kernels/kv_write/kv_write.h"
#include "kernels/rope/rope.h"
#include "runtime/memory.h"

#include <string.h>

/* ---- What steps read and write ---- */

static void keep_status(struct pjrt_emit *emit, enum ash_status status)
{
    emit->status = emit->status == ASH_OK ? status : emit->status;
}

struct ash_args pjrt_emit_args(const struct pjrt_emit *emit)
{
    struct ash_args args = emit->steps[emit->step].args;
    for (int i = 0; i <= ASH_MAX_INPUTS; i++) {
        struct ash_tensor *tensor = i < ASH_MAX_INPUTS ? &args.in[i] : &args.out;
        if (tensor->rank && tensor->extent != ASH_EXTENT_FIXED)
            tensor->dim[0] = emit->rows[tensor->extent];
    }
    return args;
}

static struct pjrt_argument *add_argument(
    struct pjrt_emit *emit, enum pjrt_argument_kind kind, int input, const struct pjrt_form *form)
{
    struct pjrt_variant *variant = emit->variant;
    keep_status(emit, ASH_GROW(variant->argument, variant->argument_capacity, variant->arguments));
    if (emit->status != ASH_OK)
        return NULL;
    struct pjrt_argument *argument = &variant->argument[variant->arguments++];
    *argument = (struct pjrt_argument){
        .kind = kind, .step = emit->step, .input = input, .form = *form, .donated_to = -1
    };
    for (int i = 0; i < form->parts; i++)
        argument->id[i] = pjrt_name(&emit->body, form->part[i]).id;
    return argument;
}

static struct pjrt_known *find_known(struct pjrt_emit *emit, struct ash_place place)
{
    for (size_t i = 0; i < emit->count; i++)
        if (emit->known[i].place.buffer == place.buffer &&
            emit->known[i].place.offset_bytes == place.offset_bytes)
            return &emit->known[i];
    return NULL;
}

static struct pjrt_known *add_known(struct pjrt_emit *emit, struct ash_place place)
{
    keep_status(emit, ASH_GROW(emit->known, emit->capacity, emit->count));
    if (emit->status != ASH_OK)
        return NULL;
    struct pjrt_known *known = &emit->known[emit->count++];
    *known = (struct pjrt_known){ .place = place, .argument = -1, .step = -1, .input = -1 };
    return known;
}

static struct pjrt_known *add_memory(
    struct pjrt_emit *emit, int input, struct ash_place place, const struct pjrt_form *form)
{
    struct pjrt_argument *argument = add_argument(emit, PJRT_MEMORY, input, form);
    struct pjrt_known *known = argument ? add_known(emit, place) : NULL;
    if (!known)
        return NULL;
    known->argument = (int)emit->variant->arguments - 1;
    known->size_bytes = ash_tensor_bytes(&emit->steps[emit->step].args.in[input]);
    known->parts.form = *form;
    for (int i = 0; i < form->parts; i++)
        known->parts.value[i] = (struct pjrt_value){ argument->id[i], form->part[i] };
    return known;
}

struct pjrt_parts pjrt_emit_input(struct pjrt_emit *emit, int input)
{
    const struct ash_step *step = &emit->steps[emit->step];
    struct ash_args args = pjrt_emit_args(emit);
    struct pjrt_parts parts = { .value = { { 0 } } };
    pjrt_form_of(step->op, &args, input, &parts.form);
    for (int i = 0; i < parts.form.parts; i++)
        parts.value[i].shape = parts.form.part[i];
    if (!step->in[input].buffer) {
        keep_status(emit, ash_fail(ASH_ERR_UNSUPPORTED,
                              "%s: input %d is in host memory, which this device does not read",
                              step->name, input));
        return parts;
    }
    const struct pjrt_known *known = find_known(emit, step->in[input]);
    if (!known)
        known = add_memory(emit, input, step->in[input], &parts.form);
    if (!known || pjrt_form_is(&known->parts.form, &parts.form))
        return known ? known->parts : parts;
    if (known->parts.form.planes || known->parts.form.type != parts.form.type)
        keep_status(emit, ash_fail(ASH_ERR_UNSUPPORTED, "%s: input %d was written as another type",
                              step->name, input));
    else
        parts.value[0] = pjrt_reshape(&emit->body, parts.form.part[0], known->parts.value[0]);
    return parts;
}

/* What is written over something else is all that is left of it. */
static void forget(struct pjrt_emit *emit, struct ash_place place, size_t size_bytes)
{
    size_t kept = 0;
    for (size_t i = 0; i < emit->count; i++) {
        const struct pjrt_known *known = &emit->known[i];
        bool over = known->place.buffer == place.buffer &&
                    known->place.offset_bytes < place.offset_bytes + size_bytes &&
                    place.offset_bytes < known->place.offset_bytes + known->size_bytes;
        if (!over)
            emit->known[kept++] = *known;
    }
    emit->count = kept;
}

void pjrt_emit_result(struct pjrt_emit *emit, int input, struct pjrt_value value)
{
    const struct ash_step *step = &emit->steps[emit->step];
    struct ash_args args = pjrt_emit_args(emit);
    struct pjrt_form form;
    pjrt_form_of(step->op, &args, input, &form);
    value = pjrt_reshape(&emit->body, form.part[0], value);
    struct pjrt_known *known = input < 0 ? NULL : find_known(emit, step->in[input]);
    if (!known) {
        size_t size = ash_tensor_bytes(&step->args.out);
        forget(emit, step->out, size);
        known = add_known(emit, step->out);
        if (!known)
            return;
        known->size_bytes = size;
    }
    known->parts.form = form;
    known->parts.value[0] = value;
    known->step = emit->step;
    known->input = input;
}

/* ---- Tables of angles ---- */

/* The heads that a step turns, and which of its inputs has their factors. */
static const struct ash_rope_params *turns_of(const struct ash_step *step, int *factors)
{
    bool writes = step->op == &ash_op_kv_write;
    *factors = writes ? 4 : 1;
    return writes ? &((const struct ash_kv_write_params *)step->args.params)->rope
                  : step->args.params;
}

static bool turns_alike(const struct ash_step *a, const struct ash_step *b)
{
    int i, j;
    const struct ash_rope_params *p = turns_of(a, &i), *q = turns_of(b, &j);
    bool both = a->args.in[i].rank > 0, one = both || b->args.in[j].rank > 0;
    return p->dims == q->dims && p->base == q->base && p->scale == q->scale &&
           (!one || (both && a->in[i].buffer == b->in[j].buffer &&
                        a->in[i].offset_bytes == b->in[j].offset_bytes));
}

struct pjrt_value pjrt_emit_turns(struct pjrt_emit *emit, int64_t pairs)
{
    int factors;
    const struct ash_step *step = &emit->steps[emit->step];
    struct pjrt_form form = { .type = ASH_F32,
        .parts = 1,
        .part = { PJRT_SHAPE(PJRT_F32, 2, emit->rows[ASH_EXTENT_TOKENS], pairs) } };
    for (size_t i = 0; i < emit->variant->arguments; i++) {
        const struct pjrt_argument *argument = &emit->variant->argument[i];
        if (argument->kind == PJRT_TURNS && turns_alike(&emit->steps[argument->step], step))
            return (struct pjrt_value){ argument->id[0], form.part[0] };
    }
    turns_of(step, &factors);
    struct pjrt_argument *argument = add_argument(emit, PJRT_TURNS, factors, &form);
    if (!argument)
        return (struct pjrt_value){ 0, form.part[0] };
    argument->table = ash_alloc(pjrt_form_bytes(&form));
    if (!argument->table)
        keep_status(emit, ash_fail_memory(pjrt_form_bytes(&form), "angles"));
    return (struct pjrt_value){ argument->id[0], form.part[0] };
}

/* ---- The whole program ---- */

/* The numbers of a batch are one argument, cut up: pjrt_run.c has their order. */
static void emit_batch(struct pjrt_emit *emit)
{
    int64_t tokens = emit->variant->tokens, outputs = emit->variant->outputs;
    int64_t total = 4 * tokens + outputs + emit->variant->pages;
    struct pjrt_form form = {
        .type = ASH_I32, .parts = 1, .part = { PJRT_SHAPE(PJRT_S32, total) }
    };
    const struct pjrt_argument *argument = add_argument(emit, PJRT_BATCH, -1, &form);
    if (!argument)
        return;
    struct pjrt_value all = { argument->id[0], form.part[0] };
    struct pjrt_value *parts[] = { &emit->token, &emit->position, &emit->start, &emit->page };
    for (int i = 0; i < 4; i++)
        *parts[i] = pjrt_slice(&emit->body, all, 0, i * tokens, (i + 1) * tokens);
    emit->output = pjrt_slice(&emit->body, all, 0, 4 * tokens, 4 * tokens + outputs);
    emit->pages = pjrt_slice(&emit->body, all, 0, 4 * tokens + outputs, total);
}

/* Whatever is left of what the steps wrote is a result; a state's takes over its memory. */
static void take_results(struct pjrt_emit *emit)
{
    struct pjrt_variant *variant = emit->variant;
    for (size_t i = 0; i < emit->count && emit->status == ASH_OK; i++) {
        const struct pjrt_known *known = &emit->known[i];
        if (known->step < 0)
            continue;
        keep_status(emit, ASH_GROW(variant->result, variant->result_capacity, variant->results));
        if (emit->status != ASH_OK)
            return;
        if (known->argument >= 0 && known->input >= 0)
            variant->argument[known->argument].donated_to = (int)variant->results;
        variant->result[variant->results++] = (struct pjrt_result){ .step = known->step,
            .input = known->input,
            .form = known->parts.form,
            .id = known->parts.value[0].id };
    }
}

static void write_arguments(const struct pjrt_variant *variant, struct pjrt_text *out)
{
    bool first = true;
    for (size_t i = 0; i < variant->arguments; i++) {
        const struct pjrt_argument *argument = &variant->argument[i];
        for (int part = 0; part < argument->form.parts; part++, first = false) {
            pjrt_write(out, "%s%%%d: ", first ? "" : ", ", argument->id[part]);
            pjrt_write_shape(out, &argument->form.part[part]);
            if (argument->donated_to >= 0)
                pjrt_write(out, " {tf.aliasing_output = %d : i32}", argument->donated_to);
        }
    }
}

static void write_results(const struct pjrt_variant *variant, struct pjrt_text *out, bool types)
{
    for (size_t i = 0; i < variant->results; i++) {
        if (!types)
            pjrt_write(out, "%s%%%d", i ? ", " : "", variant->result[i].id);
        else
            pjrt_write(out, "%s", i ? ", " : "");
        if (types)
            pjrt_write_shape(out, &variant->result[i].form.part[0]);
    }
}

static void write_module(const struct pjrt_emit *emit, struct pjrt_text *out)
{
    pjrt_write(out, "module @ashlar {\nfunc.func public @main(");
    write_arguments(emit->variant, out);
    pjrt_write(out, ") -> (");
    write_results(emit->variant, out, true);
    pjrt_write(out, ") {\n%s", emit->body.text ? emit->body.text : "");
    pjrt_write(out, "return ");
    write_results(emit->variant, out, false);
    pjrt_write(out, " : ");
    write_results(emit->variant, out, true);
    pjrt_write(out, "\n}\n}\n");
}

static enum ash_status emit_steps(struct pjrt_emit *emit, bool needs_batch, int32_t count)
{
    if (needs_batch)
        emit_batch(emit);
    for (; emit->step < count && emit->status == ASH_OK; emit->step++) {
        struct ash_args args = pjrt_emit_args(emit);
        pjrt_op_find(emit->steps[emit->step].op)->emit(emit, &args);
    }
    take_results(emit);
    return emit->status != ASH_OK ? emit->status : emit->body.status;
}

/* ---- Compiling ---- */

static enum ash_status add_room(struct pjrt_variant *variant)
{
    for (size_t i = 0; i < variant->arguments; i++)
        variant->in_count += (size_t)variant->argument[i].form.parts;
    variant->in = ash_alloc_array(variant->in_count + 1, sizeof(struct pjrt_array *));
    variant->out = ash_alloc_array(variant->results + 1, sizeof(struct pjrt_array *));
    variant->borrowed = ash_alloc_array(variant->in_count + 1, sizeof *variant->borrowed);
    if (!variant->in || !variant->out || !variant->borrowed)
        return ash_fail_memory(variant->in_count * sizeof(void *), "a program's arguments");
    return ASH_OK;
}

static void variant_destroy(struct pjrt_device *device, struct pjrt_variant *variant)
{
    struct pjrt_executable_destroy call = { PJRT_ARGS(pjrt_executable_destroy),
        .executable = variant->executable };
    if (variant->executable)
        pjrt_drop(device->api, device->api->executable_destroy(&call));
    for (size_t i = 0; i < variant->arguments; i++) {
        ash_free(variant->argument[i].table);
        ash_free(variant->argument[i].factor);
    }
    ash_free(variant->argument);
    ash_free(variant->result);
    ash_free(variant->in);
    ash_free(variant->out);
    ash_free(variant->borrowed);
    ash_free(variant);
}

static enum ash_status make(struct pjrt_runner *runner, struct pjrt_variant *variant,
    const struct ash_step *steps, int32_t count)
{
    struct pjrt_text module = { 0 };
    struct pjrt_emit emit = { .variant = variant,
        .steps = steps,
        .tiles = runner->device->is_processor,
        .rows = {
            [ASH_EXTENT_TOKENS] = variant->tokens, [ASH_EXTENT_OUTPUTS] = variant->outputs } };
    enum ash_status status = emit_steps(&emit, runner->needs_batch, count);
    if (status == ASH_OK) {
        write_module(&emit, &module);
        status = pjrt_compile_text(runner->device, &module, &variant->executable);
    }
    if (status == ASH_OK)
        status = add_room(variant);
    ash_free(module.text);
    ash_free(emit.body.text);
    ash_free(emit.known);
    return status;
}

enum ash_status pjrt_variant_make(struct pjrt_runner *runner, const struct ash_step *steps,
    int32_t count, const struct pjrt_variant *wanted)
{
    struct pjrt_variant *variant = ash_alloc(sizeof *variant);
    if (!variant)
        return ash_fail_memory(sizeof *variant, "a program");
    *variant = *wanted;
    enum ash_status status = make(runner, variant, steps, count);
    if (status != ASH_OK) {
        variant_destroy(runner->device, variant);
        return ash_fail_in(status, "%s", steps[0].name);
    }
    variant->next = runner->variant;
    runner->variant = variant;
    return ASH_OK;
}

/* ---- Runners ---- */

static void note_extent(struct pjrt_runner *runner, const struct ash_tensor *tensor)
{
    int64_t *most = tensor->extent == ASH_EXTENT_TOKENS    ? &runner->tokens
                    : tensor->extent == ASH_EXTENT_OUTPUTS ? &runner->outputs
                                                           : NULL;
    if (tensor->rank && most && tensor->dim[0] > *most)
        *most = tensor->dim[0];
    if (tensor->rank == 4 && tensor->extent == ASH_EXTENT_FIXED && tensor->dim[0] > runner->pages)
        runner->pages = tensor->dim[0];
}

void pjrt_runner_init(struct pjrt_runner *runner, struct pjrt_device *device,
    const struct ash_step *steps, int32_t count)
{
    *runner = (struct pjrt_runner){ .device = device, .tokens = 1, .outputs = 1, .pages = 1 };
    for (int32_t s = 0; s < count; s++) {
        runner->needs_batch = runner->needs_batch || steps[s].op->needs_batch;
        if (steps[s].op == &ash_op_attention &&
            ((const struct ash_attention_params *)steps[s].args.params)->window == 0)
            runner->shares_pages = true;
        for (int i = 0; i < ASH_MAX_INPUTS; i++)
            note_extent(runner, &steps[s].args.in[i]);
        note_extent(runner, &steps[s].args.out);
    }
}

void pjrt_runner_finish(struct pjrt_runner *runner)
{
    while (runner->variant) {
        struct pjrt_variant *variant = runner->variant;
        runner->variant = variant->next;
        variant_destroy(runner->device, variant);
    }
}

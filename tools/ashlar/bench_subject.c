/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/ashlar/bench_subject.h"

#include "kernels/kv_cache.h"
#include "runtime/cpu.h"
#include "runtime/memory.h"
#include "runtime/trace.h"

#include <math.h>
#include <string.h>

enum {
    COLD_BYTES =
        96 << 20, /* what a model of 135M reads for a token: weights are back after so much */
    MOST_STEPS = 512,
    WARM_STEPS = 64,   /* of operators that read nothing but activations */
    PATTERN_ROWS = 64, /* rows of a weight that differ */
};
static const double RUN_FLOPS = 4e9; /* a run of the steps does not need to take longer than this */

/* ---- Shapes ---- */

static int32_t pages_each(const struct bench_phase *phase)
{
    return (phase->cached + phase->tokens + ASH_PAGE_POSITIONS - 1) / ASH_PAGE_POSITIONS;
}

static int64_t extent_of(const struct bench_subject *subject, int letter)
{
    const struct bench_shape *shape = subject->shape;
    const struct bench_phase *phase = subject->phase;
    switch (letter) {
    case BENCH_T:
        return (int64_t)phase->spans * phase->tokens;
    case BENCH_O:
        return phase->spans;
    case BENCH_V:
        return shape->vocabulary;
    case BENCH_C:
        return shape->channels;
    case BENCH_F:
        return shape->feed_forward;
    case BENCH_Q:
        return shape->heads * shape->head_size;
    case BENCH_K:
        return shape->kv_heads * shape->head_size;
    case BENCH_H:
        return shape->kv_heads;
    case BENCH_D:
        return shape->head_size;
    case BENCH_P:
        return (int64_t)phase->spans * pages_each(phase);
    case BENCH_S:
        return ash_attention_scratch((int64_t)phase->spans * pages_each(phase), phase->spans,
            shape->heads, shape->head_size);
    default:
        return letter;
    }
}

enum ash_status bench_subject_shape(struct bench_subject *subject, enum ash_type type)
{
    for (int i = 0; i < ASH_MAX_INPUTS; i++) {
        const int *letter = subject->row->dim[i];
        int64_t dim[ASH_MAX_RANK];
        int rank = 0;
        for (; rank < ASH_MAX_RANK && letter[rank] != 0; rank++)
            dim[rank] = extent_of(subject, letter[rank]);
        if (rank == 0)
            continue;
        struct ash_tensor *in = &subject->args.in[i];
        ASH_TRY(ash_tensor_init(subject->row->typed >> i & 1 ? type : ASH_F32, rank, dim, in));
        in->extent = letter[0] == BENCH_T   ? ASH_EXTENT_TOKENS
                     : letter[0] == BENCH_O ? ASH_EXTENT_OUTPUTS
                                            : ASH_EXTENT_FIXED;
    }
    subject->args.params = NULL;
    if (subject->row->params) {
        subject->row->params(subject->shape, &subject->params);
        subject->args.params = &subject->params;
    }
    return ash_op_infer(subject->row->op, &subject->args, &subject->args.out);
}

static enum ash_status make_batch(struct bench_subject *subject)
{
    const struct bench_phase *phase = subject->phase;
    int32_t tokens = phase->spans * phase->tokens, pages = pages_each(phase);
    subject->span = ash_alloc_array((size_t)phase->spans, sizeof *subject->span);
    subject->numbers = ash_alloc_array(
        (size_t)(2 * tokens + phase->spans * (1 + pages)), sizeof *subject->numbers);
    if (!subject->span || !subject->numbers)
        return ash_fail_memory((size_t)tokens * 8, "a batch");
    int32_t *token = subject->numbers, *token_span = token + tokens;
    int32_t *output = token_span + tokens, *page = output + phase->spans;
    for (int32_t t = 0; t < tokens; t++) {
        token[t] = (int32_t)((uint32_t)t * 2654435761u % (uint32_t)subject->shape->vocabulary);
        token_span[t] = t / phase->tokens;
    }
    for (int32_t s = 0; s < phase->spans; s++) {
        output[s] = (s + 1) * phase->tokens - 1;
        subject->span[s] =
            (struct ash_span){ s * phase->tokens, phase->tokens, phase->cached, page + s * pages };
    }
    for (int32_t p = 0; p < phase->spans * pages; p++)
        page[p] = p;
    subject->batch = (struct ash_batch){ tokens, phase->spans, phase->spans, token, token_span,
        output, subject->span };
    return ASH_OK;
}

/* ---- Memory ---- */

/* Numbers in [-1, 1), the same every time. */
static void random_row(float *row, int64_t columns, uint32_t *state)
{
    for (int64_t c = 0; c < columns; c++) {
        *state = *state * 1664525u + 1013904223u; /* Numerical Recipes' */
        row[c] = (float)(int32_t)*state * 0x1p-31F;
    }
}

/* The first rows in the tensor's format; a cache's page in its layout. Returns how many bytes. */
static size_t write_pattern(const struct ash_tensor *tensor, float *row)
{
    uint32_t state = 1;
    int64_t columns = ash_tensor_columns(tensor), rows = ash_tensor_rows(tensor);
    bool cache = tensor->rank == 4;
    if (cache || rows > PATTERN_ROWS)
        rows = cache ? ASH_PAGE_POSITIONS : PATTERN_ROWS;
    for (int64_t r = 0; r < rows; r++) {
        random_row(row, columns, &state);
        if (cache)
            ash_kv_write(ASH_KV_KEYS, tensor, tensor->data, (int)r, row);
        else if (ash_from_float(tensor->type, row, columns,
                     (char *)tensor->data + (size_t)r * ash_tensor_row_bytes(tensor)) != ASH_OK)
            break;
    }
    return (size_t)rows * ash_tensor_row_bytes(tensor);
}

/* A tensor in its plain layout; the caller frees its data. */
static enum ash_status fill(struct ash_tensor *tensor)
{
    size_t bytes = ash_tensor_bytes(tensor);
    float *row = ash_alloc_array((size_t)ash_tensor_columns(tensor), sizeof *row);
    tensor->data = ash_alloc(bytes);
    if (!row || !tensor->data) {
        ash_free(row);
        return ash_fail_memory(bytes, "an operator's input");
    }
    size_t pattern = write_pattern(tensor, row);
    for (size_t at = pattern; at < bytes; at += pattern)
        memcpy(
            (char *)tensor->data + at, tensor->data, bytes - at < pattern ? bytes - at : pattern);
    ash_free(row);
    return ASH_OK;
}

static bool is_cold(const struct ash_tensor *tensor)
{
    return tensor->rank > 0 && tensor->extent == ASH_EXTENT_FIXED;
}

/* As many as it takes for the first one's weights to have left the caches as in a model. */
static int32_t count_steps(const struct bench_subject *subject)
{
    double bytes = 0, steps = WARM_STEPS;
    for (int i = 0; i < ASH_MAX_INPUTS; i++)
        if (is_cold(&subject->args.in[i]))
            bytes += (double)ash_tensor_bytes(&subject->args.in[i]);
    if (bytes > 0)
        steps = ceil(COLD_BYTES / bytes);
    if (subject->cost.flops * steps > RUN_FLOPS)
        steps = ceil(RUN_FLOPS / subject->cost.flops);
    return steps < MOST_STEPS ? (int32_t)steps : MOST_STEPS;
}

static enum ash_status upload_input(struct bench_subject *subject, int input, int32_t copies)
{
    struct ash_tensor tensor = subject->args.in[input];
    if (subject->row->op->scratch >> input & 1)
        return ASH_OK; /* zeros, as states are */
    ASH_TRY(fill(&tensor));
    enum ash_status status = ASH_OK;
    for (int32_t i = 0; i < copies && status == ASH_OK; i++)
        status = subject->device->driver->upload(subject->device, subject->loaded, input, &tensor,
            (struct ash_place){ subject->in[input], (size_t)i * subject->stride[input] });
    ash_free(tensor.data);
    return status;
}

static enum ash_status place_input(struct bench_subject *subject, int input)
{
    const struct ash_tensor *tensor = &subject->args.in[input];
    const struct ash_loaded *loaded = subject->loaded;
    bool packed = loaded->packed_input && loaded->packed_input == input, cold = is_cold(tensor);
    size_t bytes = packed ? loaded->packed_bytes : ash_tensor_bytes(tensor);
    size_t stride = (bytes + 63) / 64 * 64;
    int32_t copies = cold ? subject->steps : 1;
    enum ash_memory_use use = !cold ? ASH_MEMORY_ARENA
                              : tensor->rank == 4 || subject->row->op->scratch >> input & 1
                                  ? ASH_MEMORY_STATE
                                  : ASH_MEMORY_WEIGHTS;
    subject->stride[input] = cold ? stride : 0;
    ASH_TRY(subject->device->driver->alloc(
        subject->device, stride * (size_t)copies, use, &subject->in[input]));
    return upload_input(subject, input, copies);
}

static enum ash_status place(struct bench_subject *subject)
{
    for (int i = 0; i < ASH_MAX_INPUTS; i++)
        if (subject->args.in[i].rank > 0)
            ASH_TRY(place_input(subject, i));
    if (subject->args.out.rank == 0)
        return ASH_OK;
    return subject->device->driver->alloc(
        subject->device, ash_tensor_bytes(&subject->args.out), ASH_MEMORY_ARENA, &subject->out);
}

/* ---- Steps ---- */

static struct ash_step make_step(const struct bench_subject *subject, int32_t index)
{
    struct ash_step step = { .name = subject->row->name,
        .op = &subject->op,
        .loaded = subject->loaded,
        .args = subject->args,
        .out = { subject->out, 0 },
        .phase = index };
    for (int i = 0; i < ASH_MAX_INPUTS; i++) {
        struct ash_buffer *buffer = subject->in[i];
        size_t offset = (size_t)index * subject->stride[i];
        step.in[i] = (struct ash_place){ buffer, offset };
        step.args.in[i].data = buffer && buffer->host ? (char *)buffer->host + offset : NULL;
    }
    step.args.out.data = subject->out ? subject->out->host : NULL;
    return step;
}

bool bench_subject_choose(struct bench_subject *subject, const struct ash_kernel *kernel)
{
    subject->kernel[0] = *kernel;
    subject->op = *subject->row->op;
    subject->op.kernels = subject->kernel;
    subject->args.params = subject->row->params ? &subject->params : NULL; /* of this copy */
    if (!ash_op_choose(&subject->op, &subject->args, ash_cpu_features()))
        return false;
    if (kernel->activation != ASH_F32)
        subject->args.in[0].type = kernel->activation; /* as after the planner's conversion */
    return true;
}

enum ash_status bench_subject_prepare(struct bench_subject *subject)
{
    struct ash_device *device = subject->device;
    ASH_TRY(make_batch(subject));
    ash_args_bind(&subject->args, &subject->batch);
    subject->op.cost(&subject->args, &subject->cost);
    ASH_TRY(device->driver->load(device, &subject->op, &subject->args, &subject->loaded));
    subject->steps = count_steps(subject);
    ASH_TRY(place(subject));
    subject->step = ash_alloc_array((size_t)subject->steps, sizeof *subject->step);
    if (!subject->step)
        return ash_fail_memory((size_t)subject->steps * sizeof *subject->step, "steps");
    for (int32_t i = 0; i < subject->steps; i++)
        subject->step[i] = make_step(subject, i);
    return device->driver->compile(device, subject->step, subject->steps, NULL, &subject->program);
}

void bench_subject_finish(struct bench_subject *subject)
{
    struct ash_device *device = subject->device;
    device->driver->discard(device, subject->program);
    device->driver->unload(device, subject->loaded);
    for (int i = 0; i < ASH_MAX_INPUTS; i++)
        device->driver->free(subject->in[i]);
    device->driver->free(subject->out);
    ash_free(subject->step);
    ash_free(subject->span);
    ash_free(subject->numbers);
}

enum ash_status bench_subject_run(const struct bench_subject *subject, int64_t runs, double *out_ns)
{
    struct ash_device *device = subject->device;
    struct ash_event done;
    int64_t start_ns = ash_now_ns();
    for (int64_t i = 0; i < runs; i++)
        ASH_TRY(device->driver->run(device, subject->program, &subject->batch, NULL, 0, &done));
    ASH_TRY(device->driver->wait(device, done));
    *out_ns = (double)(ash_now_ns() - start_ns) / (double)runs / subject->steps;
    return ASH_OK;
}

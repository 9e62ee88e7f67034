/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/tiny_ops.h"

#include <string.h>

static const float *row_of(const struct ash_tensor *tensor, int64_t row)
{
    return (const float *)tensor->data + row * ash_tensor_columns(tensor);
}

static float *out_row(const struct ash_args *args, int64_t row)
{
    return (float *)args->out.data + row * ash_tensor_columns(&args->out);
}

static void cost(const struct ash_args *args, struct ash_cost *out)
{
    *out = (struct ash_cost){ .flops = (double)ash_tensor_elements(&args->out),
        .bytes_written = (double)ash_tensor_bytes(&args->out) };
    for (int i = 0; i < ASH_MAX_INPUTS; i++)
        out->bytes_read += (double)ash_tensor_bytes(&args->in[i]);
}

static enum ash_status expect(bool condition, const char *what)
{
    return condition ? ASH_OK : ash_fail(ASH_ERR_SHAPE, "expected %s", what);
}

/* (T, C) of any extent and F32. */
static bool is_rows(const struct ash_tensor *tensor)
{
    return tensor->type == ASH_F32 && tensor->rank == 2;
}

static bool is_same(const struct ash_tensor *a, const struct ash_tensor *b)
{
    return a->type == b->type && a->extent == b->extent && a->rank == b->rank &&
           memcmp(a->dim, b->dim, sizeof a->dim) == 0;
}

/* A reference that runs all rows, out of the kernel that runs some. */
#define REFERENCE(name)                                                                            \
    static void name##_reference(const struct ash_args *args)                                      \
    {                                                                                              \
        name##_run(args, 0, ash_tensor_rows(&args->out));                                          \
    }

/* ---- source ---- */

static enum ash_status source_infer(const struct ash_args *args, struct ash_tensor *out)
{
    const struct tiny_source_params *params = args->params;
    ASH_TRY(ash_tensor_init(ASH_F32, 2, (int64_t[]){ 1, params->columns }, out));
    out->extent = ASH_EXTENT_TOKENS;
    return ASH_OK;
}

static void source_run(const struct ash_args *args, int64_t first, int64_t last)
{
    for (int64_t t = first; t < last; t++)
        for (int64_t c = 0; c < ash_tensor_columns(&args->out); c++)
            out_row(args, t)[c] = (float)(args->batch->token[t] % 17 - 8) / 8 +
                                  (float)((ash_batch_position(args->batch, t) + c) % 5) / 4;
}
REFERENCE(source)

static const struct ash_kernel source_kernels[] = {
    { .name = "plain", .grain = 1, .run = source_run },
    { 0 },
};

const struct ash_op tiny_source = {
    .name = "tiny_source",
    .params_bytes = sizeof(struct tiny_source_params),
    .needs_batch = true,
    .infer = source_infer,
    .cost = cost,
    .reference = source_reference,
    .kernels = source_kernels,
};

/* ---- pick ---- */

static enum ash_status pick_infer(const struct ash_args *args, struct ash_tensor *out)
{
    ASH_TRY(expect(is_rows(&args->in[0]), "(T, C)"));
    *out = args->in[0];
    out->extent = ASH_EXTENT_OUTPUTS;
    return ASH_OK;
}

static void pick_run(const struct ash_args *args, int64_t first, int64_t last)
{
    for (int64_t o = first; o < last; o++)
        memcpy(out_row(args, o), row_of(&args->in[0], args->batch->output[o]),
            ash_tensor_row_bytes(&args->out));
}
REFERENCE(pick)

static const struct ash_kernel pick_kernels[] = {
    { .name = "plain", .grain = 1, .run = pick_run },
    { 0 },
};

const struct ash_op tiny_pick = {
    .name = "tiny_pick",
    .inputs = 1,
    .needs_batch = true,
    .infer = pick_infer,
    .cost = cost,
    .reference = pick_reference,
    .kernels = pick_kernels,
};

/* ---- scale ---- */

static enum ash_status scale_infer(const struct ash_args *args, struct ash_tensor *out)
{
    const struct ash_tensor *x = &args->in[0], *w = &args->in[1];
    ASH_TRY(expect(is_rows(x) && w->type == ASH_F32 && w->rank == 1 && w->dim[0] == x->dim[1],
        "(T, C) and (C)"));
    *out = *x;
    return ASH_OK;
}

enum { MAX_COLUMNS = 1024 };

static void scale_run(const struct ash_args *args, int64_t first, int64_t last)
{
    const float *w = args->in[1].data;
    int64_t columns = ash_tensor_columns(&args->out);
    for (int64_t t = first; t < last; t++) {
        float row[MAX_COLUMNS];
        for (int64_t c = 0; c < columns; c++)
            row[c] = row_of(&args->in[0], t)[c] * w[c];
        char *out = (char *)args->out.data + (size_t)t * ash_tensor_row_bytes(&args->out);
        (void)!ash_from_float(args->out.type, row, columns, out);
    }
}
REFERENCE(scale)

static bool scale_accepts(const struct ash_args *args)
{
    return args->in[0].type == ASH_F32 && ash_tensor_columns(&args->out) <= MAX_COLUMNS &&
           (args->out.type == ASH_F32 ||
               (args->out.type == ASH_A8 && ash_tensor_columns(&args->out) % 32 == 0));
}

static const struct ash_kernel scale_kernels[] = {
    { .name = "plain", .accepts = scale_accepts, .grain = 1, .run = scale_run },
    { 0 },
};

const struct ash_op tiny_scale = {
    .name = "tiny_scale",
    .inputs = 2,
    .in_place = 1 << 0,
    .infer = scale_infer,
    .cost = cost,
    .reference = scale_reference,
    .kernels = scale_kernels,
};

/* ---- add ---- */

static enum ash_status add_infer(const struct ash_args *args, struct ash_tensor *out)
{
    ASH_TRY(expect(
        is_rows(&args->in[0]) && is_same(&args->in[0], &args->in[1]), "two times the same (T, C)"));
    *out = args->in[0];
    return ASH_OK;
}

static void add_run(const struct ash_args *args, int64_t first, int64_t last)
{
    for (int64_t t = first; t < last; t++)
        for (int64_t c = 0; c < ash_tensor_columns(&args->out); c++)
            out_row(args, t)[c] = row_of(&args->in[0], t)[c] + row_of(&args->in[1], t)[c];
}
REFERENCE(add)

static const struct ash_kernel add_kernels[] = {
    { .name = "plain", .grain = 1, .run = add_run },
    { 0 },
};

const struct ash_op tiny_add = {
    .name = "tiny_add",
    .inputs = 2,
    .in_place = 1 << 0 | 1 << 1,
    .infer = add_infer,
    .cost = cost,
    .reference = add_reference,
    .kernels = add_kernels,
};

/* ---- reverse ---- */

static enum ash_status reverse_infer(const struct ash_args *args, struct ash_tensor *out)
{
    ASH_TRY(expect(is_rows(&args->in[0]), "(T, C)"));
    *out = args->in[0];
    return ASH_OK;
}

static void reverse_run(const struct ash_args *args, int64_t first, int64_t last)
{
    int64_t columns = ash_tensor_columns(&args->out);
    for (int64_t t = first; t < last; t++)
        for (int64_t c = 0; c < columns; c++)
            out_row(args, t)[c] = row_of(&args->in[0], t)[columns - 1 - c];
}
REFERENCE(reverse)

static const struct ash_kernel reverse_kernels[] = {
    { .name = "plain", .grain = 4, .run = reverse_run },
    { 0 },
};

const struct ash_op tiny_reverse = {
    .name = "tiny_reverse",
    .inputs = 1,
    .infer = reverse_infer,
    .cost = cost,
    .reference = reverse_reference,
    .kernels = reverse_kernels,
};

/* ---- mix ---- */

static enum ash_status mix_infer(const struct ash_args *args, struct ash_tensor *out)
{
    const struct ash_tensor *x = &args->in[0], *w = &args->in[1], *addend = &args->in[2];
    ASH_TRY(expect(is_rows(x) && is_rows(w) && w->dim[1] == x->dim[1], "(T, C) and (N, C)"));
    *out = *x;
    out->dim[1] = w->dim[0];
    return expect(addend->rank == 0 || is_same(addend, out), "an addend (T, N)");
}

/* What it really takes, so that it is worth sharing between threads. */
static void mix_cost(const struct ash_args *args, struct ash_cost *out)
{
    cost(args, out);
    out->flops *= 2 * (double)args->in[1].dim[1];
}

/* One element: the same order of summation whoever asks. */
static float dot(const float *x, const float *w, int64_t stride, int64_t count)
{
    float sum = 0;
    for (int64_t c = 0; c < count; c++)
        sum += x[c] * w[c * stride];
    return sum;
}

static void mix_row(const struct ash_args *args, int64_t t, const float *x, bool packed)
{
    const float *w = args->in[1].data;
    int64_t columns = args->in[1].dim[1], rows = args->in[1].dim[0];
    for (int64_t n = 0; n < rows; n++) {
        float sum = packed ? dot(x, w + n, rows, columns) : dot(x, w + n * columns, 1, columns);
        if (args->in[2].rank)
            sum += row_of(&args->in[2], t)[n];
        out_row(args, t)[n] = sum;
    }
}

static void mix_run(const struct ash_args *args, int64_t first, int64_t last)
{
    for (int64_t t = first; t < last; t++)
        mix_row(args, t, row_of(&args->in[0], t), true);
}

static void mix_reference(const struct ash_args *args)
{
    for (int64_t t = 0; t < ash_tensor_rows(&args->out); t++)
        mix_row(args, t, row_of(&args->in[0], t), false);
}

size_t tiny_pack_bytes(const struct ash_tensor *weight)
{
    return ash_tensor_bytes(weight);
}

static void mix_pack(const struct ash_tensor *weight, int64_t first, int64_t last, void *out)
{
    for (int64_t n = first; n < last; n++)
        for (int64_t c = 0; c < weight->dim[1]; c++)
            ((float *)out)[c * weight->dim[0] + n] = row_of(weight, n)[c];
}

static const struct ash_kernel mix_kernels[] = {
    { .name = "transposed",
        .grain = 2,
        .run = mix_run,
        .packed_input = 1,
        .pack_bytes = tiny_pack_bytes,
        .pack = mix_pack },
    { 0 },
};

static const struct ash_absorb mix_absorbs[] = {
    { .op = &tiny_add, .result = 0, .input = 2 },
    { .op = &tiny_add, .result = 1, .input = 2 },
    { 0 },
};

const struct ash_op tiny_mix = {
    .name = "tiny_mix",
    .inputs = 3,
    .optional = 1,
    .in_place = 1 << 2,
    .absorbs = mix_absorbs,
    .infer = mix_infer,
    .cost = mix_cost,
    .reference = mix_reference,
    .kernels = mix_kernels,
};

/* ---- mix_a8 ---- */

static void mix_a8_run(const struct ash_args *args, int64_t first, int64_t last)
{
    int64_t columns = args->in[1].dim[1];
    for (int64_t t = first; t < last; t++) {
        float row[MAX_COLUMNS];
        const char *x = (char *)args->in[0].data + (size_t)t * ash_tensor_row_bytes(&args->in[0]);
        (void)!ash_to_float(ASH_A8, x, columns, row);
        mix_row(args, t, row, false);
    }
}

static bool mix_a8_accepts(const struct ash_args *args)
{
    return args->in[0].type == ASH_A8 && args->out.type == ASH_F32 &&
           ash_tensor_columns(&args->in[0]) <= MAX_COLUMNS;
}

static const struct ash_kernel mix_a8_kernels[] = {
    { .name = "a8",
        .activation = ASH_A8,
        .accepts = mix_a8_accepts,
        .grain = 1,
        .run = mix_a8_run },
    { 0 },
};

const struct ash_op tiny_mix_a8 = {
    .name = "tiny_mix_a8",
    .inputs = 3,
    .optional = 1,
    .infer = mix_infer,
    .cost = mix_cost,
    .reference = mix_reference,
    .tolerance = 0.05,
    .kernels = mix_a8_kernels,
};

/* ---- write and sum ---- */

static enum ash_status write_infer(const struct ash_args *args, struct ash_tensor *out)
{
    const struct ash_tensor *x = &args->in[0], *state = &args->in[1];
    (void)out;
    return expect(is_rows(x) && is_rows(state) && x->dim[1] == state->dim[1], "(T, C) and (S, C)");
}

static int64_t write_rows(const struct ash_args *args)
{
    return args->in[0].dim[0];
}

static void write_run(const struct ash_args *args, int64_t first, int64_t last)
{
    const struct ash_tensor *state = &args->in[1];
    for (int64_t t = first; t < last; t++) {
        int64_t slot = ash_batch_position(args->batch, t) % state->dim[0];
        memcpy((float *)state->data + slot * state->dim[1], row_of(&args->in[0], t),
            ash_tensor_row_bytes(state));
    }
}

static void write_reference(const struct ash_args *args)
{
    write_run(args, 0, write_rows(args));
}

static const struct ash_kernel write_kernels[] = {
    { .name = "plain", .grain = 1, .run = write_run },
    { 0 },
};

const struct ash_op tiny_write = {
    .name = "tiny_write",
    .inputs = 2,
    .updates = 1 << 1,
    .needs_batch = true,
    .infer = write_infer,
    .rows = write_rows,
    .cost = cost,
    .reference = write_reference,
    .kernels = write_kernels,
};

static enum ash_status sum_infer(const struct ash_args *args, struct ash_tensor *out)
{
    const struct ash_tensor *state = &args->in[0], *x = &args->in[1];
    ASH_TRY(
        expect(is_rows(x) && is_rows(state) && x->dim[1] == state->dim[1], "(S, C) and (T, C)"));
    *out = *x;
    return ASH_OK;
}

static void sum_run(const struct ash_args *args, int64_t first, int64_t last)
{
    const struct ash_tensor *state = &args->in[0];
    for (int64_t t = first; t < last; t++)
        for (int64_t c = 0; c < state->dim[1]; c++) {
            float sum = row_of(&args->in[1], t)[c];
            for (int64_t s = 0; s < state->dim[0]; s++)
                sum += row_of(state, s)[c];
            out_row(args, t)[c] = sum;
        }
}
REFERENCE(sum)

static const struct ash_kernel sum_kernels[] = {
    { .name = "plain", .grain = 1, .run = sum_run },
    { 0 },
};

const struct ash_op tiny_sum = {
    .name = "tiny_sum",
    .inputs = 2,
    .infer = sum_infer,
    .cost = cost,
    .reference = sum_reference,
    .kernels = sum_kernels,
};

/* ---- batches and numbers ---- */

void tiny_batch_init(struct tiny_batch *batch, int32_t tokens, int32_t outputs)
{
    memset(batch, 0, sizeof *batch);
    for (int32_t t = 0; t < tokens; t++)
        batch->token[t] = t * 7 + 3;
    for (int32_t o = 0; o < outputs; o++)
        batch->output[o] = tokens - outputs + o;
    batch->span = (struct ash_span){ .tokens = tokens, .page = batch->page };
    batch->batch = (struct ash_batch){ tokens, outputs, 1, batch->token, batch->token_span,
        batch->output, &batch->span };
}

void tiny_fill(float *out, int64_t count, uint32_t seed)
{
    for (int64_t i = 0; i < count; i++) {
        seed = seed * 1664525u + 1013904223u;
        out[i] = (float)(int32_t)seed / 2147483648.0f;
    }
}

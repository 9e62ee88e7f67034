/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/check_internal.h"

#include <math.h>
#include <string.h>

struct selection selection_all(const struct problem *problem)
{
    struct selection all = { .count = problem->spans };
    for (int s = 0; s < problem->spans; s++)
        all.piece[s] = (struct piece){ s, 0, problem->span[s].tokens };
    return all;
}

static int32_t span_begin(const struct problem *problem, int32_t span)
{
    int32_t begin = 0;
    for (int32_t s = 0; s < span; s++)
        begin += problem->span[s].tokens;
    return begin;
}

/* Whether row `row` of the problem has an output, and which; -1 = none. */
static int32_t output_of(const struct problem *problem, int32_t span, int32_t row)
{
    if (problem->row->all_outputs)
        return row;
    return row == span_begin(problem, span) + problem->span[span].tokens - 1 ? span : -1;
}

static void init_batch(
    struct call *call, const struct problem *problem, const struct selection *selection)
{
    struct ash_batch *batch = &call->batch;
    call->token = calloc((size_t)problem->tokens, sizeof *call->token);
    call->token_span = calloc((size_t)problem->tokens, sizeof *call->token_span);
    call->output = calloc((size_t)problem->tokens, sizeof *call->output);
    call->token_row = calloc((size_t)problem->tokens, sizeof *call->token_row);
    call->output_row = calloc((size_t)problem->tokens, sizeof *call->output_row);
    for (int i = 0; i < selection->count; i++) {
        const struct piece *piece = &selection->piece[i];
        call->span[i] = (struct ash_span){ batch->tokens, piece->tokens,
            problem->span[piece->span].cached + piece->first, problem->page[piece->span] };
        for (int32_t t = 0; t < piece->tokens; t++) {
            int32_t row = span_begin(problem, piece->span) + piece->first + t;
            int32_t output = output_of(problem, piece->span, row);
            if (output >= 0) {
                call->output[batch->outputs] = batch->tokens;
                call->output_row[batch->outputs++] = output;
            }
            call->token[batch->tokens] = problem->token[row];
            call->token_span[batch->tokens] = i;
            call->token_row[batch->tokens++] = row;
        }
    }
    batch->spans = selection->count;
    batch->token = call->token;
    batch->token_span = call->token_span;
    batch->output = call->output;
    batch->span = call->span;
}

/* Positions of a cache that no span of the call has written hold what must not get into a result. */
static void spoil_cache(const struct call *call, const struct problem *problem, int input,
    const struct ash_tensor *cache, float *values)
{
    int64_t page_values = cache->dim[1] * cache->dim[2] * cache->dim[3];
    bool *written = calloc((size_t)(cache->dim[0] * ASH_PAGE_POSITIONS), sizeof *written);
    bool updated = problem->op->updates >> input & 1; /* then as it is before any chunk */
    for (int32_t s = 0; s < (updated ? problem->spans : call->batch.spans); s++) {
        const struct ash_span *span = &call->span[s];
        const int32_t *page = updated ? problem->page[s] : span->page;
        int32_t end = updated ? problem->span[s].cached : span->first_position + span->tokens;
        for (int32_t p = 0; p < end; p++)
            written[page[p / ASH_PAGE_POSITIONS] * ASH_PAGE_POSITIONS + p % ASH_PAGE_POSITIONS] =
                true;
    }
    bool narrow = cache->type == ASH_Q8_0;
    for (int64_t i = 0; i < cache->dim[0] * page_values; i++) {
        int64_t position = i / cache->dim[3] % ASH_PAGE_POSITIONS;
        if (!written[i / page_values * ASH_PAGE_POSITIONS + position])
            values[i] = narrow ? 6e4F : NAN;
    }
    free(written);
}

static void encode_rows(struct ash_tensor *tensor, const float *values)
{
    int64_t columns = ash_tensor_columns(tensor);
    for (int64_t r = 0; r < ash_tensor_rows(tensor); r++) {
        unsigned char *row =
            (unsigned char *)tensor->data + (size_t)r * ash_tensor_row_bytes(tensor);
        for (int64_t c = 0; tensor->type == ASH_I32 && c < columns; c++)
            memcpy(row + c * 4, &(int32_t){ (int32_t)values[r * columns + c] }, 4);
        if (tensor->type != ASH_I32)
            check_must(ash_from_float(tensor->type, values + r * columns, columns, row) == ASH_OK);
    }
}

/* The largest and smallest quants that a file can hold, also those that no quantiser makes. */
static void extreme_quants(struct ash_tensor *tensor)
{
    const struct ash_type_info *info = ash_type_info(tensor->type);
    int header = tensor->type == ASH_Q4_1 ? 4 : 2; /* d, m */
    unsigned char *block = tensor->data;
    for (size_t b = 0; b < ash_tensor_bytes(tensor) / (size_t)info->block_bytes; b++)
        for (int i = header; i < info->block_bytes; i++)
            block[b * (size_t)info->block_bytes + (size_t)i] =
                (unsigned char[]){ 0x80, 0x7f, 0xff, 0x00, 0x80 }[(b + (size_t)i / 3) % 5];
}

static size_t offset_of(enum ash_type type, int flags)
{
    bool words = type == ASH_F32 || type == ASH_I32 || type == ASH_A8;
    return !(flags & CALL_MISALIGNED) ? 0 : words ? 4 : 2;
}

static void init_input(struct call *call, const struct problem *problem, int input, int flags)
{
    struct ash_tensor *tensor = &call->args.in[input];
    int64_t columns = ash_tensor_columns(tensor), rows = ash_tensor_rows(tensor);
    bool cache = tensor->rank == 4;
    float *values = calloc((size_t)(rows * columns) + 1, sizeof *values);
    const int32_t *map = tensor->extent == ASH_EXTENT_TOKENS    ? call->token_row
                         : tensor->extent == ASH_EXTENT_OUTPUTS ? call->output_row
                                                                : NULL;
    int64_t inner = tensor->dim[0] ? rows * columns / tensor->dim[0] : 0;
    for (int64_t r = 0; r < tensor->dim[0]; r++)
        memcpy(values + r * inner, problem->values[input] + (map ? map[r] : r) * inner,
            (size_t)inner * sizeof *values);
    guard_init(&call->in[input], ash_tensor_bytes(tensor), offset_of(tensor->type, flags), 0);
    tensor->data = call->in[input].data;
    if (cache)
        spoil_cache(call, problem, input, tensor, values);
    if (cache && problem->row->layout)
        problem->row->layout->encode(values, input, tensor);
    else
        encode_rows(tensor, values);
    bool blocks = tensor->type == ASH_Q8_0 || tensor->type == ASH_Q4_0 || tensor->type == ASH_Q4_1;
    if (problem->kind->fill == FILL_QUANTS && blocks && !cache)
        extreme_quants(tensor);
    call->pristine[input] = malloc(ash_tensor_bytes(tensor) + 1);
    memcpy(call->pristine[input], tensor->data, ash_tensor_bytes(tensor));
    free(values);
}

static void pack_weight(struct call *call, const struct ash_kernel *kernel)
{
    struct ash_tensor *weight = &call->args.in[kernel->packed_input];
    guard_init(&call->packed, kernel->pack_bytes(weight), 0, 0xff);
    int64_t rows = ash_tensor_rows(weight), step = kernel->grain * 3;
    for (int64_t first = (rows - 1) / step * step; first >= 0; first -= step)
        kernel->pack(weight, first, first + step < rows ? first + step : rows, call->packed.data);
}

void call_init(struct call *call, const struct problem *problem, const struct selection *selection,
    const struct ash_kernel *kernel, enum ash_type out_type, int flags, int place)
{
    *call = (struct call){ 0 };
    call->args.params = problem->row->params;
    init_batch(call, problem, selection);
    memcpy(call->args.in, problem->in, sizeof call->args.in);
    if (kernel && kernel->activation != ASH_F32)
        call->args.in[0].type = kernel->activation;
    ash_args_bind(&call->args, &call->batch);
    for (int i = 0; i < ASH_MAX_INPUTS; i++)
        if (call->args.in[i].rank > 0)
            init_input(call, problem, i, flags);
    struct ash_tensor *out = &call->args.out;
    check_must(ash_op_infer(problem->op, &call->args, out) == ASH_OK);
    ash_args_bind(&call->args, &call->batch);
    if (out->type == ASH_F32)
        out->type = out_type;
    if (flags & CALL_IN_PLACE)
        out->data = call->args.in[place].data;
    else if (out->rank > 0) {
        guard_init(&call->out, ash_tensor_bytes(out), offset_of(out->type, flags), 0xff);
        out->data = call->out.data;
    }
    if (kernel && kernel->packed_input > 0)
        pack_weight(call, kernel);
}

void call_finish(struct call *call)
{
    for (int i = 0; i < ASH_MAX_INPUTS; i++) {
        guard_finish(&call->in[i]);
        free(call->pristine[i]);
    }
    guard_finish(&call->out);
    guard_finish(&call->packed);
    free(call->token);
    free(call->token_span);
    free(call->output);
    free(call->token_row);
    free(call->output_row);
}

void call_continue(struct call *call, const struct call *from, const struct ash_op *op)
{
    for (int i = 0; i < op->inputs; i++)
        if (op->updates >> i & 1 && call->in[i].block)
            memcpy(call->in[i].data, from->in[i].data, call->in[i].bytes);
}

/* Which NaN comes out of two depends on the order of operands, which compilers choose: any is as good. */
static void unify_nans(const struct ash_tensor *tensor)
{
    if (tensor->type != ASH_F32 && tensor->type != ASH_F16 && tensor->type != ASH_BF16)
        return;
    uint32_t infinity = tensor->type == ASH_F32   ? 0x7f800000
                        : tensor->type == ASH_F16 ? 0x7c00
                                                  : 0x7f80;
    size_t bytes = tensor->type == ASH_F32 ? 4 : 2;
    uint32_t sign = 1U << (8 * bytes - 1), quiet = infinity | (infinity >> 1 & ~infinity);
    unsigned char *at = tensor->data, *end = at + ash_tensor_bytes(tensor);
    for (; at < end; at += bytes) {
        uint32_t bits = 0; /* little-endian */
        memcpy(&bits, at, bytes);
        if ((bits & ~sign) > infinity)
            memcpy(at, &quiet, bytes);
    }
}

void call_run(struct call *call, const struct ash_op *op, const struct ash_kernel *kernel,
    enum split split, uint64_t seed)
{
    struct ash_args args = call->args;
    if (kernel->packed_input > 0)
        args.in[kernel->packed_input].data = call->packed.data;
    int64_t rows = ash_op_rows(op, &args);
    int64_t grains = (rows + kernel->grain - 1) / kernel->grain;
    for (int64_t done = 0; done < grains;) {
        int64_t count = split == SPLIT_NONE ? grains : 1 + check_below(&seed, grains);
        count = count < grains - done ? count : grains - done;
        int64_t first = split == SPLIT_REVERSE ? grains - done - count : done;
        int64_t last = (first + count) * kernel->grain;
        kernel->run(&args, first * kernel->grain, last < rows ? last : rows);
        done += count;
    }
    for (int input = -1; input < ASH_MAX_INPUTS; input++) {
        struct ash_tensor result = call_result(call, op, input);
        if (result.rank > 0)
            unify_nans(&result);
    }
}

struct ash_tensor call_result(const struct call *call, const struct ash_op *op, int input)
{
    if (input < 0)
        return call->args.out;
    return (op->updates & ~op->scratch) >> input & 1 ? call->args.in[input]
                                                     : (struct ash_tensor){ 0 };
}

void call_values(
    const struct ash_case *row, const struct ash_tensor *tensor, int input, float *values)
{
    if (tensor->rank == 4 && row->layout) {
        row->layout->decode(tensor, input, values);
        return;
    }
    int64_t columns = ash_tensor_columns(tensor);
    for (int64_t r = 0; r < ash_tensor_rows(tensor); r++) {
        const unsigned char *from =
            (const unsigned char *)tensor->data + (size_t)r * ash_tensor_row_bytes(tensor);
        for (int64_t c = 0; tensor->type == ASH_I32 && c < columns; c++) {
            int32_t id;
            memcpy(&id, from + c * 4, 4);
            values[r * columns + c] = (float)id; /* exact below 2^24 */
        }
        if (tensor->type != ASH_I32)
            check_must(ash_to_float(tensor->type, from, columns, values + r * columns) == ASH_OK);
    }
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "drivers/device/device_op.h"

#include "kernels/add/add.h"
#include "kernels/argmax/argmax.h"
#include "kernels/concat/concat.h"
#include "kernels/device_source.h"
#include "kernels/gather/gather.h"
#include "kernels/glu/glu.h"
#include "kernels/rmsnorm/rmsnorm.h"
#include "kernels/topk/topk.h"

#include <assert.h>
#include <limits.h>
#include <stdio.h>

static_assert(sizeof(long) == sizeof(int64_t), "struct ash_device_args is alike on both sides");
static_assert(WEIGHT_F16 == ASH_F16 && WEIGHT_BF16 == ASH_BF16 && WEIGHT_Q8_0 == ASH_Q8_0 &&
                  WEIGHT_Q4_0 == ASH_Q4_0 && WEIGHT_Q4_1 == ASH_Q4_1 && CACHE_F16 == ASH_F16 &&
                  CACHE_Q8_0 == ASH_Q8_0,
    "types go by the same numbers");

const unsigned char *const ash_device_prelude[] = {
    ash_source_device_layout,
    ash_source_device,
    ash_source_device_math,
    ash_source_device_weight,
    ash_source_device_cache,
    ash_source_device_matrix,
    NULL,
};

bool ash_device_is_plain(const struct ash_tensor *tensor)
{
    return tensor->type == ASH_F32;
}

static bool fits(const struct ash_tensor *tensor)
{
    for (int i = 0; i < tensor->rank; i++)
        if (tensor->dim[i] > INT_MAX - DEVICE_GROUP)
            return false;
    return true;
}

bool ash_device_fits(const struct ash_args *args)
{
    bool all = fits(&args->out);
    for (int i = 0; i < DEVICE_INPUTS; i++)
        all = all && fits(&args->in[i]);
    return all;
}

/* Everything in F32 (ids in I32), and no more groups than an int counts. */
static bool accepts_plain(const struct ash_args *args)
{
    bool ids = args->out.type == ASH_I32;
    for (int i = 0; i < DEVICE_INPUTS; i++)
        if (args->in[i].rank && !ash_device_is_plain(&args->in[i]))
            return false;
    return (ids || ash_device_is_plain(&args->out)) && ash_device_fits(args) &&
           ash_tensor_rows(&args->in[0]) <= INT_MAX - DEVICE_GROUP &&
           ash_tensor_elements(&args->in[0]) / DEVICE_GROUP < INT_MAX;
}

static void choose_plain(const struct ash_args *args, struct ash_device_variant *out)
{
    (void)args;
    *out = (struct ash_device_variant){ 0 }; /* the operator's name alone */
}

/* A group a row of in[0]. */
static void bind_rows(const struct ash_args *args, struct ash_device_call *out)
{
    *out = (struct ash_device_call){ .groups = ash_tensor_rows(&args->in[0]),
        .args.rows = (int)ash_tensor_rows(&args->in[0]),
        .args.columns = (int)ash_tensor_columns(&args->in[0]) };
}

/* An item an element of in[0]. */
static void bind_elements(const struct ash_args *args, struct ash_device_call *out)
{
    bind_rows(args, out);
    out->groups = (ash_tensor_elements(&args->in[0]) + DEVICE_GROUP - 1) / DEVICE_GROUP;
}

static void bind_add(const struct ash_args *args, struct ash_device_call *out)
{
    bind_elements(args, out);
    out->args.stride = args->in[1].rank == args->in[0].rank ? out->args.columns : 0;
}

/* A group a row; the second operand's are as long as they are. */
static void bind_concat(const struct ash_args *args, struct ash_device_call *out)
{
    bind_rows(args, out);
    out->args.stride = (int)ash_tensor_columns(&args->in[1]);
}

static void bind_glu(const struct ash_args *args, struct ash_device_call *out)
{
    bind_elements(args, out);
    out->args.mode = (int)((const struct ash_glu_params *)args->params)->activation;
}

static void bind_rmsnorm(const struct ash_args *args, struct ash_device_call *out)
{
    bind_rows(args, out);
    out->args.eps = ((const struct ash_rmsnorm_params *)args->params)->eps;
}

static void bind_topk(const struct ash_args *args, struct ash_device_call *out)
{
    bind_rows(args, out);
    out->args.k = ((const struct ash_topk_params *)args->params)->k;
}

static void bind_gather(const struct ash_args *args, struct ash_device_call *out)
{
    bind_rows(args, out);
    out->groups = args->out.dim[0];
    out->args.tokens = args->batch->tokens;
}

#define PLAIN(name, bind_it)                                                                       \
    {                                                                                              \
        .op = &ash_op_##name, .source = ash_source_##name,                                         \
        .entries = (const char *const[]){ #name, NULL }, .accepts = accepts_plain,                 \
        .choose = choose_plain, .bind = (bind_it),                                                 \
    }

static const struct ash_device_op plain[] = {
    PLAIN(add, bind_add),
    PLAIN(argmax, bind_rows),
    PLAIN(concat, bind_concat),
    PLAIN(gather, bind_gather),
    PLAIN(glu, bind_glu),
    PLAIN(rmsnorm, bind_rmsnorm),
    PLAIN(topk, bind_topk),
};

static const struct ash_device_op *const longer[] = { &ash_device_attention, &ash_device_embedding,
    &ash_device_kv_write, &ash_device_matmul, &ash_device_rope };

const struct ash_device_op *ash_device_op_find(const struct ash_op *op)
{
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++)
        if (plain[i].op == op)
            return &plain[i];
    for (size_t i = 0; i < sizeof longer / sizeof *longer; i++)
        if (longer[i]->op == op)
            return longer[i];
    return NULL;
}

/* ---- The batch ---- */

static size_t count_pages(const struct ash_span *span)
{
    size_t positions = (size_t)span->first_position + (size_t)span->tokens;
    return (positions + ASH_PAGE_POSITIONS - 1) / ASH_PAGE_POSITIONS;
}

static void write_batch(const struct ash_batch *batch, int32_t *out)
{
    int32_t tokens = batch->tokens, at = 3 * tokens + batch->outputs;
    for (int32_t o = 0; o < batch->outputs; o++)
        out[3 * tokens + o] = batch->output[o];
    for (int32_t s = 0; s < batch->spans; s++) {
        const struct ash_span *span = &batch->span[s];
        int32_t pages = (int32_t)count_pages(span);
        for (int32_t i = 0; i < span->tokens; i++) {
            int32_t t = span->first_token + i;
            out[t] = batch->token[t];
            out[tokens + t] = span->first_position + i;
            out[2 * tokens + t] = at;
        }
        for (int32_t p = 0; p < pages; p++)
            out[at + p] = span->page[p];
        at += pages;
    }
}

void ash_device_batch(const struct ash_batch *batch, int32_t *out, size_t capacity, size_t *count)
{
    *count = 3 * (size_t)batch->tokens + (size_t)batch->outputs;
    for (int32_t s = 0; s < batch->spans; s++)
        *count += count_pages(&batch->span[s]);
    if (*count <= capacity)
        write_batch(batch, out);
}

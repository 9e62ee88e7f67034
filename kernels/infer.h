/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "runtime/op.h"

/*
 * What infer() functions check over and over, with messages that name the input, what was expected
 * and what was found. ash_op_infer() puts the operator's name before them.
 */

/* Input `in`, called `name`, has `rank` dimensions of type `type`. */
static inline enum ash_status ash_infer_want(
    const struct ash_tensor *in, const char *name, enum ash_type type, int rank)
{
    if (in->type == type && in->rank == rank)
        return ASH_OK;
    char text[96];
    return ash_fail(ASH_ERR_SHAPE, "%s must be %s of %d dimension%s, is %s", name,
        ash_type_info(type)->name, rank, rank == 1 ? "" : "s",
        ash_tensor_describe(in, text, sizeof text));
}

/* Dimension `index` of it, called `letter`, is `want`. */
static inline enum ash_status ash_infer_want_dim(
    const struct ash_tensor *in, const char *name, int index, const char *letter, int64_t want)
{
    if (in->dim[index] == want)
        return ASH_OK;
    return ash_fail(ASH_ERR_SHAPE, "dimension %d of %s must be %s = %lld, is %lld", index, name,
        letter, (long long)want, (long long)in->dim[index]);
}

/* A result like `in`, with memory of its own to come. */
static inline struct ash_tensor ash_infer_like(const struct ash_tensor *in)
{
    struct ash_tensor out = *in;
    out.data = NULL;
    return out;
}

/* Whether kernels that can write any type of activation can do so here; for ash_kernel.accepts. */
static inline bool ash_infer_activation(const struct ash_args *args)
{
    const struct ash_tensor *out = &args->out;
    return out->type == ASH_F32 || out->type == ASH_BF16 ||
           (out->type == ASH_A8 && ash_tensor_columns(out) % 32 == 0);
}

/* Whether ids are wanted, all that kernels of argmax and topk can write; likewise. */
static inline bool ash_infer_ids(const struct ash_args *args)
{
    return args->out.type == ASH_I32;
}

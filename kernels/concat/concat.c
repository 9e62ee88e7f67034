/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/concat/concat_internal.h"
#include "kernels/infer.h"

#include <string.h>

static enum ash_status infer(const struct ash_args *args, struct ash_tensor *out)
{
    const struct ash_tensor *a = &args->in[0], *b = &args->in[1];
    int64_t columns;
    ASH_TRY(ash_infer_want(a, "a", ASH_F32, 2));
    ASH_TRY(ash_infer_want(b, "b", ASH_F32, 2));
    ASH_TRY(ash_infer_want_dim(b, "b", 0, "that of a", a->dim[0]));
    if (a->extent != b->extent)
        return ash_fail(ASH_ERR_SHAPE, "a and b must count the same: tokens, or outputs");
    if (__builtin_add_overflow(a->dim[1], b->dim[1], &columns))
        return ash_fail(ASH_ERR_SHAPE, "rows of %lld and %lld columns are too long together",
            (long long)a->dim[1], (long long)b->dim[1]);
    struct ash_tensor result;
    ASH_TRY(ash_tensor_init(ASH_F32, 2, (int64_t[]){ a->dim[0], columns }, &result));
    result.extent = a->extent;
    *out = result;
    return ASH_OK;
}

static void cost(const struct ash_args *args, struct ash_cost *out)
{
    double bytes = (double)ash_tensor_bytes(&args->out);
    *out = (struct ash_cost){ .flops = 0, .bytes_read = bytes, .bytes_written = bytes };
}

static void copy_rows(const struct ash_args *args, int64_t first_row, int64_t last_row)
{
    size_t left = ash_tensor_row_bytes(&args->in[0]), right = ash_tensor_row_bytes(&args->in[1]);
    for (int64_t row = first_row; row < last_row; row++) {
        char *out = (char *)args->out.data + (size_t)row * (left + right);
        memcpy(out, (const char *)args->in[0].data + (size_t)row * left, left);
        memcpy(out + left, (const char *)args->in[1].data + (size_t)row * right, right);
    }
}

/* Plain C copies as fast as any. */
static const struct ash_kernel kernels[] = {
    { .name = "c", .grain = 1, .run = copy_rows },
    { .run = NULL },
};

const struct ash_op ash_op_concat = {
    .name = "concat",
    .inputs = 2,
    .infer = infer,
    .cost = cost,
    .reference = ash_concat_ref,
    .tolerance = 0,
    .kernels = kernels,
};

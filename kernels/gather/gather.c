/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/gather/gather_internal.h"
#include "kernels/infer.h"

#include <string.h>

static enum ash_status infer(const struct ash_args *args, struct ash_tensor *out)
{
    const struct ash_tensor *x = &args->in[0];
    ASH_TRY(ash_infer_want(x, "x", ASH_F32, 2));
    *out = ash_infer_like(x);
    out->extent = ASH_EXTENT_OUTPUTS;
    out->dim[0] = args->batch ? args->batch->outputs : 1; /* the graph knows the largest */
    return ASH_OK;
}

static void cost(const struct ash_args *args, struct ash_cost *out)
{
    double bytes = (double)ash_tensor_bytes(&args->out);
    *out = (struct ash_cost){ .flops = 0, .bytes_read = bytes, .bytes_written = bytes };
}

static void copy_rows(const struct ash_args *args, int64_t first_row, int64_t last_row)
{
    size_t bytes = ash_tensor_row_bytes(&args->out);
    for (int64_t row = first_row; row < last_row; row++)
        memcpy((char *)args->out.data + (size_t)row * bytes,
            (const char *)args->in[0].data + (size_t)args->batch->output[row] * bytes, bytes);
}

/* Plain C copies as fast as any: a few rows a step. */
static const struct ash_kernel kernels[] = {
    { .name = "c", .grain = 1, .run = copy_rows },
    { .run = NULL },
};

const struct ash_op ash_op_gather = {
    .name = "gather",
    .inputs = 1,
    .needs_batch = true,
    .infer = infer,
    .cost = cost,
    .reference = ash_gather_ref,
    .tolerance = 0,
    .kernels = kernels,
};

/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/argmax/argmax_internal.h"
#include "kernels/avx_kernels.h"
#include "kernels/infer.h"

#include <stddef.h>

static enum ash_status infer(const struct ash_args *args, struct ash_tensor *out)
{
    const struct ash_tensor *x = &args->in[0];
    ASH_TRY(ash_infer_want(x, "x", ASH_F32, 2));
    if (x->dim[1] > INT32_MAX)
        return ash_fail(
            ASH_ERR_SHAPE, "rows of %lld have ids beyond 32 bits", (long long)x->dim[1]);
    *out = (struct ash_tensor){ ASH_I32, x->extent, 1, { x->dim[0], 1, 1, 1 } };
    return ASH_OK;
}

static int64_t rows(const struct ash_args *args)
{
    return args->in[0].dim[0];
}

static void cost(const struct ash_args *args, struct ash_cost *out)
{
    *out = (struct ash_cost){
        .flops = (double)ash_tensor_elements(&args->in[0]), /* one comparison each */
        .bytes_read = (double)ash_tensor_bytes(&args->in[0]),
        .bytes_written = (double)ash_tensor_bytes(&args->out),
    };
}

static const struct ash_kernel kernels[] = ASH_AVX_KERNELS(argmax, ash_infer_ids);

const struct ash_op ash_op_argmax = {
    .name = "argmax",
    .inputs = 1,
    .infer = infer,
    .rows = rows,
    .cost = cost,
    .reference = ash_argmax_ref,
    .tolerance = 0, /* ids */
    .kernels = kernels,
};

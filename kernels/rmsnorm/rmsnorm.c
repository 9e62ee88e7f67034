/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/avx_kernels.h"
#include "kernels/infer.h"
#include "kernels/rmsnorm/rmsnorm_internal.h"

#include <stddef.h>

static enum ash_status infer(const struct ash_args *args, struct ash_tensor *out)
{
    const struct ash_rmsnorm_params *params = args->params;
    const struct ash_tensor *x = &args->in[0], *weight = &args->in[1];
    ASH_TRY(ash_infer_want(x, "x", ASH_F32, x->rank));
    ASH_TRY(ash_infer_want(weight, "the weight", ASH_F32, 1));
    ASH_TRY(ash_infer_want_dim(weight, "the weight", 0, "C", ash_tensor_columns(x)));
    if (!(params->eps > 0))
        return ash_fail(ASH_ERR_ARGUMENT, "eps must be greater than 0, is %g", (double)params->eps);
    *out = ash_infer_like(x);
    return ASH_OK;
}

static void cost(const struct ash_args *args, struct ash_cost *out)
{
    *out = (struct ash_cost){
        .flops = 4.0 * (double)ash_tensor_elements(&args->in[0]), /* square-add, scale, weight */
        .bytes_read = (double)(ash_tensor_bytes(&args->in[0]) + ash_tensor_bytes(&args->in[1])),
        .bytes_written = (double)ash_tensor_bytes(&args->out),
    };
}

static const struct ash_kernel kernels[] = ASH_AVX_KERNELS(rmsnorm, ash_infer_activation);

const struct ash_op ash_op_rmsnorm = {
    .name = "rmsnorm",
    .inputs = 2,
    .in_place = 1 << 0,
    .params_bytes = sizeof(struct ash_rmsnorm_params),
    .infer = infer,
    .cost = cost,
    .reference = ash_rmsnorm_ref,
    .tolerance = 1e-6,
    .kernels = kernels,
};

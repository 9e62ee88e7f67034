/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/avx_kernels.h"
#include "kernels/glu/glu_internal.h"
#include "kernels/infer.h"

#include <stddef.h>

static enum ash_status infer(const struct ash_args *args, struct ash_tensor *out)
{
    const struct ash_glu_params *params = args->params;
    const struct ash_tensor *gate = &args->in[0], *up = &args->in[1];
    ASH_TRY(ash_infer_want(gate, "gate", ASH_F32, gate->rank));
    ASH_TRY(ash_infer_want(up, "up", ASH_F32, gate->rank));
    for (int i = 0; i < gate->rank; i++)
        ASH_TRY(ash_infer_want_dim(up, "up", i, "that of gate", gate->dim[i]));
    if ((int)params->activation < 0 || params->activation > ASH_GELU_ERF)
        return ash_fail(ASH_ERR_ARGUMENT, "no activation has number %d", (int)params->activation);
    *out = ash_infer_like(gate);
    return ASH_OK;
}

/* e^x and 1 / x count as one operation each. */
static double activation_flops(enum ash_activation activation)
{
    return activation == ASH_SILU ? 4 : activation == ASH_GELU ? 10 : 16;
}

static void cost(const struct ash_args *args, struct ash_cost *out)
{
    const struct ash_glu_params *params = args->params;
    double elements = (double)ash_tensor_elements(&args->in[0]);
    *out = (struct ash_cost){
        .flops = elements * (1 + activation_flops(params->activation)),
        .bytes_read = (double)(ash_tensor_bytes(&args->in[0]) + ash_tensor_bytes(&args->in[1])),
        .bytes_written = (double)ash_tensor_bytes(&args->out),
    };
}

static const struct ash_kernel kernels[] = ASH_AVX_KERNELS(glu, ash_infer_activation);

const struct ash_op ash_op_glu = {
    .name = "glu",
    .inputs = 2,
    .in_place = 1 << 0 | 1 << 1,
    .params_bytes = sizeof(struct ash_glu_params),
    .infer = infer,
    .cost = cost,
    .reference = ash_glu_ref,
    .tolerance = 2e-6,
    .kernels = kernels,
};

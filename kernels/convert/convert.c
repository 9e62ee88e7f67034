/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/avx_kernels.h"
#include "kernels/convert/convert_internal.h"

#include <stddef.h>

static enum ash_status infer(const struct ash_args *args, struct ash_tensor *out)
{
    const struct ash_convert_params *params = args->params;
    const struct ash_tensor *in = &args->in[0];
    if (in->type != ASH_F32)
        return ash_fail(
            ASH_ERR_SHAPE, "convert: input must be F32, is %s", ash_type_info(in->type)->name);
    if ((int)params->to < 0 || params->to >= ASH_TYPE_COUNT || params->to == ASH_I32)
        return ash_fail(
            ASH_ERR_ARGUMENT, "convert: no conversion from F32 to type %d", (int)params->to);
    ASH_TRY(ash_tensor_init(params->to, in->rank, in->dim, out));
    out->extent = in->extent;
    return ASH_OK;
}

static void cost(const struct ash_args *args, struct ash_cost *out)
{
    *out = (struct ash_cost){
        .flops = 3.0 * (double)ash_tensor_elements(&args->in[0]), /* magnitude, scale, sum */
        .bytes_read = (double)ash_tensor_bytes(&args->in[0]),
        .bytes_written = (double)ash_tensor_bytes(&args->out),
    };
}

static bool makes_activations(const struct ash_args *args)
{
    return args->out.type == ASH_A8 || args->out.type == ASH_BF16;
}

static const struct ash_kernel kernels[] = ASH_AVX_KERNELS(convert, makes_activations);

const struct ash_op ash_op_convert = {
    .name = "convert",
    .inputs = 1,
    .params_bytes = sizeof(struct ash_convert_params),
    .infer = infer,
    .cost = cost,
    .reference = ash_convert_ref,
    .tolerance = 0, /* the same bits */
    .kernels = kernels,
};

/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/avx_kernels.h"
#include "kernels/infer.h"
#include "kernels/rope/rope_internal.h"

#include <math.h>
#include <stddef.h>

enum ash_status ash_rope_check(
    const struct ash_rope_params *params, const struct ash_tensor *factors)
{
    if (params->heads < 1 || params->head_size < 1)
        return ash_fail(ASH_ERR_ARGUMENT, "heads and head size must be at least 1, are %d and %d",
            params->heads, params->head_size);
    if (params->dims < 0 || params->dims % 2 != 0 || params->dims > ASH_ROPE_MAX_DIMS ||
        params->dims > params->head_size)
        return ash_fail(ASH_ERR_ARGUMENT,
            "rotated dimensions must be an even number up to %d and the head size %d, are %d",
            (int)ASH_ROPE_MAX_DIMS, params->head_size, params->dims);
    if (params->dims > 0 && !(params->base > 1 && isfinite(params->base) && params->scale > 0 &&
                                isfinite(params->scale)))
        return ash_fail(ASH_ERR_ARGUMENT,
            "rotary base must be above 1 and scale above 0, are %g and %g", (double)params->base,
            (double)params->scale);
    if (params->mode != ASH_ROPE_INTERLEAVED && params->mode != ASH_ROPE_HALF)
        return ash_fail(ASH_ERR_ARGUMENT, "no rotary mode has number %d", (int)params->mode);
    if (factors->rank == 0)
        return ASH_OK;
    ASH_TRY(ash_infer_want(factors, "the factors", ASH_F32, 1));
    return ash_infer_want_dim(factors, "the factors", 0, "dims / 2", params->dims / 2);
}

static enum ash_status infer(const struct ash_args *args, struct ash_tensor *out)
{
    const struct ash_rope_params *params = args->params;
    const struct ash_tensor *x = &args->in[0];
    ASH_TRY(ash_rope_check(params, &args->in[1]));
    ASH_TRY(ash_infer_want(x, "x", ASH_F32, 2));
    ASH_TRY(ash_infer_want_dim(
        x, "x", 1, "heads * head size", (int64_t)params->heads * params->head_size));
    *out = ash_infer_like(x);
    return ASH_OK;
}

static void cost(const struct ash_args *args, struct ash_cost *out)
{
    const struct ash_rope_params *params = args->params;
    const struct ash_tensor *x = &args->in[0], *factors = &args->in[1];
    *out = (struct ash_cost){
        .flops = 3.0 * (double)x->dim[0] * params->heads * params->dims,
        .bytes_read = (double)ash_tensor_bytes(x) +
                      (factors->rank > 0 ? (double)ash_tensor_bytes(factors) : 0),
        .bytes_written = (double)ash_tensor_bytes(&args->out),
    };
}

static const struct ash_kernel kernels[] = ASH_AVX_KERNELS(rope, NULL);

const struct ash_op ash_op_rope = {
    .name = "rope",
    .inputs = 2,
    .optional = 1,
    .in_place = 1 << 0,
    .params_bytes = sizeof(struct ash_rope_params),
    .needs_batch = true,
    .infer = infer,
    .cost = cost,
    .reference = ash_rope_ref,
    .tolerance = 1e-6,
    .kernels = kernels,
};

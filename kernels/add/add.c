/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/add/add_internal.h"
#include "kernels/avx_kernels.h"
#include "kernels/infer.h"

#include <stddef.h>

static enum ash_status infer(const struct ash_args *args, struct ash_tensor *out)
{
    const struct ash_tensor *a = &args->in[0], *b = &args->in[1];
    ASH_TRY(ash_infer_want(a, "a", ASH_F32, a->rank));
    ASH_TRY(ash_infer_want(b, "b", ASH_F32, b->rank == a->rank ? a->rank : 1));
    if (b->rank == a->rank)
        for (int i = 0; i < a->rank; i++)
            ASH_TRY(ash_infer_want_dim(b, "b", i, "that of a", a->dim[i]));
    else
        ASH_TRY(ash_infer_want_dim(b, "b", 0, "C", ash_tensor_columns(a)));
    *out = ash_infer_like(a);
    return ASH_OK;
}

static void cost(const struct ash_args *args, struct ash_cost *out)
{
    *out = (struct ash_cost){
        .flops = (double)ash_tensor_elements(&args->in[0]),
        .bytes_read = (double)(ash_tensor_bytes(&args->in[0]) + ash_tensor_bytes(&args->in[1])),
        .bytes_written = (double)ash_tensor_bytes(&args->out),
    };
}

static const struct ash_kernel kernels[] = ASH_AVX_KERNELS(add, NULL);

const struct ash_op ash_op_add = {
    .name = "add",
    .inputs = 2,
    .in_place = 1 << 0 | 1 << 1,
    .infer = infer,
    .cost = cost,
    .reference = ash_add_ref,
    .tolerance = 1e-6,
    .kernels = kernels,
};

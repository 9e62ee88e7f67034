/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/op.h"

void ash_args_bind(struct ash_args *args, const struct ash_batch *batch)
{
    for (int i = 0; i < ASH_MAX_INPUTS; i++)
        ash_tensor_bind(&args->in[i], batch);
    ash_tensor_bind(&args->out, batch);
    args->batch = batch;
}

static bool is_f32(const struct ash_args *args)
{
    bool f32 = args->out.rank == 0 || args->out.type == ASH_F32;
    for (int i = 0; i < ASH_MAX_INPUTS; i++)
        f32 = f32 && (args->in[i].rank == 0 || args->in[i].type == ASH_F32);
    return f32;
}

bool ash_kernel_runs(
    const struct ash_kernel *kernel, const struct ash_args *args, uint64_t features)
{
    if ((kernel->needs & features) != kernel->needs)
        return false;
    struct ash_args asked = *args;
    if (kernel->activation != ASH_F32 && asked.in[0].type != kernel->activation) {
        int block = ash_type_info(kernel->activation)->block_elements;
        if (asked.in[0].type != ASH_F32 || ash_tensor_columns(&asked.in[0]) % block != 0)
            return false; /* the planner converts whole blocks of F32 only */
        asked.in[0].type = kernel->activation;
    }
    return kernel->accepts ? kernel->accepts(&asked) : is_f32(&asked);
}

const struct ash_kernel *ash_op_choose(
    const struct ash_op *op, const struct ash_args *args, uint64_t features)
{
    for (const struct ash_kernel *kernel = op->kernels; kernel && kernel->run; kernel++)
        if (ash_kernel_runs(kernel, args, features))
            return kernel;
    return NULL;
}

enum ash_status ash_op_infer(
    const struct ash_op *op, const struct ash_args *args, struct ash_tensor *out)
{
    for (int i = 0; i < ASH_MAX_INPUTS; i++) {
        bool given = args->in[i].rank > 0;
        if (given && i >= op->inputs)
            return ash_fail(ASH_ERR_SHAPE, "%s takes at most %d inputs; input %d is one too many",
                op->name, op->inputs, i);
        if (!given && i < op->inputs - op->optional)
            return ash_fail(ASH_ERR_SHAPE, "%s needs %d inputs; input %d is missing", op->name,
                op->inputs - op->optional, i);
    }
    if (op->params_bytes && !args->params)
        return ash_fail(ASH_ERR_ARGUMENT, "%s needs its params", op->name);
    struct ash_tensor result = { 0 };
    enum ash_status status = op->infer(args, &result);
    if (status != ASH_OK)
        return ash_fail_in(status, "%s", op->name);
    *out = result;
    return ASH_OK;
}

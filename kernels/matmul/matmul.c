/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/add/add.h"
#include "kernels/matmul/matmul_internal.h"
#include "runtime/cpu.h"

#include <stddef.h>

static bool is_quantised(enum ash_type type)
{
    return type == ASH_Q8_0 || type == ASH_Q4_0 || type == ASH_Q4_1;
}

static bool is_float(enum ash_type type)
{
    return type == ASH_F32 || type == ASH_F16 || type == ASH_BF16;
}

static enum ash_status check_addend(const struct ash_tensor *addend, const struct ash_tensor *out)
{
    char found[96], wanted[96];
    bool is_bias = addend->rank == 1 && addend->dim[0] == out->dim[1];
    bool is_residual = addend->rank == 2 && addend->dim[0] == out->dim[0] &&
                       addend->dim[1] == out->dim[1] && addend->extent == out->extent;
    if (addend->type == ASH_F32 && (is_bias || is_residual))
        return ASH_OK;
    return ash_fail(ASH_ERR_SHAPE,
        "matmul: the addend must be as the output, %s, or F32 (%lld); "
        "found %s",
        ash_tensor_describe(out, wanted, sizeof wanted), (long long)out->dim[1],
        ash_tensor_describe(addend, found, sizeof found));
}

static enum ash_status infer(const struct ash_args *args, struct ash_tensor *out)
{
    const struct ash_tensor *x = &args->in[0], *w = &args->in[1];
    char x_text[96], w_text[96];
    ash_tensor_describe(x, x_text, sizeof x_text);
    ash_tensor_describe(w, w_text, sizeof w_text);
    if ((x->type != ASH_F32 && x->type != ASH_A8 && x->type != ASH_BF16) || x->rank != 2)
        return ash_fail(
            ASH_ERR_SHAPE, "matmul: x must be F32, BF16 or A8 (T, K); found %s", x_text);
    if ((!is_quantised(w->type) && !is_float(w->type)) || w->rank != 2 ||
        w->extent != ASH_EXTENT_FIXED)
        return ash_fail(ASH_ERR_SHAPE,
            "matmul: the weight must be (N, K) in F32, F16, BF16, Q8_0, Q4_0 or Q4_1; found %s",
            w_text);
    if (w->dim[1] != x->dim[1])
        return ash_fail(ASH_ERR_SHAPE, "matmul: the weight must be (N, %lld) for x %s; found %s",
            (long long)x->dim[1], x_text, w_text);
    struct ash_tensor result;
    ASH_TRY(ash_tensor_init(ASH_F32, 2, (int64_t[]){ x->dim[0], w->dim[0] }, &result));
    result.extent = x->extent;
    if (args->in[2].rank > 0)
        ASH_TRY(check_addend(&args->in[2], &result));
    *out = result;
    return ASH_OK;
}

static int64_t rows(const struct ash_args *args)
{
    return args->out.dim[1];
}

static void cost(const struct ash_args *args, struct ash_cost *out)
{
    const struct ash_tensor *x = &args->in[0], *w = &args->in[1], *addend = &args->in[2];
    double read = (double)ash_tensor_bytes(x) + (double)ash_tensor_bytes(w);
    *out = (struct ash_cost){
        .flops = 2.0 * (double)x->dim[0] * (double)w->dim[0] * (double)w->dim[1],
        .bytes_read = read + (addend->rank > 0 ? (double)ash_tensor_bytes(addend) : 0.0),
        .bytes_written = (double)ash_tensor_bytes(&args->out),
    };
}

static bool accepts_quantised(const struct ash_args *args)
{
    return args->out.type == ASH_F32 && args->in[0].type == ASH_A8 &&
           is_quantised(args->in[1].type);
}

static bool accepts_bf16(const struct ash_args *args)
{
    const struct ash_tensor *x = &args->in[0], *w = &args->in[1];
    return args->out.type == ASH_F32 && x->type == ASH_BF16 && x->dim[1] % 32 == 0 &&
           (is_quantised(w->type) || w->type == ASH_BF16);
}

static bool accepts_float(const struct ash_args *args)
{
    return args->out.type == ASH_F32 && args->in[0].type == ASH_F32 && is_float(args->in[1].type);
}

#define KERNEL(feature, type, group, function, ...)                                                \
    {                                                                                              \
        .name = #function, .needs = (feature), .activation = (type), .accepts = accepts_##group,   \
        .grain = ASH_MATMUL_GROUP, .run = ash_matmul_##function, .packed_input = 1,                \
        .pack_bytes = ash_matmul_pack_bytes, .pack = ash_matmul_pack,                              \
        .unpack_row = ash_matmul_unpack_row, ##__VA_ARGS__                                         \
    }

static const struct ash_kernel kernels[] = {
#ifdef __x86_64__
    KERNEL(ASH_CPU_AMX_INT8 | ASH_CPU_AVX512_VNNI, ASH_A8, quantised, amx),
    KERNEL(ASH_CPU_AVX512_VNNI, ASH_A8, quantised, vnni),
    KERNEL(ASH_CPU_AVX_VNNI, ASH_A8, quantised, avxvnni),
    KERNEL(ASH_CPU_AVX2, ASH_A8, quantised, avx2),
    KERNEL(ASH_CPU_AVX512, ASH_F32, float, avx512_float),
    KERNEL(ASH_CPU_AVX2, ASH_F32, float, avx2_float),
    /* For prompts, where a measurement says so: coarser, and slower than memory at one token. */
    KERNEL(ASH_CPU_AMX_BF16 | ASH_CPU_AVX512_BF16, ASH_BF16, bf16, amxbf16, .tolerance = 0.3),
#endif
    { .run = NULL },
};

/* The planner puts the addition after a matmul into it. */
static const struct ash_absorb absorbs[] = {
    { .op = &ash_op_add, .result = 0, .input = 2 },
    { .op = &ash_op_add, .result = 1, .input = 2 },
    { .op = NULL },
};

const struct ash_op ash_op_matmul = {
    .name = "matmul",
    .inputs = 3,
    .optional = 1,
    .in_place = 1U << 2,
    .absorbs = absorbs,
    .infer = infer,
    .rows = rows,
    .cost = cost,
    .reference = ash_matmul_ref,
    .tolerance = 3e-5,
    .kernels = kernels,
};

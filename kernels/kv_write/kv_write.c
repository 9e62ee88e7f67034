/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/avx_kernels.h"
#include "kernels/infer.h"
#include "kernels/kv_cache.h"
#include "kernels/kv_write/kv_write_internal.h"

#include <stddef.h>

static enum ash_status check_caches(const struct ash_args *args)
{
    const struct ash_tensor *kcache = &args->in[2], *vcache = &args->in[3];
    const struct ash_rope_params *rope = &((const struct ash_kv_write_params *)args->params)->rope;
    ASH_TRY(ash_kv_check(kcache, "key cache"));
    ASH_TRY(ash_kv_check(vcache, "value cache"));
    if (vcache->type != kcache->type)
        return ash_fail(ASH_ERR_SHAPE, "the value cache must be %s as the key cache, is %s",
            ash_type_info(kcache->type)->name, ash_type_info(vcache->type)->name);
    for (int i = 0; i < 4; i++)
        ASH_TRY(ash_infer_want_dim(vcache, "the value cache", i, "that of keys", kcache->dim[i]));
    if (rope->heads != kcache->dim[1] || rope->head_size != kcache->dim[3])
        return ash_fail(ASH_ERR_SHAPE,
            "rotary embedding of %d heads of %d does not fit a cache of %lld heads of %lld",
            rope->heads, rope->head_size, (long long)kcache->dim[1], (long long)kcache->dim[3]);
    return ASH_OK;
}

static enum ash_status infer(const struct ash_args *args, struct ash_tensor *out)
{
    const struct ash_tensor *k = &args->in[0], *v = &args->in[1], *kcache = &args->in[2];
    ASH_TRY(ash_rope_check(args->params, &args->in[4]));
    ASH_TRY(check_caches(args));
    ASH_TRY(ash_infer_want(k, "k", ASH_F32, 2));
    ASH_TRY(ash_infer_want(v, "v", ASH_F32, 2));
    ASH_TRY(ash_infer_want_dim(k, "k", 1, "Hkv D", kcache->dim[1] * kcache->dim[3]));
    for (int i = 0; i < 2; i++)
        ASH_TRY(ash_infer_want_dim(v, "v", i, "that of k", k->dim[i]));
    *out = (struct ash_tensor){ 0 };
    return ASH_OK;
}

static int64_t rows(const struct ash_args *args)
{
    return args->in[0].dim[0];
}

static void cost(const struct ash_args *args, struct ash_cost *out)
{
    const struct ash_rope_params *rope = &((const struct ash_kv_write_params *)args->params)->rope;
    const struct ash_tensor *k = &args->in[0], *kcache = &args->in[2], *factors = &args->in[4];
    double heads = (double)k->dim[0] * (double)kcache->dim[1];
    *out = (struct ash_cost){
        .flops = 3.0 * heads * rope->dims,
        .bytes_read = 2.0 * (double)ash_tensor_bytes(k) +
                      (factors->rank > 0 ? (double)ash_tensor_bytes(factors) : 0),
        .bytes_written = 2.0 * heads * (double)ash_tensor_row_bytes(kcache),
    };
}

static bool accepts(const struct ash_args *args)
{
    return args->in[2].dim[3] % 8 == 0; /* whole vectors of a position */
}

static const struct ash_kernel kernels[] = ASH_AVX_KERNELS(kv_write, accepts);

const struct ash_op ash_op_kv_write = {
    .name = "kv_write",
    .inputs = 5,
    .optional = 1,
    .updates = 1 << 2 | 1 << 3,
    .params_bytes = sizeof(struct ash_kv_write_params),
    .needs_batch = true,
    .infer = infer,
    .rows = rows,
    .cost = cost,
    .reference = ash_kv_write_ref,
    .tolerance = 1e-6,
    .kernels = kernels,
};

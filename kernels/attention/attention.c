/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/attention/attention_internal.h"
#include "kernels/infer.h"
#include "kernels/kv_cache.h"
#include "runtime/cpu.h"

#include <math.h>
#include <stddef.h>

static enum ash_status check_params(
    const struct ash_attention_params *params, const struct ash_tensor *kcache)
{
    if (params->heads < 1 || params->heads % kcache->dim[1] != 0)
        return ash_fail(ASH_ERR_ARGUMENT,
            "query heads must be a multiple of the cache's %lld heads, are %d",
            (long long)kcache->dim[1], params->heads);
    if (!isfinite(params->scale) || params->window < 0 || !(params->softcap >= 0) ||
        !isfinite(params->softcap))
        return ash_fail(ASH_ERR_ARGUMENT,
            "scale must be finite, window and softcap at least 0; are %g, %d and %g",
            (double)params->scale, params->window, (double)params->softcap);
    return ASH_OK;
}

static enum ash_status infer(const struct ash_args *args, struct ash_tensor *out)
{
    const struct ash_attention_params *params = args->params;
    const struct ash_tensor *q = &args->in[0], *kcache = &args->in[1], *vcache = &args->in[2];
    ASH_TRY(ash_infer_want(q, "q", ASH_F32, 2));
    ASH_TRY(ash_kv_check(kcache, "key cache"));
    ASH_TRY(ash_kv_check(vcache, "value cache"));
    ASH_TRY(ash_infer_want(vcache, "the value cache", kcache->type, 4));
    for (int i = 0; i < 4; i++)
        ASH_TRY(ash_infer_want_dim(vcache, "the value cache", i, "that of keys", kcache->dim[i]));
    ASH_TRY(check_params(params, kcache));
    if (args->in[3].rank > 0)
        ASH_TRY(ash_infer_want(&args->in[3], "the scratch", ASH_F32, 1));
    ASH_TRY(ash_infer_want_dim(q, "q", 1, "heads * D", params->heads * kcache->dim[3]));
    *out = ash_infer_like(q);
    return ASH_OK;
}

/* While planning there is no batch: then all tokens are a sequence's first ones. */
static int64_t rows(const struct ash_args *args)
{
    struct ash_span all = { .tokens = (int32_t)args->in[0].dim[0] };
    const struct ash_span *span = args->batch ? args->batch->span : &all;
    int64_t rows = 0;
    for (int32_t s = 0; s < (args->batch ? args->batch->spans : 1); s++) {
        struct ash_attention_parts parts = ash_attention_span_parts(args->params, &span[s]);
        rows += span[s].tokens * (int64_t)(parts.last - parts.first);
    }
    return rows * args->in[1].dim[1];
}

/* While planning there is no batch: then all tokens are a sequence's first ones. */
static void cost(const struct ash_args *args, struct ash_cost *out)
{
    const struct ash_attention_params *params = args->params;
    const struct ash_tensor *q = &args->in[0], *kcache = &args->in[1];
    struct ash_span first = { .tokens = (int32_t)q->dim[0] };
    const struct ash_span *span = args->batch ? args->batch->span : &first;
    double positions = 0, pairs = 0;
    for (int32_t s = 0; s < (args->batch ? args->batch->spans : 1); s++) {
        int32_t from = span[s].first_position, to = from + span[s].tokens;
        positions += to - ash_attention_first(params, from);
        for (int32_t p = from; p < to; p++)
            pairs += p + 1 - ash_attention_first(params, p);
    }
    double softmax = params->softcap > 0 ? 9 : 5; /* scale, maximum, difference, e^x, sum; cap */
    *out = (struct ash_cost){
        .flops = pairs * params->heads * (4.0 * (double)kcache->dim[3] + softmax),
        .bytes_read = (double)ash_tensor_bytes(q) + 2.0 * positions * (double)kcache->dim[1] *
                                                        (double)ash_tensor_row_bytes(kcache),
        .bytes_written = (double)ash_tensor_bytes(&args->out),
    };
}

static bool accepts(const struct ash_args *args)
{
    int64_t size = args->in[1].dim[3];
    bool writes = args->out.type == ASH_F32 || (args->out.type == ASH_A8 && size % 32 == 0);
    return size % 16 == 0 && args->in[1].type != ASH_BF16 && writes;
}

/* BF16 is laid out for tiles: others turn each page on their stack, and it should not be taken for them. */
static bool accepts_bf16(const struct ash_args *args)
{
    struct ash_args widened = *args;
    widened.in[1].type = ASH_F32;
    return args->in[1].type == ASH_BF16 && args->in[1].dim[3] <= 128 && accepts(&widened);
}

static bool accepts_amx(const struct ash_args *args)
{
    const struct ash_attention_params *params = args->params;
    int64_t size = args->in[1].dim[3];
    return args->in[1].type == ASH_BF16 && size % 32 == 0 && size <= 256 && params->scale > 0 &&
           (args->out.type == ASH_F32 || args->out.type == ASH_BF16 || args->out.type == ASH_A8);
}

static const struct ash_kernel kernels[] = {
#ifdef __x86_64__
    { .name = "amx_bf16",
        .needs = ASH_CPU_AMX_BF16 | ASH_CPU_AVX512_BF16 | ASH_CPU_AVX512,
        .accepts = accepts_amx,
        .rounds_to = ASH_BF16,
        .tolerance = 8e-3,
        .grain = 1,
        .run = ash_attention_amx },
    { .name = "avx512",
        .needs = ASH_CPU_AVX512,
        .accepts = accepts,
        .grain = 1,
        .run = ash_attention_avx512 },
    { .name = "avx2",
        .needs = ASH_CPU_AVX2,
        .accepts = accepts,
        .grain = 1,
        .run = ash_attention_avx2 },
    { .name = "avx512_widened",
        .needs = ASH_CPU_AVX512,
        .accepts = accepts_bf16,
        .fallback = true,
        .grain = 1,
        .run = ash_attention_avx512 },
    { .name = "avx2_widened",
        .needs = ASH_CPU_AVX2,
        .accepts = accepts_bf16,
        .fallback = true,
        .grain = 1,
        .run = ash_attention_avx2 },
#endif
    { .run = NULL },
};

const struct ash_op ash_op_attention = {
    .name = "attention",
    .inputs = 4,
    .optional = 1,
    .updates = 1 << 3,
    .scratch = 1 << 3,
    .in_place = 1 << 0,
    .params_bytes = sizeof(struct ash_attention_params),
    .needs_batch = true,
    .infer = infer,
    .rows = rows,
    .cost = cost,
    .reference = ash_attention_ref,
    .tolerance = 1e-5,
    .kernels = kernels,
};

/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/kv_cache.h"
#include "kernels/kv_write/kv_write_internal.h"

#include <stddef.h>

static void turned(const struct ash_args *args, const float *k, int32_t position, float *out)
{
    const struct ash_kv_write_params *params = args->params;
    const float *factors = args->in[4].rank > 0 ? args->in[4].data : NULL;
    double head[ASH_KV_MAX_HEAD_SIZE];
    for (int d = 0; d < params->rope.head_size; d++)
        head[d] = (double)k[d];
    ash_rope_ref_head(&params->rope, factors, position, head);
    for (int d = 0; d < params->rope.head_size; d++)
        out[d] = (float)head[d];
}

void ash_kv_write_ref(const struct ash_args *args)
{
    const struct ash_tensor *kcache = &args->in[2], *vcache = &args->in[3];
    int64_t heads = kcache->dim[1], size = kcache->dim[3];
    for (int64_t t = 0; t < args->in[0].dim[0]; t++) {
        int32_t position = ash_batch_position(args->batch, t);
        const struct ash_span *span = &args->batch->span[args->batch->token_span[t]];
        int32_t page = span->page[position / ASH_PAGE_POSITIONS];
        int in_page = position % ASH_PAGE_POSITIONS;
        for (int64_t h = 0; h < heads; h++) {
            const float *k = (const float *)args->in[0].data + (t * heads + h) * size;
            const float *v = (const float *)args->in[1].data + (t * heads + h) * size;
            float key[ASH_KV_MAX_HEAD_SIZE];
            turned(args, k, position, key);
            ash_kv_write(ASH_KV_KEYS, kcache, ash_kv_tile(kcache, page, h), in_page, key);
            ash_kv_write(ASH_KV_VALUES, vcache, ash_kv_tile(vcache, page, h), in_page, v);
        }
    }
}

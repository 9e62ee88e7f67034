/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/attention/attention_internal.h"
#include "kernels/kv_cache.h"

#include <math.h>

/* One query head of one token. */
struct query {
    const struct ash_args *args;
    const struct ash_span *span;
    int64_t kv_head;
    int32_t first, position; /* attends to both and what is between */
    const float *q;
};

static void load(const struct query *query, enum ash_kv_side side, int32_t position, float *row)
{
    const struct ash_tensor *cache = &query->args->in[side == ASH_KV_KEYS ? 1 : 2];
    int32_t page = query->span->page[position / ASH_PAGE_POSITIONS];
    const void *tile = ash_kv_tile(cache, page, query->kv_head);
    ash_kv_read(side, cache, tile, position % ASH_PAGE_POSITIONS, row);
}

static double score(const struct query *query, int32_t position)
{
    const struct ash_attention_params *params = query->args->params;
    float key[ASH_KV_MAX_HEAD_SIZE];
    load(query, ASH_KV_KEYS, position, key);
    double sum = 0;
    for (int64_t d = 0; d < query->args->in[1].dim[3]; d++)
        sum += (double)query->q[d] * (double)key[d];
    sum *= (double)params->scale;
    double cap = (double)params->softcap;
    return cap > 0 ? cap * tanh(sum / cap) : sum;
}

static void attend(const struct query *query, float *out)
{
    int64_t size = query->args->in[1].dim[3];
    double sums[ASH_KV_MAX_HEAD_SIZE] = { 0 }, total = 0, most = -HUGE_VAL;
    for (int32_t p = query->first; p <= query->position; p++) {
        float value[ASH_KV_MAX_HEAD_SIZE];
        load(query, ASH_KV_VALUES, p, value);
        double now = score(query, p), before = 1;
        if (now > most) { /* what was added so far is relative to the old maximum */
            before = exp(most - now);
            most = now;
        }
        double weight = exp(now - most);
        total = total * before + weight;
        for (int64_t d = 0; d < size; d++)
            sums[d] = sums[d] * before + weight * (double)value[d];
    }
    for (int64_t d = 0; d < size; d++)
        out[d] = (float)(sums[d] / total);
}

void ash_attention_ref(const struct ash_args *args)
{
    const struct ash_attention_params *params = args->params;
    int64_t size = args->in[1].dim[3], group = params->heads / args->in[1].dim[1];
    for (int64_t t = 0; t < args->in[0].dim[0]; t++)
        for (int64_t h = 0; h < params->heads; h++) {
            int32_t position = ash_batch_position(args->batch, t);
            struct query query = {
                .args = args,
                .span = &args->batch->span[args->batch->token_span[t]],
                .kv_head = h / group,
                .first = ash_attention_first(params, position),
                .position = position,
                .q = (const float *)args->in[0].data + (t * params->heads + h) * size,
            };
            attend(&query, (float *)args->out.data + (t * params->heads + h) * size);
        }
}

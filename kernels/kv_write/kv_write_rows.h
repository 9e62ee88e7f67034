/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "kernels/kv_cache.h"
#include "kernels/kv_write/kv_write.h"
#include "kernels/rope/angles.h"

/*
 * The order of the work: tokens that go into one page are turned together and stored together, as far
 * as the buffer reaches, head by head; so a prefill writes whole rows of a page. How positions are
 * stored is each instruction set's own; a position's bytes do not depend on its company.
 */
enum { KV_RUN_VALUES = 4096 }; /* turned keys of a run, and as many cosines and sines */

/* Consecutive positions of one head, on their way into a tile. */
struct kv_run {
    const float *row; /* of the first position */
    int64_t stride;   /* floats from one position to the next */
    int count;
    int at; /* the first position's place in the page */
};

typedef void kv_put(
    enum ash_kv_side side, const struct ash_tensor *cache, void *tile, const struct kv_run *run);

struct kv_angles {
    int pairs;
    float cosine[KV_RUN_VALUES / 2], sine[KV_RUN_VALUES / 2]; /* position by position */
};

static inline void kv_fill_angles(
    struct ash_rope_table *table, int32_t position, int count, struct kv_angles *out)
{
    size_t bytes = (size_t)table->pairs * sizeof *out->cosine;
    out->pairs = table->pairs;
    for (int i = 0; i < count; i++) {
        ash_rope_angles(table, position + i);
        memcpy(out->cosine + i * out->pairs, table->cosine, bytes);
        memcpy(out->sine + i * out->pairs, table->sine, bytes);
    }
}

/* Tokens [token, token + count), which go into one page. */
static inline void kv_write_run(const struct ash_args *args, const struct kv_angles *angles,
    int64_t token, int count, kv_put *put)
{
    const struct ash_kv_write_params *params = args->params;
    const struct ash_tensor *kcache = &args->in[2], *vcache = &args->in[3];
    const struct ash_span *span = &args->batch->span[args->batch->token_span[token]];
    int32_t position = ash_batch_position(args->batch, token);
    int32_t page = span->page[position / ASH_PAGE_POSITIONS];
    int64_t heads = kcache->dim[1], size = kcache->dim[3];
    float key[KV_RUN_VALUES];
    for (int64_t h = 0; h < heads; h++) {
        int64_t first = (token * heads + h) * size;
        struct kv_run run = { .count = count, .at = position % ASH_PAGE_POSITIONS };
        for (int i = 0; i < count; i++) {
            memcpy(key + i * size, (const float *)args->in[0].data + first + i * heads * size,
                (size_t)size * sizeof *key);
            ash_rope_turn(angles->pairs, angles->cosine + i * angles->pairs,
                angles->sine + i * angles->pairs, params->rope.mode, key + i * size);
        }
        run.row = key;
        run.stride = size;
        put(ASH_KV_KEYS, kcache, ash_kv_tile(kcache, page, h), &run);
        run.row = (const float *)args->in[1].data + first;
        run.stride = heads * size;
        put(ASH_KV_VALUES, vcache, ash_kv_tile(vcache, page, h), &run);
    }
}

static inline void kv_write_rows(
    const struct ash_args *args, int64_t first_row, int64_t last_row, kv_put *put)
{
    const struct ash_kv_write_params *params = args->params;
    int64_t most = KV_RUN_VALUES / args->in[2].dim[3];
    struct ash_rope_table table;
    struct kv_angles angles;
    ash_rope_frequencies(&params->rope, args->in[4].rank > 0 ? args->in[4].data : NULL, &table);
    for (int64_t token = first_row, count; token < last_row; token += count) {
        const struct ash_span *span = &args->batch->span[args->batch->token_span[token]];
        int32_t position = ash_batch_position(args->batch, token);
        count = ASH_PAGE_POSITIONS - position % ASH_PAGE_POSITIONS;
        int64_t left = span->first_token + span->tokens - token;
        left = left < last_row - token ? left : last_row - token;
        left = left < most ? left : most;
        count = count < left ? count : left;
        kv_fill_angles(&table, position, (int)count, &angles);
        kv_write_run(args, &angles, token, (int)count, put);
    }
}

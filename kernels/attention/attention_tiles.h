/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "kernels/attention/attention_internal.h"
#include "kernels/kv_cache.h"

#include <math.h>
#include <string.h>

/*
 * The order of the work, the same for every instruction set: rows of work are cut into tiles of
 * queries that share a KV head and a sequence, and a tile goes through the pages once.
 *
 * How many queries stand in a tile, and which, must not show in the bits of any of them: what is done
 * to one query on one page is the same sequence of operations, alone or among others, and positions
 * that it does not attend to are left out rather than multiplied by 0 (they may hold anything).
 */
enum {
    ATTENTION_TILE_QUERIES = 64,
    ATTENTION_TILE_SUMS = 8192, /* floats: half of the 64 KiB of stack */
    ATTENTION_LANES = 16,
};

/* One query head of one token on its way through the pages. */
struct attention_query {
    const float *q;      /* (D) */
    float *sums;         /* (D) of e^(s - most) v */
    int32_t first, last; /* attends to positions [first, last) */
    float most;          /* the largest score so far */
    float correction;    /* e^(most before - most now) where sums still wait for it, or 1 */
    float total[ATTENTION_LANES]; /* of e^(s - most); one lane for each of 16 positions */
};

/* What does not change within a call. */
struct attention_call {
    int64_t size; /* D */
    enum ash_type type;
    float scale, softcap;
};

struct attention_page {
    const void *keys, *values;           /* tiles of kernels/kv_cache.h */
    const void *next_keys, *next_values; /* those that come after; these again at the end */
    int32_t base;                        /* position of its first */
};

/* Adds a page to every query; each attends to at least one of its positions. */
typedef void attention_add_page(const struct attention_call *call, struct attention_query *query,
    int count, const struct attention_page *page);
/* Divides sums by the total and writes them: D values of row `token` of out from column `column`. */
typedef void attention_write(const struct attention_query *query, int64_t size,
    const struct ash_tensor *out, int64_t token, int64_t column);

struct attention_tile {
    struct attention_query query[ATTENTION_TILE_QUERIES];
    float sums[ATTENTION_TILE_SUMS];
};

/* The positions of a page that a query attends to: [first, last) within 0 .. 32. */
static inline int attention_first_in(const struct attention_query *query, int32_t base)
{
    return query->first > base ? query->first - base : 0;
}

static inline int attention_last_in(const struct attention_query *query, int32_t base)
{
    return query->last - base < ASH_PAGE_POSITIONS ? query->last - base : ASH_PAGE_POSITIONS;
}

/* Queries stand in the order of their positions: those that see nothing of a page are the first ones
 * (before it) and the last ones (whose window has left it). */
static inline void attention_pages(const struct ash_args *args, const struct attention_call *call,
    const struct ash_span *span, int64_t kv_head, struct attention_query *query, int count,
    attention_add_page *add_page)
{
    const struct ash_tensor *kcache = &args->in[1], *vcache = &args->in[2];
    int32_t page = query[0].first / ASH_PAGE_POSITIONS;
    int32_t last_page = (query[count - 1].last - 1) / ASH_PAGE_POSITIONS;
    for (int begin = 0, end = 0; page <= last_page; page++) {
        int32_t next = page < last_page ? page + 1 : page;
        struct attention_page this = {
            .keys = ash_kv_tile(kcache, span->page[page], kv_head),
            .values = ash_kv_tile(vcache, span->page[page], kv_head),
            .next_keys = ash_kv_tile(kcache, span->page[next], kv_head),
            .next_values = ash_kv_tile(vcache, span->page[next], kv_head),
            .base = page * ASH_PAGE_POSITIONS,
        };
        while (query[begin].last <= this.base)
            begin++;
        while (end < count && query[end].first < this.base + ASH_PAGE_POSITIONS)
            end++;
        if (begin < end)
            add_page(call, query + begin, end - begin, &this);
    }
}

static inline void attention_tokens(const struct ash_args *args, const struct attention_call *call,
    int64_t kv_head, int64_t token, int64_t tokens, attention_add_page *add_page,
    attention_write *write)
{
    const struct ash_attention_params *params = args->params;
    const struct ash_span *span = &args->batch->span[args->batch->token_span[token]];
    int64_t group = params->heads / args->in[1].dim[1], size = call->size;
    int64_t most = ATTENTION_TILE_SUMS / size < ATTENTION_TILE_QUERIES ? ATTENTION_TILE_SUMS / size
                                                                       : ATTENTION_TILE_QUERIES;
    struct attention_tile tile;
    for (int64_t done = 0, count; done < tokens * group; done += count) {
        count = tokens * group - done < most ? tokens * group - done : most;
        memset(tile.sums, 0, (size_t)(count * size) * sizeof tile.sums[0]);
        for (int64_t i = 0; i < count; i++) {
            int64_t t = token + (done + i) / group, h = kv_head * group + (done + i) % group;
            int32_t position = ash_batch_position(args->batch, t);
            tile.query[i] = (struct attention_query){
                .q = (const float *)args->in[0].data + (t * params->heads + h) * size,
                .sums = tile.sums + i * size,
                .first = ash_attention_first(params, position),
                .last = position + 1,
                .most = -INFINITY,
                .correction = 1,
            };
        }
        attention_pages(args, call, span, kv_head, tile.query, (int)count, add_page);
        for (int64_t i = 0; i < count; i++)
            write(&tile.query[i], size, &args->out, token + (done + i) / group,
                (kv_head * group + (done + i) % group) * size);
    }
}

static inline void attention_rows(const struct ash_args *args, int64_t first_row, int64_t last_row,
    attention_add_page *add_page, attention_write *write)
{
    const struct ash_attention_params *params = args->params;
    const struct ash_batch *batch = args->batch;
    struct attention_call call = { .size = args->in[1].dim[3],
        .type = args->in[1].type,
        .scale = params->scale,
        .softcap = params->softcap };
    int64_t tokens = args->in[0].dim[0];
    for (int64_t row = first_row, count; row < last_row; row += count) {
        int64_t token = row % tokens;
        const struct ash_span *span = &batch->span[batch->token_span[token]];
        count = span->first_token + span->tokens - token;
        count = count < last_row - row ? count : last_row - row;
        attention_tokens(args, &call, row / tokens, token, count, add_page, write);
    }
}

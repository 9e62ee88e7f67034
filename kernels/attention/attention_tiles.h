/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "kernels/attention/attention_rows.h"

#include <math.h>
#include <string.h>

/*
 * The order of the work, the same for AVX2 and AVX-512: jobs are cut into tiles of queries that share
 * a KV head and a sequence, and a tile goes through the pages once (online softmax within a part:
 * Milakov and Gimelshein 2018, arXiv 1805.02867).
 *
 * How many queries stand in a tile, and which, must not show in the bits of any of them: what is done
 * to one query on one page is the same sequence of operations, alone or among others, and positions
 * that it does not attend to are left out rather than multiplied by 0 (they may hold anything).
 */
enum {
    ATTENTION_TILE_QUERIES = 64,
    ATTENTION_TILE_SUMS = 4096, /* floats of a part, and as many of all parts: half of the stack */
    ATTENTION_LANES = 16,
};

/* One query head of one token on its way through the pages. */
struct attention_query {
    const float *q;      /* (D) */
    float *sums;         /* (D) of e^(s - most) v, within a part */
    int32_t first, last; /* attends to positions [first, last) */
    float most;          /* the largest score so far of the part */
    float correction;    /* e^(most before - most now) where sums still wait for it, or 1 */
    float total[ATTENTION_LANES]; /* of e^(s - most); one lane for each of 16 positions */
    float *all_sums;              /* (D), over the parts that are done */
    float all_most, all_total;
};

/* What a part of a query comes to; in a slot, D sums after it. */
struct attention_sum {
    float most, total;
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
/* The sum of its lanes. */
typedef float attention_total(const float lanes[ATTENTION_LANES]);
/* Adds a part, with sums (D), to what the query has of all parts. */
typedef void attention_add_part(
    struct attention_query *query, int64_t size, struct attention_sum part, const float *sums);
/* Divides all sums by their total and writes them: D values of row `token` of out from `column`. */
typedef void attention_write(const struct attention_query *query, int64_t size,
    const struct ash_tensor *out, int64_t token, int64_t column);

struct attention_kernel {
    attention_add_page *add_page;
    attention_total *total;
    attention_add_part *add_part;
    attention_write *write;
};

struct attention_tile {
    struct attention_query query[ATTENTION_TILE_QUERIES];
    float sums[ATTENTION_TILE_SUMS], all_sums[ATTENTION_TILE_SUMS];
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

static inline void attention_begin_part(struct attention_query *query, int64_t size)
{
    memset(query->sums, 0, (size_t)size * sizeof *query->sums);
    memset(query->total, 0, sizeof query->total);
    query->most = -INFINITY;
    query->correction = 1;
}

static inline void attention_end_part(
    const struct attention_kernel *kernel, struct attention_query *query, int64_t size)
{
    struct attention_sum part = { query->most, kernel->total(query->total) };
    kernel->add_part(query, size, part, query->sums);
}

enum { ATTENTION_WIDENED_VALUES = 128 * ASH_PAGE_POSITIONS };

/* A page of a BF16 cache, which lies the other way round, as one in F32. */
struct attention_widened {
    float keys[ATTENTION_WIDENED_VALUES], values[ATTENTION_WIDENED_VALUES];
};

static inline void attention_turn(const uint16_t *from, int64_t rows, int64_t columns, float *to)
{
    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < columns; c++) {
            uint32_t bits = (uint32_t)from[r * columns + c] << 16;
            memcpy(&to[c * rows + r], &bits, sizeof bits);
        }
}

static inline void attention_widen(
    int64_t size, struct attention_page *page, struct attention_widened *to)
{
    attention_turn(page->keys, ASH_PAGE_POSITIONS, size, to->keys);
    attention_turn(page->values, size, ASH_PAGE_POSITIONS, to->values);
    page->keys = page->next_keys = to->keys;
    page->values = page->next_values = to->values;
}

/*
 * Pages of one part. Queries stand in the order of their positions: those that see nothing of a page
 * are the first ones (before it) and the last ones (whose window has left it).
 */
static inline void attention_pages(const struct ash_args *args, const struct attention_call *call,
    const struct attention_job *job, int32_t part, struct attention_query *query, int count,
    attention_add_page *add_page)
{
    const struct ash_tensor *kcache = &args->in[1], *vcache = &args->in[2];
    const int32_t pages = ASH_ATTENTION_PART / ASH_PAGE_POSITIONS;
    int32_t last_page = (query[count - 1].last - 1) / ASH_PAGE_POSITIONS;
    int32_t page = query[0].first / ASH_PAGE_POSITIONS;
    page = page > part * pages ? page : part * pages;
    struct attention_widened widened;
    for (int begin = 0, end = 0; page <= last_page && page < (part + 1) * pages; page++) {
        int32_t next = page < last_page ? page + 1 : page;
        struct attention_page this = {
            .keys = ash_kv_tile(kcache, job->span->page[page], job->kv_head),
            .values = ash_kv_tile(vcache, job->span->page[page], job->kv_head),
            .next_keys = ash_kv_tile(kcache, job->span->page[next], job->kv_head),
            .next_values = ash_kv_tile(vcache, job->span->page[next], job->kv_head),
            .base = page * ASH_PAGE_POSITIONS,
        };
        while (query[begin].last <= this.base)
            begin++;
        while (end < count && query[end].first < this.base + ASH_PAGE_POSITIONS)
            end++;
        if (begin >= end)
            continue;
        if (call->type == ASH_BF16)
            attention_widen(call->size, &this, &widened);
        add_page(call, query + begin, end - begin, &this);
    }
}

static inline bool attention_sees(const struct attention_query *query, int32_t part)
{
    return query->first < (part + 1) * ASH_ATTENTION_PART &&
           query->last > part * ASH_ATTENTION_PART;
}

/* Every query's sums of one part, left in it. */
static inline void attention_part(const struct ash_args *args, const struct attention_call *call,
    const struct attention_job *job, int32_t part, struct attention_query *query, int count,
    attention_add_page *add_page)
{
    for (int i = 0; i < count; i++)
        attention_begin_part(&query[i], call->size);
    attention_pages(args, call, job, part, query, count, add_page);
}

static inline void attention_save(const struct attention_kernel *kernel,
    const struct attention_query *query, int64_t size, float *slot)
{
    struct attention_sum part = { query->most, kernel->total(query->total) };
    memcpy(slot, &part, sizeof part);
    memcpy(slot + 2, query->sums, (size_t)size * sizeof *slot);
}

/* A decoding sequence's parts to their slots; true if these were the last, and all are added up. */
static inline bool attention_shared(const struct ash_args *args, const struct attention_call *call,
    const struct attention_job *job, struct attention_query *query, int count,
    const struct attention_kernel *kernel)
{
    size_t floats = (size_t)call->size + 2;
    float *slot = job->slot;
    for (int32_t part = job->parts.first; part < job->parts.last; part++) {
        attention_part(args, call, job, part, query, count, kernel->add_page);
        for (int i = 0; i < count; i++, slot += floats)
            if (attention_sees(&query[i], part))
                attention_save(kernel, &query[i], call->size, slot);
    }
    if (!attention_arrive(job))
        return false;
    struct ash_attention_parts all = ash_attention_span_parts(args->params, job->span);
    slot = job->first_slot;
    for (int32_t part = all.first; part < all.last; part++)
        for (int i = 0; i < count; i++, slot += floats) {
            struct attention_sum sum;
            memcpy(&sum, slot, sizeof sum);
            if (attention_sees(&query[i], part))
                kernel->add_part(&query[i], call->size, sum, slot + 2);
        }
    return true;
}

static inline void attention_whole(const struct ash_args *args, const struct attention_call *call,
    const struct attention_job *job, struct attention_query *query, int count,
    const struct attention_kernel *kernel)
{
    int32_t last = (query[count - 1].last - 1) / ASH_ATTENTION_PART;
    for (int32_t part = query[0].first / ASH_ATTENTION_PART; part <= last; part++) {
        attention_part(args, call, job, part, query, count, kernel->add_page);
        for (int i = 0; i < count; i++)
            if (attention_sees(&query[i], part))
                attention_end_part(kernel, &query[i], call->size);
    }
}

static inline void attention_init(const struct ash_args *args, const struct attention_call *call,
    const struct attention_job *job, int64_t done, int count, struct attention_tile *tile)
{
    const struct ash_attention_params *params = args->params;
    int64_t group = params->heads / args->in[1].dim[1], size = call->size;
    memset(tile->all_sums, 0, (size_t)(count * size) * sizeof *tile->all_sums);
    for (int64_t i = 0; i < count; i++) {
        int64_t t = job->token + (done + i) / group, h = job->kv_head * group + (done + i) % group;
        int32_t position = ash_batch_position(args->batch, t);
        tile->query[i] = (struct attention_query){
            .q = (const float *)args->in[0].data + (t * params->heads + h) * size,
            .sums = tile->sums + i * size,
            .all_sums = tile->all_sums + i * size,
            .all_most = -INFINITY,
            .first = ash_attention_first(params, position),
            .last = position + 1,
        };
    }
}

static inline void attention_tiles(const struct ash_args *args, const struct attention_job *job,
    const struct attention_kernel *kernel)
{
    const struct ash_attention_params *params = args->params;
    struct attention_call call = { .size = args->in[1].dim[3],
        .type = args->in[1].type,
        .scale = params->scale,
        .softcap = params->softcap };
    int64_t group = params->heads / args->in[1].dim[1], queries = job->tokens * group;
    int64_t most = ATTENTION_TILE_SUMS / call.size;
    most = most < ATTENTION_TILE_QUERIES ? most : ATTENTION_TILE_QUERIES;
    struct attention_tile tile;
    for (int64_t done = 0, count; done < queries; done += count) {
        count = queries - done < most ? queries - done : most;
        attention_init(args, &call, job, done, (int)count, &tile);
        if (!job->slot)
            attention_whole(args, &call, job, tile.query, (int)count, kernel);
        else if (!attention_shared(args, &call, job, tile.query, (int)count, kernel))
            continue;
        for (int64_t i = 0; i < count; i++)
            kernel->write(&tile.query[i], call.size, &args->out, job->token + (done + i) / group,
                (job->kv_head * group + (done + i) % group) * call.size);
    }
}

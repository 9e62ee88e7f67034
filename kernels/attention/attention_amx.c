/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Attention over a BF16 cache by AMX tiles: queries into lanes, part after part, lanes out again.
 * What happens to a part is attention_amx_part.h's.
 */
#include "kernels/a8_avx512.h"
#include "kernels/attention/attention_amx_part.h"
#include "kernels/transpose_avx512.h"

/* The pages of a part, up to position `end`. */
static struct part part_at(const struct call *call, int32_t index, int32_t end)
{
    const struct ash_tensor *kcache = &call->args->in[1], *vcache = &call->args->in[2];
    struct part part = { .base = index * PART };
    int32_t first = index * PART_PAGES, last = (end + P - 1) / P;
    for (; part.pages < PART_PAGES && first + part.pages < last; part.pages++) {
        int32_t page = call->job->span->page[first + part.pages];
        part.keys[part.pages] = ash_kv_tile(kcache, page, call->job->kv_head);
        part.values[part.pages] = ash_kv_tile(vcache, page, call->job->kv_head);
    }
    return part;
}

static struct fetch fetch_of(const struct call *call, const struct part *part)
{
    struct fetch fetch = { .bytes = 2 * call->size * P, .pages = 2 * part->pages };
    for (int p = 0; p < part->pages; p++) {
        fetch.page[p] = (const char *)part->keys[p];
        fetch.page[part->pages + p] = (const char *)part->values[p];
    }
    return fetch;
}

/* The query of a lane: row of q by head. */
static const float *query_at(const struct call *call, int64_t query)
{
    const struct ash_attention_params *params = call->args->params;
    int64_t token = call->job->token + query / call->group;
    int64_t head = call->job->kv_head * call->group + query % call->group;
    return (const float *)call->args->in[0].data + (token * params->heads + head) * call->size;
}

/* Queries to BF16, pairs of channels by lanes. */
static void load_queries(const struct call *call, struct tile *tile)
{
    for (int64_t d = 0; d < call->size; d += 32) {
        __m512i row[LANES];
        for (int lane = 0; lane < LANES; lane++) {
            int64_t query = tile->query + (lane < tile->count ? lane : tile->count - 1);
            const float *q = query_at(call, query) + d;
            row[lane] = (__m512i)_mm512_cvtne2ps_pbh(_mm512_loadu_ps(q + 16), _mm512_loadu_ps(q));
        }
        ash_transpose_avx512(row);
        for (int pair = 0; pair < LANES; pair++)
            _mm512_storeu_si512(tile->q + (d / 2 + pair) * 2 * LANES, row[pair]);
    }
}

static void clear_sums(const struct call *call, struct tile *tile)
{
    memset(tile->sums, 0, (size_t)(call->size * LANES) * sizeof *tile->sums);
    _mm512_storeu_ps(tile->most, _mm512_set1_ps(-INFINITY));
    _mm512_storeu_ps(tile->total, _mm512_setzero_ps());
}

static void init_tile(const struct call *call, struct tile *tile, int64_t query, int count)
{
    const struct ash_attention_params *params = call->args->params;
    tile->query = query;
    tile->count = count;
    for (int lane = 0; lane < LANES; lane++) {
        int64_t of = query + (lane < count ? lane : count - 1);
        int32_t position =
            ash_batch_position(call->args->batch, call->job->token + of / call->group);
        tile->first[lane] = ash_attention_first(params, position);
        tile->last[lane] = position + 1;
    }
    tile->begin = tile->first[0]; /* lanes are in the order of their positions */
    tile->full_begin = tile->first[LANES - 1];
    tile->full_end = tile->last[0];
    tile->end = tile->last[LANES - 1];
    load_queries(call, tile);
    clear_sums(call, tile);
}

/* 16 channels of 16 queries, from lanes to rows. */
ASH_INLINE void finished_rows(const float *sums, __m512 by, __m512i row[LANES])
{
    for (int i = 0; i < LANES; i++) /* adding 0: which zero it is must not tell what was added */
        row[i] = _mm512_castps_si512(
            _mm512_fmadd_ps(_mm512_load_ps(sums + i * LANES), by, _mm512_setzero_ps()));
    ash_transpose_avx512(row);
}

/* 32 channels of a query to row `token` of out, from column `column` on. */
ASH_INLINE void write_channels(
    const struct ash_tensor *out, int64_t token, int64_t column, __m512 low, __m512 high)
{
    int64_t columns = ash_tensor_columns(out);
    if (out->type == ASH_A8) {
        ash_a8_store_avx512(low, high, ash_a8_row(out->data, columns, token), column / 32);
    } else if (out->type == ASH_BF16) {
        uint16_t *row = (uint16_t *)out->data + token * columns + column;
        _mm512_storeu_si512(row, (__m512i)_mm512_cvtne2ps_pbh(high, low));
    } else {
        float *row = (float *)out->data + token * columns + column;
        _mm512_storeu_ps(row, low);
        _mm512_storeu_ps(row + 16, high);
    }
}

static void write_tile(const struct call *call, const struct tile *tile)
{
    __m512 by = _mm512_div_ps(_mm512_set1_ps(1), _mm512_loadu_ps(tile->total));
    for (int64_t d = 0; d < call->size; d += 32) {
        __m512i low[LANES], high[LANES];
        finished_rows(tile->sums + d * LANES, by, low);
        finished_rows(tile->sums + (d + LANES) * LANES, by, high);
        for (int lane = 0; lane < tile->count; lane++) {
            int64_t query = tile->query + lane;
            int64_t head = call->job->kv_head * call->group + query % call->group;
            write_channels(&call->args->out, call->job->token + query / call->group,
                head * call->size + d, _mm512_castsi512_ps(low[lane]),
                _mm512_castsi512_ps(high[lane]));
        }
    }
}

/* A part that is done goes to its slot: (largest, total, D sums) by lane. */
static void save_part(const struct call *call, const struct tile *tile, float *slot)
{
    __mmask16 lanes = ash_mask_avx512(tile->count);
    _mm512_mask_storeu_ps(slot, lanes, _mm512_loadu_ps(tile->most));
    _mm512_mask_storeu_ps(slot + tile->count, lanes, _mm512_loadu_ps(tile->total));
    for (int64_t d = 0; d < call->size; d++)
        _mm512_mask_storeu_ps(
            slot + (d + 2) * tile->count, lanes, _mm512_load_ps(tile->sums + d * LANES));
}

static void add_saved(const struct call *call, struct tile *tile, int32_t index, const float *slot)
{
    __mmask16 lanes = ash_mask_avx512(tile->count);
    struct merge merge = begin_merge(tile, index, _mm512_maskz_loadu_ps(lanes, slot),
        _mm512_maskz_loadu_ps(lanes, slot + tile->count));
    for (int64_t d = 0; d < call->size; d++)
        merge_row(&merge, merge.seen, _mm512_maskz_loadu_ps(lanes, slot + (d + 2) * tile->count),
            tile->sums + d * LANES);
}

/* Parts of a decoding sequence to their slots, and all of them to the output if these were the last. */
static void run_shared(const struct call *call, struct work *work)
{
    const struct attention_job *job = call->job;
    struct tile *tile = &work->tile[0];
    struct part part = part_at(call, job->parts.first, tile->end);
    for (int32_t i = job->parts.first; i < job->parts.last; i++) {
        struct part next = part_at(call, i + 1 < job->parts.last ? i + 1 : i, tile->end);
        struct fetch fetch = fetch_of(call, &next);
        clear_sums(call, tile);
        add_part_one(call, &part, tile, work, &fetch);
        save_part(call, tile, job->slot + (size_t)(i - job->parts.first) * job->slot_floats);
        part = next;
    }
    if (!attention_arrive(job))
        return;
    clear_sums(call, tile);
    int32_t first = tile->begin / PART;
    for (int32_t i = 0; i < job->slots; i++)
        add_saved(call, tile, first + i, job->first_slot + (size_t)i * job->slot_floats);
    write_tile(call, tile);
}

static bool sees(const struct tile *tile, int32_t part)
{
    return tile->begin < (part + 1) * PART && tile->end > part * PART;
}

/* One part for all tiles, two at a time; the first of them call the next part into the cache. */
static void add_part_to_all(const struct call *call, int32_t index, int32_t last, struct tile *tile,
    int count, struct work *work)
{
    struct part next = part_at(call, index + 1 < last ? index + 1 : index, tile[count - 1].end);
    struct fetch fetch = fetch_of(call, &next), *fetching = &fetch;
    for (int i = 0; i < count; i++) {
        if (!sees(&tile[i], index))
            continue;
        bool two = i + 1 < count && sees(&tile[i + 1], index);
        struct part part = part_at(call, index, tile[two ? i + 1 : i].end);
        if (two)
            add_part_two(call, &part, &tile[i++], work, fetching);
        else
            add_part_one(call, &part, &tile[i], work, fetching);
        fetching = NULL;
    }
}

static void run_whole(const struct call *call, int count, struct work *work)
{
    int32_t last = (work->tile[count - 1].end - 1) / PART + 1;
    for (int32_t part = work->tile[0].begin / PART; part < last; part++)
        add_part_to_all(call, part, last, work->tile, count, work);
    for (int i = 0; i < count; i++)
        write_tile(call, &work->tile[i]);
}

static struct call call_of(const struct ash_args *args, const struct attention_job *job)
{
    const struct ash_attention_params *params = args->params;
    const float log2_e = 1.44269504F;
    return (struct call){
        .args = args,
        .job = job,
        .size = args->in[1].dim[3],
        .group = params->heads / args->in[1].dim[1],
        .factor = params->softcap > 0 ? log2_e : params->scale * log2_e,
        .inner = params->softcap > 0 ? params->scale / params->softcap : 0,
        .cap = params->softcap,
    };
}

static void run_job(const struct ash_args *args, const struct attention_job *job)
{
    struct call call = call_of(args, job);
    struct work work;
    int64_t queries = job->tokens * call.group, tile_floats = call.size * LANES;
    int64_t most =
        STATE_FLOATS / tile_floats < MOST_TILES ? STATE_FLOATS / tile_floats : MOST_TILES;
    for (int64_t query = 0; query < queries;) {
        int tiles = 0;
        for (; tiles < most && query < queries; tiles++) {
            int count = queries - query < LANES ? (int)(queries - query) : LANES;
            work.tile[tiles].q = work.q + tiles * tile_floats;
            work.tile[tiles].sums = work.sums + tiles * tile_floats;
            init_tile(&call, &work.tile[tiles], query, count);
            query += count;
        }
        if (job->slot)
            run_shared(&call, &work);
        else
            run_whole(&call, tiles, &work);
    }
}

void ash_attention_amx(const struct ash_args *args, int64_t first_row, int64_t last_row)
{
    configure();
    attention_rows(args, first_row, last_row, run_job);
    ASH_AMX_RELEASE();
}

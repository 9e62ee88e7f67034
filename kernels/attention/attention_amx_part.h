/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "kernels/amx.h"
#include "kernels/attention/attention_rows.h"
#include "kernels/math_avx512.h"
#include "kernels/unroll.h"

/*
 * Attention over a BF16 cache by AMX tiles, turned round: a tile of scores has 16 positions as rows and
 * 16 queries as columns, and so has one of sums channels as rows. Then everything that the softmax does
 * to a query stays in its own vector lane, keys are tiles as they are written, and the 16 lanes stand
 * for any queries that share a KV head: heads of a group, tokens of a prefill.
 *
 * All scores of a part (128 positions) come first, then the largest, then the weights, then the sums,
 * which stay in the tile unit for the whole part; softmax is rescaled once a part. Scores and sums
 * are F32; queries and weights are rounded to BF16. A lane never sees another: it has the same
 * bits alone.
 */
enum {
    P = ASH_PAGE_POSITIONS,
    PART = ASH_ATTENTION_PART,
    PART_PAGES = PART / P,
    LANES = 16,
    TILE_FLOATS = LANES * LANES,
    MOST_TILES = 6,          /* of queries that a page serves while it is in the cache */
    STATE_FLOATS = 6 * 1024, /* D * LANES * tiles: 24 KiB, and half as much for the queries */
};

/* Tile registers 0 to 3 are results, 4 and 5 come from the cache, 6 and 7 are queries or weights; all
 * have 16 rows of 64 bytes. */
static void configure(void)
{
    struct ash_amx_config config = { .palette = 1 };
    for (int i = 0; i < 8; i++) {
        config.row_bytes[i] = 64;
        config.rows[i] = LANES;
    }
    ASH_AMX_CONFIGURE(config);
}

/* 16 queries, one a lane; lanes without one repeat the last. Scores are in units of ln 2. */
struct tile {
    float most[LANES], total[LANES];   /* the largest score so far, and the sum of the weights */
    int32_t first[LANES], last[LANES]; /* attends to positions [first, last) */
    int32_t begin, full_begin, full_end, end; /* some lane sees [begin, end), all see [full..) */
    int64_t query; /* of lane 0, counted over the job's tokens and heads */
    int count;
    uint16_t *q; /* (D / 32, 16 pairs of channels, 16 lanes, 2) */
    float *sums; /* (D, 16 lanes), relative to `most` */
};

/* What a thread has on its stack: 58 KiB. */
struct work {
    float scores[2][PART][LANES]; /* of two tiles; then their weights, as pairs of positions */
    float sums[STATE_FLOATS];
    uint16_t q[STATE_FLOATS];
    float part[4][LANES][LANES]; /* sums of a part: two tiles of channels for each of queries */
    struct tile tile[MOST_TILES];
} __attribute__((aligned(64)));

/* What does not change within a call. */
struct call {
    const struct ash_args *args;
    const struct attention_job *job;
    int64_t size, group; /* D, queries a KV head */
    float factor;        /* scores to units of ln 2 */
    float inner, cap;    /* softcap: cap * tanh(score * inner) first; cap 0 = none */
};

/* 2^x by a polynomial of relative error 3e-6, far below what BF16 keeps; 1 at 0. */
ASH_INLINE __m512 exp2_of(__m512 x)
{
    __m512 r = _mm512_reduce_ps(x, 0x09); /* x - floor(x); 0 of an infinity */
    __m512 p = _mm512_set1_ps(0.013426687F);
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(0.05224247F));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(0.2412802F));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(0.69304484F));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0F));
    return _mm512_scalef_ps(p, x); /* times 2^floor(x) */
}

/* Lines of the pages after these, called into the cache as the work goes on: pages lie apart, and no
 * prefetcher of the hardware leaps. */
struct fetch {
    const char *next, *end;           /* of the page that is being fetched */
    const char *page[2 * PART_PAGES]; /* of keys, then of values */
    int64_t bytes;                    /* of each */
    int done, pages;
};

ASH_INLINE void fetch_bytes(struct fetch *fetch, int64_t bytes)
{
    if (fetch->next == fetch->end && fetch->done < fetch->pages) {
        fetch->next = fetch->page[fetch->done++];
        fetch->end = fetch->next + fetch->bytes;
    }
    const char *to = bytes < fetch->end - fetch->next ? fetch->next + bytes : fetch->end;
    for (; fetch->next < to; fetch->next += 64)
        _mm_prefetch(fetch->next, _MM_HINT_T1);
}

/* Scores of a page: out[i] (32, 16 lanes) of the first or of both tiles. */
ASH_INLINE void score_page(const bool two, int64_t size, const uint16_t *keys, struct tile *tile,
    float (*out0)[LANES], float (*out1)[LANES])
{
    ASH_AMX_ZERO(0);
    ASH_AMX_ZERO(1);
    if (two) {
        ASH_AMX_ZERO(2);
        ASH_AMX_ZERO(3);
    }
    for (int64_t k = 0; k < size / 32; k++) {
        ASH_AMX_LOAD(4, keys + 32 * k, size * 2);
        ASH_AMX_LOAD(6, tile[0].q + 2 * TILE_FLOATS * k, 64);
        ASH_AMX_DOT_BF16(0, 4, 6);
        ASH_AMX_LOAD(5, keys + LANES * size + 32 * k, size * 2);
        ASH_AMX_DOT_BF16(1, 5, 6);
        if (two) {
            ASH_AMX_LOAD(7, tile[1].q + 2 * TILE_FLOATS * k, 64);
            ASH_AMX_DOT_BF16(2, 4, 7);
            ASH_AMX_DOT_BF16(3, 5, 7);
        }
    }
    ASH_AMX_STORE(0, out0, 64);
    ASH_AMX_STORE(1, out0 + LANES, 64);
    if (two) {
        ASH_AMX_STORE(2, out1, 64);
        ASH_AMX_STORE(3, out1 + LANES, 64);
    }
}

static void cap_scores(const struct call *call, int rows, float score[][LANES])
{
    const __m512 inner = _mm512_set1_ps(call->inner), cap = _mm512_set1_ps(call->cap);
    for (int r = 0; r < rows; r++) {
        __m512 s = _mm512_mul_ps(_mm512_load_ps(score[r]), inner);
        _mm512_store_ps(score[r], _mm512_mul_ps(cap, ash_tanh_avx512(s)));
    }
}

/* The positions that a lane does not attend to: no score. */
static void hide_scores(const struct tile *tile, int32_t base, int rows, float score[][LANES])
{
    const __m512 none = _mm512_set1_ps(-INFINITY);
    __m512i first = _mm512_loadu_si512(tile->first), last = _mm512_loadu_si512(tile->last);
    for (int r = 0; r < rows; r++) {
        __m512i position = _mm512_set1_epi32(base + r);
        __mmask16 seen =
            _mm512_cmple_epi32_mask(first, position) & _mm512_cmpgt_epi32_mask(last, position);
        _mm512_store_ps(score[r], _mm512_mask_mov_ps(none, seen, _mm512_load_ps(score[r])));
    }
}

/* The upper halves of the words of two vectors, lane by lane; to nearest, ties away from 0. */
ASH_INLINE __m512i pairs_of(__m512 low, __m512 high)
{
    const __m512i half = _mm512_set1_epi32(0x8000);
    __m512i a = _mm512_add_epi32(_mm512_castps_si512(low), half);
    __m512i b = _mm512_add_epi32(_mm512_castps_si512(high), half);
    return _mm512_mask_blend_epi16(0xaaaaaaaa, _mm512_srli_epi32(a, 16), b);
}

/* How a part's sums get into those of the parts before it. */
struct merge {
    __m512 before, now; /* what to multiply them with */
    __mmask16 seen;     /* lanes that see something of the part */
};

static struct merge begin_merge(struct tile *tile, int32_t index, __m512 most, __m512 total)
{
    __m512i first = _mm512_loadu_si512(tile->first), last = _mm512_loadu_si512(tile->last);
    __m512 old_most = _mm512_loadu_ps(tile->most), old_total = _mm512_loadu_ps(tile->total);
    __m512 new_most = _mm512_max_ps(old_most, most);
    struct merge merge = {
        .before = exp2_of(_mm512_sub_ps(old_most, new_most)),
        .now = exp2_of(_mm512_sub_ps(most, new_most)),
        .seen = _mm512_cmplt_epi32_mask(first, _mm512_set1_epi32((index + 1) * PART)) &
                _mm512_cmpgt_epi32_mask(last, _mm512_set1_epi32(index * PART)),
    };
    __m512 new_total = _mm512_fmadd_ps(total, merge.now, _mm512_mul_ps(old_total, merge.before));
    _mm512_storeu_ps(tile->most, _mm512_mask_mov_ps(old_most, merge.seen, new_most));
    _mm512_storeu_ps(tile->total, _mm512_mask_mov_ps(old_total, merge.seen, new_total));
    return merge;
}

ASH_INLINE void merge_row(const struct merge *merge, __mmask16 lanes, __m512 part, float *sums)
{
    __m512 old = _mm512_load_ps(sums);
    __m512 new = _mm512_fmadd_ps(part, merge->now, _mm512_mul_ps(old, merge->before));
    _mm512_store_ps(sums, _mm512_mask_mov_ps(old, lanes, new));
}

/* Scores of `rows` positions to weights 2^(s - largest), in pairs of positions as the tile unit wants
 * them, in the scores' place. */
static struct merge weigh(const struct call *call, struct tile *tile, int32_t base, int rows,
    float score[][LANES], struct fetch *fetch)
{
    const __m512 factor = _mm512_set1_ps(call->factor);
    __m512 most = _mm512_set1_ps(-INFINITY), most_odd = most;
    for (int r = 0; r < rows; r += 2) { /* the second operand stays where the first is a NaN */
        most = _mm512_max_ps(_mm512_load_ps(score[r]), most);
        most_odd = _mm512_max_ps(_mm512_load_ps(score[r + 1]), most_odd);
    }
    most = _mm512_max_ps(most, most_odd);
    __mmask16 unseen = _mm512_cmp_ps_mask(most, _mm512_set1_ps(-INFINITY), _CMP_EQ_OQ);
    __m512 from = _mm512_mask_mov_ps(most, unseen, _mm512_setzero_ps());
    __m512 total = _mm512_setzero_ps(), total_odd = _mm512_setzero_ps();
    /* What scores and sums leave: half of 2 * D * 32 positions * 2 bytes a page. */
    int64_t fetch_at_once = call->size * 4;
    char *weights = (char *)score;
    for (int r = 0; r < rows; r += 2, weights += 64) {
        __m512 low = _mm512_sub_ps(_mm512_load_ps(score[r]), from);
        __m512 high = _mm512_sub_ps(_mm512_load_ps(score[r + 1]), from);
        low = exp2_of(_mm512_mul_ps(low, factor));
        high = exp2_of(_mm512_mul_ps(high, factor));
        total = _mm512_add_ps(total, low);
        total_odd = _mm512_add_ps(total_odd, high);
        _mm512_store_si512(weights, pairs_of(low, high));
        if (fetch)
            fetch_bytes(fetch, fetch_at_once);
    }
    return begin_merge(
        tile, base / PART, _mm512_mul_ps(most, factor), _mm512_add_ps(total, total_odd));
}

/* Values of a page in 32 channels, (32, 32 positions), less the positions not in `seen`. */
static void clean(const uint16_t *values, uint32_t seen, uint16_t out[32][P])
{
    for (int d = 0; d < 32; d++)
        _mm512_storeu_si512(out[d], _mm512_maskz_loadu_epi16(seen, values + d * P));
}

/* A part of one or two tiles of queries: its pages, and its weights. */
struct part {
    int32_t base; /* its first position */
    int pages;
    const uint16_t *keys[PART_PAGES], *values[PART_PAGES];
};

/* The positions of a page that a lane sees. */
static uint32_t seen_by(const struct tile *tile, int lane, int32_t base)
{
    int64_t first = (int64_t)tile->first[lane] - base, last = (int64_t)tile->last[lane] - base;
    first = first < 0 ? 0 : first > P ? P : first;
    last = last < first ? first : last > P ? P : last;
    return (uint32_t)((1ULL << last) - (1ULL << first));
}

/* Sums of 32 channels over the part into work->part: first and second 16 channels of tile 0, of tile 1.
 * With a `lane`, only what that lane of tile 0 sees is read. */
ASH_INLINE void sum_channels(const bool two, const struct part *part, int64_t d,
    const struct tile *tile, int lane, struct work *work)
{
    uint16_t cleaned[32][P];
    ASH_AMX_ZERO(0);
    ASH_AMX_ZERO(1);
    if (two) {
        ASH_AMX_ZERO(2);
        ASH_AMX_ZERO(3);
    }
    for (int p = 0; p < part->pages; p++) {
        const uint16_t *values = part->values[p] + d * P;
        if (lane >= 0) {
            clean(values, seen_by(tile, lane, part->base + p * P), cleaned);
            values = cleaned[0];
        }
        ASH_AMX_LOAD(4, values, 64);
        ASH_AMX_LOAD(6, (char *)work->scores[0] + p * 1024, 64);
        ASH_AMX_DOT_BF16(0, 4, 6);
        ASH_AMX_LOAD(5, values + LANES * P, 64);
        ASH_AMX_DOT_BF16(1, 5, 6);
        if (two) {
            ASH_AMX_LOAD(7, (char *)work->scores[1] + p * 1024, 64);
            ASH_AMX_DOT_BF16(2, 4, 7);
            ASH_AMX_DOT_BF16(3, 5, 7);
        }
    }
    ASH_AMX_STORE(0, work->part[0], 64);
    ASH_AMX_STORE(1, work->part[1], 64);
    if (two) {
        ASH_AMX_STORE(2, work->part[2], 64);
        ASH_AMX_STORE(3, work->part[3], 64);
    }
}

ASH_INLINE void merge_channels(
    const struct merge *merge, __mmask16 lanes, float part[][LANES], float *sums)
{
    for (int i = 0; i < 2 * LANES; i++)
        merge_row(merge, lanes, _mm512_load_ps(part[i]), sums + i * LANES);
}

ASH_INLINE void add_values(const bool two, const struct call *call, const struct part *part,
    struct tile *tile, const struct merge merge[2], struct work *work, struct fetch *fetch)
{
    for (int64_t d = 0; d < call->size; d += 32) {
        if (fetch)
            fetch_bytes(fetch, 32 * 2 * PART / 2);
        sum_channels(two, part, d, tile, -1, work);
        merge_channels(&merge[0], merge[0].seen, work->part[0], tile[0].sums + d * LANES);
        if (two)
            merge_channels(&merge[1], merge[1].seen, work->part[2], tile[1].sums + d * LANES);
    }
}

/* Where a position that some lane must not see holds an infinity or a NaN, a weight of 0 does not hide
 * it: lane by lane, then, without those positions. Rare: the last page of a sequence may have been
 * another's before, one that got lost in NaNs. */
static void add_values_by_lane(const struct call *call, const struct part *part, struct tile *tile,
    const struct merge *merge, struct work *work)
{
    for (int64_t d = 0; d < call->size; d += 32)
        for (int lane = 0; lane < tile->count; lane++) {
            sum_channels(false, part, d, tile, lane, work);
            merge_channels(merge, merge->seen & (__mmask16)(1U << lane), work->part[0],
                tile->sums + d * LANES);
        }
}

static bool is_finite(const uint16_t *values, int64_t count)
{
    const __m512i exponent = _mm512_set1_epi16(0x7f80);
    __mmask32 found = 0;
    for (int64_t i = 0; i < count; i += 32) {
        __m512i v = _mm512_and_si512(_mm512_loadu_si512(values + i), exponent);
        found |= _mm512_cmpeq_epi16_mask(v, exponent);
    }
    return !found;
}

/* Whether values that some lane must not see can be multiplied by 0. */
static bool is_clean(const struct call *call, const struct part *part, const struct tile *tile)
{
    for (int p = 0; p < part->pages; p++) {
        int32_t base = part->base + p * P;
        if ((tile->full_begin > base || tile->full_end < base + P) &&
            !is_finite(part->values[p], call->size * P))
            return false;
    }
    return true;
}

static struct merge weigh_tile(const struct call *call, const struct part *part, struct tile *tile,
    float score[][LANES], struct fetch *fetch)
{
    int rows = part->pages * P;
    if (call->cap > 0)
        cap_scores(call, rows, score);
    if (tile->full_begin > part->base || tile->full_end < part->base + rows)
        hide_scores(tile, part->base, rows, score);
    return weigh(call, tile, part->base, rows, score, fetch);
}

ASH_INLINE void add_part(const bool two, const struct call *call, const struct part *part,
    struct tile *tile, struct work *work, struct fetch *fetch)
{
    for (int p = 0; p < part->pages; p++) {
        if (fetch)
            fetch_bytes(fetch, call->size * P);
        score_page(
            two, call->size, part->keys[p], tile, &work->scores[0][p * P], &work->scores[1][p * P]);
    }
    struct merge merge[2];
    merge[0] = weigh_tile(call, part, &tile[0], work->scores[0], fetch);
    if (two)
        merge[1] = weigh_tile(call, part, &tile[1], work->scores[1], NULL);
    if (is_clean(call, part, &tile[0]) && (!two || is_clean(call, part, &tile[1]))) {
        add_values(two, call, part, tile, merge, work, fetch);
        return;
    }
    add_values_by_lane(call, part, &tile[0], &merge[0], work);
    if (two) {
        memcpy(work->scores[0], work->scores[1], sizeof work->scores[0]);
        add_values_by_lane(call, part, &tile[1], &merge[1], work);
    }
}

static void add_part_one(const struct call *call, const struct part *part, struct tile *tile,
    struct work *work, struct fetch *fetch)
{
    add_part(false, call, part, tile, work, fetch);
}

static void add_part_two(const struct call *call, const struct part *part, struct tile *tile,
    struct work *work, struct fetch *fetch)
{
    add_part(true, call, part, tile, work, fetch);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/a8_avx512.h"
#include "kernels/attention/attention_tiles.h"
#include "kernels/math_avx512.h"

/*
 * Up to 8 queries at a time: 16 accumulators of scores (32 positions each), then 8 x 2 or 6 x 4
 * accumulators of values. Functions marked INLINE are compiled for each number of queries and type.
 */
#define INLINE  static inline __attribute__((always_inline))
#define VECTOR  __m512
#define QUERIES 8
enum { WIDE_QUERIES = 6, P = ASH_PAGE_POSITIONS };

INLINE __m512 halves(const void *from)
{
    return _mm512_cvtph_ps(_mm256_loadu_si256(from));
}

INLINE __m512 bytes(const void *from)
{
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(from)));
}

INLINE int element_bytes(enum ash_type type)
{
    return type == ASH_F32 ? 4 : type == ASH_F16 ? 2 : 1;
}

/* Positions 16 `half` .. of channel d; `scale`: of the block's positions, for Q8_0. */
INLINE __m512 keys_of(
    enum ash_type type, const char *keys, int64_t d, int half, const __m512 *scale)
{
    if (type == ASH_F32)
        return _mm512_loadu_ps(keys + (d * P + 16 * half) * 4);
    if (type == ASH_F16)
        return halves(keys + (d * P + 16 * half) * 2);
    const char *block = keys + d / 32 * ASH_KV_BLOCK_BYTES;
    return _mm512_mul_ps(bytes(block + d % 32 * P + 16 * half), scale[half]);
}

/* Channels d .. d + 15 of a position. */
INLINE __m512 values_of(
    enum ash_type type, const char *values, int64_t size, int position, int64_t d)
{
    if (type == ASH_F32)
        return _mm512_loadu_ps(values + (position * size + d) * 4);
    if (type == ASH_F16)
        return halves(values + (position * size + d) * 2);
    const char *block = values + d / 32 * ASH_KV_BLOCK_BYTES;
    uint16_t scale;
    memcpy(&scale, block + 32 * P + 2 * position, sizeof scale);
    return _mm512_mul_ps(bytes(block + position * 32 + d % 32), _mm512_set1_ps(_cvtsh_ss(scale)));
}

/*
 * out[i] = q of query i times the keys of the page, channel after channel. `fetch`: meanwhile those of
 * the next page come into the cache, as pages lie apart and no prefetcher of the hardware leaps.
 */
INLINE void scores(int count, enum ash_type type, bool fetch, const struct attention_query *query,
    const struct attention_page *page, int64_t size, __m512 out[QUERIES][2])
{
    const char *keys = page->keys, *next = page->next_keys;
    __m512 sum[QUERIES][2], scale[2] = { _mm512_setzero_ps(), _mm512_setzero_ps() };
    for (int i = 0; i < count; i++)
        sum[i][0] = sum[i][1] = _mm512_setzero_ps();
    for (int64_t d = 0; d < size; d++) {
        if (type == ASH_Q8_0 && d % 32 == 0) {
            const char *scales = keys + d / 32 * ASH_KV_BLOCK_BYTES + 32 * P;
            scale[0] = halves(scales);
            scale[1] = halves(scales + 32);
        }
        if (fetch)
            _mm_prefetch(next + d * P * element_bytes(type), _MM_HINT_T0);
        __m512 low = keys_of(type, keys, d, 0, scale), high = keys_of(type, keys, d, 1, scale);
        for (int i = 0; i < count; i++) {
            __m512 q = _mm512_set1_ps(query[i].q[d]);
            sum[i][0] = _mm512_fmadd_ps(q, low, sum[i][0]);
            sum[i][1] = _mm512_fmadd_ps(q, high, sum[i][1]);
        }
    }
    for (int i = 0; i < count; i++) {
        out[i][0] = sum[i][0];
        out[i][1] = sum[i][1];
    }
}

INLINE __m512 scaled(const struct attention_call *call, __m512 score)
{
    score = _mm512_mul_ps(score, _mm512_set1_ps(call->scale));
    if (call->softcap > 0) {
        __m512 cap = _mm512_set1_ps(call->softcap);
        score = _mm512_mul_ps(cap, ash_tanh_avx512(_mm512_div_ps(score, cap)));
    }
    return score;
}

/* Scores to weights e^(s - most) of 32 positions; those outside [first, last) weigh 0. */
static void weigh(const struct attention_call *call, struct attention_query *query, int first,
    int last, const __m512 score[2], float weight[P])
{
    const __m512 none = _mm512_set1_ps(-INFINITY);
    uint32_t seen = (uint32_t)((1ULL << last) - (1ULL << first));
    __m512 low = _mm512_mask_mov_ps(none, (__mmask16)seen, scaled(call, score[0]));
    __m512 high = _mm512_mask_mov_ps(none, (__mmask16)(seen >> 16), scaled(call, score[1]));
    float top = ash_max_avx512(_mm512_max_ps(low, high));
    __m512 total = _mm512_loadu_ps(query->total);
    query->correction = 1;
    if (top > query->most) {
        __m512 correction = ash_exp_avx512(_mm512_set1_ps(query->most - top));
        query->correction = _mm512_cvtss_f32(correction);
        query->most = top;
        total = _mm512_mul_ps(total, correction);
    }
    __m512 most = _mm512_set1_ps(query->most);
    low = ash_exp_avx512(_mm512_sub_ps(low, most));
    high = ash_exp_avx512(_mm512_sub_ps(high, most));
    _mm512_storeu_ps(query->total, _mm512_add_ps(total, _mm512_add_ps(low, high)));
    _mm512_storeu_ps(weight, low);
    _mm512_storeu_ps(weight + 16, high);
}

/* `width` vectors of the sums of `count` queries from channel d: corrected, then one position's
 * values after the other. */
INLINE void add_columns(int count, int width, enum ash_type type, bool fetch,
    struct attention_query *query, const float weight[][P], const struct attention_page *page,
    int64_t size, int64_t d, int first, int last)
{
    const char *values = page->values, *next = page->next_values;
    __m512 sum[QUERIES][4], value[4];
    for (int i = 0; i < count; i++)
        for (int c = 0; c < width; c++)
            sum[i][c] = _mm512_mul_ps(
                _mm512_loadu_ps(query[i].sums + d + 16 * c), _mm512_set1_ps(query[i].correction));
    for (int p = first; p < last; p++) {
        for (int b = 0; fetch && b < width * 16 * element_bytes(type); b += 64)
            _mm_prefetch(next + (p * size + d) * element_bytes(type) + b, _MM_HINT_T0);
        for (int c = 0; c < width; c++)
            value[c] = values_of(type, values, size, p, d + 16 * c);
        for (int i = 0; i < count; i++) {
            __m512 by = _mm512_set1_ps(weight[i][p]);
            for (int c = 0; c < width; c++)
                sum[i][c] = _mm512_fmadd_ps(by, value[c], sum[i][c]);
        }
    }
    for (int i = 0; i < count; i++)
        for (int c = 0; c < width; c++)
            _mm512_storeu_ps(query[i].sums + d + 16 * c, sum[i][c]);
}

INLINE void add_values(int count, enum ash_type type, bool fetch, struct attention_query *query,
    const float weight[][P], const struct attention_page *page, int64_t size, int first, int last)
{
    int64_t d = 0;
    if (count <= WIDE_QUERIES)
        for (; d + 64 <= size; d += 64)
            add_columns(count, 4, type, fetch, query, weight, page, size, d, first, last);
    for (; d + 32 <= size; d += 32)
        add_columns(count, 2, type, fetch, query, weight, page, size, d, first, last);
    for (; d < size; d += 16)
        add_columns(count, 1, type, fetch, query, weight, page, size, d, first, last);
    for (int i = 0; i < count; i++)
        query[i].correction = 1;
}

static float total(const float lanes[ATTENTION_LANES])
{
    return ash_sum_avx512(_mm512_loadu_ps(lanes));
}

static void add_part(
    struct attention_query *query, int64_t size, struct attention_sum part, const float *sums)
{
    float most = part.most > query->all_most ? part.most : query->all_most;
    __m512 before = ash_exp_avx512(_mm512_set1_ps(query->all_most - most));
    __m512 now = ash_exp_avx512(_mm512_set1_ps(part.most - most));
    query->all_most = most;
    query->all_total =
        query->all_total * _mm512_cvtss_f32(before) + part.total * _mm512_cvtss_f32(now);
    for (int64_t d = 0; d < size; d += 16) {
        __m512 old = _mm512_mul_ps(_mm512_loadu_ps(query->all_sums + d), before);
        _mm512_storeu_ps(query->all_sums + d, _mm512_fmadd_ps(_mm512_loadu_ps(sums + d), now, old));
    }
}

static void write_query(const struct attention_query *query, int64_t size,
    const struct ash_tensor *out, int64_t token, int64_t column)
{
    int64_t columns = ash_tensor_columns(out);
    __m512 by = _mm512_set1_ps(1.0F / query->all_total);
    for (int64_t d = 0; d < size; d += 16) {
        __m512 value = _mm512_mul_ps(_mm512_loadu_ps(query->all_sums + d), by);
        int64_t at = token * columns + column + d;
        if (out->type == ASH_A8 && d % 32 == 0)
            ash_a8_store_avx512(value, _mm512_mul_ps(_mm512_loadu_ps(query->all_sums + d + 16), by),
                ash_a8_row(out->data, columns, token), (column + d) / 32);
        else if (out->type == ASH_F32)
            _mm512_storeu_ps((float *)out->data + at, value);
    }
}

#include "kernels/attention/attention_pages.inc"

void ash_attention_avx512(const struct ash_args *args, int64_t first_row, int64_t last_row)
{
    attention_rows(args, first_row, last_row, run_job);
}

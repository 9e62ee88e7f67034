/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/a8_avx2.h"
#include "kernels/attention/attention_tiles.h"
#include "kernels/math_avx2.h"

/*
 * Up to 6 queries at a time: 12 accumulators of scores (16 positions, the halves of a page after each
 * other), then 12 of values. Functions marked INLINE are compiled for each number of queries and type.
 * The steps are those of attention_avx512.c, and the bits.
 */
#define INLINE  static inline __attribute__((always_inline))
#define VECTOR  __m256
#define QUERIES 6
enum { P = ASH_PAGE_POSITIONS };

INLINE __m256 halves(const void *from)
{
    return _mm256_cvtph_ps(_mm_loadu_si128(from));
}

INLINE __m256 bytes(const void *from)
{
    return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64(from)));
}

INLINE int element_bytes(enum ash_type type)
{
    return type == ASH_F32 ? 4 : type == ASH_F16 ? 2 : 1;
}

/* Positions p .. p + 7 of channel d; `scale`: of these positions in the block, for Q8_0. */
INLINE __m256 keys_of(enum ash_type type, const char *keys, int64_t d, int p, __m256 scale)
{
    if (type == ASH_F32)
        return _mm256_loadu_ps((const float *)(const void *)keys + d * P + p);
    if (type == ASH_F16)
        return halves(keys + (d * P + p) * 2);
    return _mm256_mul_ps(bytes(keys + d / 32 * ASH_KV_BLOCK_BYTES + d % 32 * P + p), scale);
}

/* Channels d .. d + 7 of a position. */
INLINE __m256 values_of(
    enum ash_type type, const char *values, int64_t size, int position, int64_t d)
{
    if (type == ASH_F32)
        return _mm256_loadu_ps((const float *)(const void *)values + position * size + d);
    if (type == ASH_F16)
        return halves(values + (position * size + d) * 2);
    const char *block = values + d / 32 * ASH_KV_BLOCK_BYTES;
    uint16_t scale;
    memcpy(&scale, block + 32 * P + 2 * position, sizeof scale);
    return _mm256_mul_ps(bytes(block + position * 32 + d % 32), _mm256_set1_ps(_cvtsh_ss(scale)));
}

/*
 * out[i] = q of query i times the keys of positions p .. p + 15, channel after channel. `fetch`:
 * meanwhile those of the next page come into the cache, as pages lie apart and no prefetcher of the
 * hardware leaps.
 */
INLINE void half_scores(int count, enum ash_type type, bool fetch,
    const struct attention_query *query, const struct attention_page *page, int64_t size, int p,
    __m256 out[QUERIES][2])
{
    const char *keys = page->keys, *next = page->next_keys;
    __m256 sum[QUERIES][2], scale[2] = { _mm256_setzero_ps(), _mm256_setzero_ps() };
    for (int i = 0; i < count; i++)
        sum[i][0] = sum[i][1] = _mm256_setzero_ps();
    for (int64_t d = 0; d < size; d++) {
        if (type == ASH_Q8_0 && d % 32 == 0) {
            const char *scales = keys + d / 32 * ASH_KV_BLOCK_BYTES + 32 * P + 2 * p;
            scale[0] = halves(scales);
            scale[1] = halves(scales + 16);
        }
        if (fetch && p == 0)
            _mm_prefetch(next + d * P * element_bytes(type), _MM_HINT_T0);
        __m256 low = keys_of(type, keys, d, p, scale[0]);
        __m256 high = keys_of(type, keys, d, p + 8, scale[1]);
        for (int i = 0; i < count; i++) {
            __m256 q = _mm256_set1_ps(query[i].q[d]);
            sum[i][0] = _mm256_fmadd_ps(q, low, sum[i][0]);
            sum[i][1] = _mm256_fmadd_ps(q, high, sum[i][1]);
        }
    }
    for (int i = 0; i < count; i++) {
        out[i][0] = sum[i][0];
        out[i][1] = sum[i][1];
    }
}

/* Of the whole page, as attention_pages.inc wants them. */
INLINE void scores(int count, enum ash_type type, bool fetch, const struct attention_query *query,
    const struct attention_page *page, int64_t size, __m256 out[QUERIES][4])
{
    for (int p = 0; p < P; p += 16) {
        __m256 half[QUERIES][2];
        half_scores(count, type, fetch, query, page, size, p, half);
        for (int i = 0; i < count; i++)
            memcpy(&out[i][p / 8], half[i], sizeof half[i]);
    }
}

INLINE __m256 scaled(const struct attention_call *call, __m256 score)
{
    score = _mm256_mul_ps(score, _mm256_set1_ps(call->scale));
    if (call->softcap > 0) {
        __m256 cap = _mm256_set1_ps(call->softcap);
        score = _mm256_mul_ps(cap, ash_tanh_avx2(_mm256_div_ps(score, cap)));
    }
    return score;
}

/* Scores to weights e^(s - most) of 32 positions; those outside [first, last) weigh 0. */
static void weigh(const struct attention_call *call, struct attention_query *query, int first,
    int last, const __m256 score[4], float weight[P])
{
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    __m256 s[4];
    for (int i = 0; i < 4; i++) {
        __m256i before = _mm256_cmpgt_epi32(_mm256_set1_epi32(first - 8 * i), lane);
        __m256i within = _mm256_cmpgt_epi32(_mm256_set1_epi32(last - 8 * i), lane);
        s[i] = _mm256_blendv_ps(_mm256_set1_ps(-INFINITY), scaled(call, score[i]),
            _mm256_castsi256_ps(_mm256_andnot_si256(before, within)));
    }
    float top = ash_max_avx2(_mm256_max_ps(_mm256_max_ps(s[0], s[2]), _mm256_max_ps(s[1], s[3])));
    __m256 total[2] = { _mm256_loadu_ps(query->total), _mm256_loadu_ps(query->total + 8) };
    query->correction = 1;
    if (top > query->most) {
        __m256 correction = ash_exp_avx2(_mm256_set1_ps(query->most - top));
        query->correction = _mm256_cvtss_f32(correction);
        query->most = top;
        total[0] = _mm256_mul_ps(total[0], correction);
        total[1] = _mm256_mul_ps(total[1], correction);
    }
    for (int i = 0; i < 4; i++) {
        s[i] = ash_exp_avx2(_mm256_sub_ps(s[i], _mm256_set1_ps(query->most)));
        _mm256_storeu_ps(weight + 8 * i, s[i]);
    }
    _mm256_storeu_ps(query->total, _mm256_add_ps(total[0], _mm256_add_ps(s[0], s[2])));
    _mm256_storeu_ps(query->total + 8, _mm256_add_ps(total[1], _mm256_add_ps(s[1], s[3])));
}

/* Two vectors of the sums of `count` queries from channel d: corrected, then one position's values
 * after the other. */
INLINE void add_columns(int count, enum ash_type type, bool fetch, struct attention_query *query,
    const float weight[][P], const struct attention_page *page, int64_t size, int64_t d, int first,
    int last)
{
    const char *values = page->values, *next = page->next_values;
    __m256 sum[QUERIES][2];
    for (int i = 0; i < count; i++)
        for (int c = 0; c < 2; c++)
            sum[i][c] = _mm256_mul_ps(
                _mm256_loadu_ps(query[i].sums + d + 8 * c), _mm256_set1_ps(query[i].correction));
    for (int p = first; p < last; p++) {
        if (fetch)
            _mm_prefetch(next + (p * size + d) * element_bytes(type), _MM_HINT_T0);
        __m256 low = values_of(type, values, size, p, d);
        __m256 high = values_of(type, values, size, p, d + 8);
        for (int i = 0; i < count; i++) {
            __m256 by = _mm256_set1_ps(weight[i][p]);
            sum[i][0] = _mm256_fmadd_ps(by, low, sum[i][0]);
            sum[i][1] = _mm256_fmadd_ps(by, high, sum[i][1]);
        }
    }
    for (int i = 0; i < count; i++)
        for (int c = 0; c < 2; c++)
            _mm256_storeu_ps(query[i].sums + d + 8 * c, sum[i][c]);
}

INLINE void add_values(int count, enum ash_type type, bool fetch, struct attention_query *query,
    const float weight[][P], const struct attention_page *page, int64_t size, int first, int last)
{
    for (int64_t d = 0; d < size; d += 16)
        add_columns(count, type, fetch, query, weight, page, size, d, first, last);
    for (int i = 0; i < count; i++)
        query[i].correction = 1;
}

static float total(const float lanes[ATTENTION_LANES])
{
    return ash_sum_avx2(_mm256_add_ps(_mm256_loadu_ps(lanes), _mm256_loadu_ps(lanes + 8)));
}

static void add_part(
    struct attention_query *query, int64_t size, struct attention_sum part, const float *sums)
{
    float most = part.most > query->all_most ? part.most : query->all_most;
    __m256 before = ash_exp_avx2(_mm256_set1_ps(query->all_most - most));
    __m256 now = ash_exp_avx2(_mm256_set1_ps(part.most - most));
    query->all_most = most;
    query->all_total =
        query->all_total * _mm256_cvtss_f32(before) + part.total * _mm256_cvtss_f32(now);
    for (int64_t d = 0; d < size; d += 8) {
        __m256 old = _mm256_mul_ps(_mm256_loadu_ps(query->all_sums + d), before);
        _mm256_storeu_ps(query->all_sums + d, _mm256_fmadd_ps(_mm256_loadu_ps(sums + d), now, old));
    }
}

static void write_query(const struct attention_query *query, int64_t size,
    const struct ash_tensor *out, int64_t token, int64_t column)
{
    int64_t columns = ash_tensor_columns(out);
    __m256 by = _mm256_set1_ps(1.0F / query->all_total);
    float *to = (float *)out->data + token * columns + column;
    for (int64_t d = 0; d < size; d += 8) {
        __m256 value = _mm256_mul_ps(_mm256_loadu_ps(query->all_sums + d), by);
        _mm256_storeu_ps(out->type == ASH_F32 ? to + d : query->all_sums + d, value);
    }
    if (out->type == ASH_A8)
        for (int64_t d = 0; d < size; d += 32) {
            __m256 values[4];
            for (int i = 0; i < 4; i++)
                values[i] = _mm256_loadu_ps(query->all_sums + d + 8 * i);
            ash_a8_store_avx2(values, ash_a8_row(out->data, columns, token), (column + d) / 32);
        }
}

#include "kernels/attention/attention_pages.inc"

void ash_attention_avx2(const struct ash_args *args, int64_t first_row, int64_t last_row)
{
    attention_rows(args, first_row, last_row, run_job);
}

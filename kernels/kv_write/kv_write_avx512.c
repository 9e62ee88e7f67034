/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/kv_write/kv_write_internal.h"
#include "kernels/kv_write/kv_write_rows.h"
#include "kernels/math_avx512.h"
#include "kernels/transpose_avx512.h"

enum { P = ASH_PAGE_POSITIONS, LANES = 16 };

/* Positions of a run by their place in the page; those outside the run are zeros. */
static inline __m512 load(const struct kv_run *run, int position, int64_t d, int64_t size)
{
    int i = position - run->at;
    if (i < 0 || i >= run->count)
        return _mm512_setzero_ps();
    return ash_load_avx512(run->row + i * run->stride + d, size - d);
}

static inline __mmask32 places(const struct kv_run *run)
{
    return (__mmask32)(((1ULL << run->count) - 1) << run->at);
}

/* As ash_kv_half() and ash_kv_bfloat(): cut, to nearest even, a NaN stays one. */
static inline __m512 cut(__m512 x, float most)
{
    return _mm512_min_ps(_mm512_set1_ps(most), _mm512_max_ps(_mm512_set1_ps(-most), x));
}

static inline __m256i halves(__m512 x)
{
    return _mm512_cvtps_ph(cut(x, 65504.0F), _MM_FROUND_TO_NEAREST_INT);
}

static inline __m256i bfloats(__m512 x)
{
    __m512i bits = _mm512_castps_si512(cut(x, 0x1.fep127F));
    __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
    __m512i rounded = _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
    __m512i quiet = _mm512_or_si512(bits, _mm512_set1_epi32(0x400000));
    rounded = _mm512_mask_mov_epi32(rounded, _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q), quiet);
    return _mm512_cvtepi32_epi16(_mm512_srli_epi32(rounded, 16));
}

static inline __m256i narrow(enum ash_type type, __m512 x)
{
    return type == ASH_F16 ? halves(x) : bfloats(x);
}

/* [position][channel], two bytes each. */
static inline void put_by_position(
    enum ash_type type, int64_t size, uint16_t *tile, const struct kv_run *run)
{
    for (int i = 0; i < run->count; i++)
        for (int64_t d = 0; d < size; d += LANES)
            _mm256_mask_storeu_epi16(tile + (run->at + i) * size + d, ash_mask_avx512(size - d),
                narrow(type, ash_load_avx512(run->row + i * run->stride + d, size - d)));
}

/* [channel][position], two bytes each: pairs of positions are words, of which 16 by 16 change places. */
static inline void put_by_channel(
    enum ash_type type, int64_t size, uint16_t *tile, const struct kv_run *run)
{
    for (int64_t d = 0; d < size; d += LANES) {
        __m512i row[LANES];
        for (int pair = 0; pair < LANES; pair++) {
            __m256i low = narrow(type, load(run, 2 * pair, d, size));
            __m256i high = narrow(type, load(run, 2 * pair + 1, d, size));
            row[pair] = _mm512_or_si512(
                _mm512_cvtepu16_epi32(low), _mm512_slli_epi32(_mm512_cvtepu16_epi32(high), 16));
        }
        ash_transpose_avx512(row);
        for (int c = 0; c < LANES && c < size - d; c++)
            _mm512_mask_storeu_epi16(tile + (d + c) * P, places(run), row[c]);
    }
}

/* The few positions of a decoding step are not worth changing places. */
static inline void scatter(
    enum ash_type type, int64_t size, uint16_t *tile, const struct kv_run *run)
{
    for (int i = 0; i < run->count; i++)
        for (int64_t d = 0; d < size; d += LANES) {
            uint16_t half[LANES];
            const float *row = run->row + i * run->stride + d;
            _mm256_storeu_si256(
                (__m256i *)(void *)half, narrow(type, ash_load_avx512(row, size - d)));
            for (int c = 0; c < LANES && c < size - d; c++)
                tile[(d + c) * P + run->at + i] = half[c];
        }
}

static inline void put_halves(enum ash_type type, enum ash_kv_side side, int64_t size,
    uint16_t *tile, const struct kv_run *run)
{
    bool by_channel = (side == ASH_KV_KEYS) == (type == ASH_F16);
    if (!by_channel)
        put_by_position(type, size, tile, run);
    else if (run->count < 4)
        scatter(type, size, tile, run);
    else
        put_by_channel(type, size, tile, run);
}

/* The quants of 32 channels, 16 a vector, and their scale: the steps of ash_kv_write_block(). */
struct block {
    __m512i quant[2];
    uint16_t scale;
};

static inline __m512i quants(__m512 x, __m512 inverse)
{
    const __m512 most = _mm512_set1_ps(127), least = _mm512_set1_ps(-127);
    __m512 q = _mm512_roundscale_ps(
        _mm512_mul_ps(x, inverse), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    return _mm512_cvtps_epi32(_mm512_min_ps(_mm512_max_ps(q, least), most)); /* NaN: the least */
}

static inline struct block quantise(const float *row)
{
    __m512 low = _mm512_loadu_ps(row), high = _mm512_loadu_ps(row + LANES);
    /* The maximum takes its second operand when the first is a NaN, as the definition does. */
    __m512 most = _mm512_max_ps(_mm512_abs_ps(low), _mm512_setzero_ps());
    most = _mm512_max_ps(_mm512_abs_ps(high), most);
    struct block block = { .scale = ash_kv_half(ash_max_avx512(most) / 127.0F) };
    float scale = _mm512_cvtss_f32(_mm512_cvtph_ps(_mm256_set1_epi16((short)block.scale)));
    __m512 inverse = _mm512_set1_ps(scale > 0 ? 1.0F / scale : 0.0F);
    block.quant[0] = quants(low, inverse);
    block.quant[1] = quants(high, inverse);
    return block;
}

static inline void put_scale(unsigned char *block, int position, uint16_t scale)
{
    memcpy(block + 32 * P + 2 * position, &scale, sizeof scale);
}

static inline void put_values_block(const struct kv_run *run, int64_t d, unsigned char *to)
{
    for (int i = 0; i < run->count; i++) {
        struct block block = quantise(run->row + i * run->stride + d);
        __m128i low = _mm512_cvtepi32_epi8(block.quant[0]);
        __m128i high = _mm512_cvtepi32_epi8(block.quant[1]);
        _mm256_storeu_si256(
            (__m256i *)(void *)(to + (run->at + i) * 32), _mm256_set_m128i(high, low));
        put_scale(to, run->at + i, block.scale);
    }
}

/* Four positions' quants of a channel make a word, of which 16 by 16 change places. */
static inline void put_keys_block(const struct kv_run *run, int64_t d, unsigned char *to)
{
    const __m512i byte = _mm512_set1_epi32(255);
    __m512i row[LANES]; /* four positions each: 8 of channels 0 to 15, 8 of the other 16 */
    for (int i = 0; i < LANES; i++)
        row[i] = _mm512_setzero_si512();
    for (int i = 0; i < run->count; i++) {
        struct block block = quantise(run->row + i * run->stride + d);
        int position = run->at + i;
        __m128i shift = _mm_cvtsi32_si128(position % 4 * 8);
        for (int half = 0; half < 2; half++) {
            __m512i *word = &row[8 * half + position / 4];
            *word = _mm512_or_si512(
                *word, _mm512_sll_epi32(_mm512_and_si512(block.quant[half], byte), shift));
        }
        put_scale(to, position, block.scale);
    }
    ash_transpose_avx512(row);
    for (int c = 0; c < LANES; c++) {
        _mm256_mask_storeu_epi8(to + c * P, places(run), _mm512_castsi512_si256(row[c]));
        _mm256_mask_storeu_epi8(
            to + (LANES + c) * P, places(run), _mm512_extracti64x4_epi64(row[c], 1));
    }
}

static void put(
    enum ash_kv_side side, const struct ash_tensor *cache, void *tile, const struct kv_run *run)
{
    int64_t size = cache->dim[3];
    if (cache->type == ASH_F16)
        put_halves(ASH_F16, side, size, tile, run);
    else if (cache->type == ASH_BF16)
        put_halves(ASH_BF16, side, size, tile, run);
    else if (cache->type == ASH_Q8_0)
        for (int64_t d = 0; d < size; d += 32) {
            unsigned char *block = (unsigned char *)tile + d / 32 * ASH_KV_BLOCK_BYTES;
            if (side == ASH_KV_KEYS)
                put_keys_block(run, d, block);
            else
                put_values_block(run, d, block);
        }
    else
        for (int i = 0; i < run->count; i++)
            ash_kv_write(side, cache, tile, run->at + i, run->row + i * run->stride);
}

void ash_kv_write_avx512(const struct ash_args *args, int64_t first_row, int64_t last_row)
{
    kv_write_rows(args, first_row, last_row, put);
}

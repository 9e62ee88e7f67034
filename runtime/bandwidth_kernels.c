/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/bandwidth_internal.h"

#include "runtime/cpu.h"

#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

/* Twelve independent sums hide the latency of 4 to 5 cycles of two units, with registers to spare. */
enum { SUMS = 12 };

/* The compiler must take the vector as changed: nothing that depends on it can leave the loop. */
#define CHANGED(vector, constraint) __asm__ volatile("" : "+" constraint(vector))

/* ---- Any machine: the compiler's own vectors ---- */

typedef uint64_t words __attribute__((vector_size(64)));
typedef float floats __attribute__((vector_size(64)));

static uint64_t fold(const void *vector, size_t bytes)
{
    uint64_t sum = 0, word;
    for (size_t i = 0; i + sizeof word <= bytes; i += sizeof word) {
        memcpy(&word, (const char *)vector + i, sizeof word);
        sum += word;
    }
    return sum;
}

static uint64_t read_plain(const void *data, size_t bytes)
{
    words sum[4] = { 0 };
    const words *at = data;
    for (size_t i = 0; i < bytes / sizeof *at; i += 4)
        for (int k = 0; k < 4; k++)
            sum[k] += at[i + (size_t)k];
    return fold(sum, sizeof sum);
}

enum { PLAIN_LANES = 64 };

static uint64_t int8_plain(int64_t rounds)
{
    int8_t a[PLAIN_LANES], b[PLAIN_LANES];
    int32_t sum[PLAIN_LANES] = { 0 };
    memset(a, 3, sizeof a);
    memset(b, -2, sizeof b);
    for (int64_t i = 0; i < rounds; i++) {
        __asm__ volatile("" : : "r"(a), "r"(b) : "memory");
        for (int k = 0; k < PLAIN_LANES; k++)
            sum[k] = (int32_t)((uint32_t)sum[k] + (uint32_t)(a[k] * b[k]));
    }
    return fold(sum, sizeof sum);
}

static uint64_t fp32_plain(int64_t rounds)
{
    floats a = { 0.5F, 0.25F }, sum[4] = { 0 };
    for (int64_t i = 0; i < rounds; i++) {
        __asm__ volatile("" : : "r"(&a) : "memory");
        for (int k = 0; k < 4; k++)
            sum[k] = sum[k] * a + a;
    }
    return fold(sum, sizeof sum);
}

#if defined(__x86_64__)

/* ---- AVX2 ---- */

#define AVX2     __attribute__((target("avx2,fma")))
#define AVX_VNNI __attribute__((target("avx2,avxvnni")))
#define AVX512   __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq")))
#define VNNI     __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")))

AVX2 static uint64_t read_avx2(const void *data, size_t bytes)
{
    __m256i sum[8] = { 0 };
    const __m256i *at = data;
    for (size_t i = 0; i < bytes / sizeof *at; i += 8)
        for (int k = 0; k < 8; k++)
            sum[k] = _mm256_xor_si256(sum[k], _mm256_load_si256(at + i + k));
    return fold(sum, sizeof sum);
}

/* Three instructions a product, as a kernel without VNNI needs them. */
AVX2 static uint64_t int8_avx2(int64_t rounds)
{
    __m256i a = _mm256_set1_epi8(3), b = _mm256_set1_epi8(-2), sum[SUMS] = { 0 };
    const __m256i one = _mm256_set1_epi16(1);
    for (int64_t i = 0; i < rounds; i++)
#pragma GCC unroll 12
        for (int k = 0; k < SUMS; k++) {
            CHANGED(a, "x");
            __m256i pairs = _mm256_maddubs_epi16(a, b);
            sum[k] = _mm256_add_epi32(sum[k], _mm256_madd_epi16(pairs, one));
        }
    return fold(sum, sizeof sum);
}

AVX2 static uint64_t fp32_avx2(int64_t rounds)
{
    __m256 a = _mm256_set1_ps(0.5F), sum[SUMS] = { 0 };
    for (int64_t i = 0; i < rounds; i++)
#pragma GCC unroll 12
        for (int k = 0; k < SUMS; k++) {
            CHANGED(a, "x");
            sum[k] = _mm256_fmadd_ps(a, a, sum[k]);
        }
    return fold(sum, sizeof sum);
}

AVX_VNNI static uint64_t int8_avx_vnni(int64_t rounds)
{
    __m256i a = _mm256_set1_epi8(3), b = _mm256_set1_epi8(-2), sum[SUMS] = { 0 };
    for (int64_t i = 0; i < rounds; i++)
#pragma GCC unroll 12
        for (int k = 0; k < SUMS; k++) {
            CHANGED(a, "x");
            sum[k] = _mm256_dpbusd_avx_epi32(sum[k], a, b);
        }
    return fold(sum, sizeof sum);
}

/* ---- AVX-512 ---- */

AVX512 static uint64_t read_avx512(const void *data, size_t bytes)
{
    __m512i sum[8] = { 0 };
    const __m512i *at = data;
    for (size_t i = 0; i < bytes / sizeof *at; i += 8)
        for (int k = 0; k < 8; k++)
            sum[k] = _mm512_xor_si512(sum[k], _mm512_load_si512(at + i + k));
    return fold(sum, sizeof sum);
}

AVX512 static uint64_t fp32_avx512(int64_t rounds)
{
    __m512 a = _mm512_set1_ps(0.5F), sum[SUMS] = { 0 };
    for (int64_t i = 0; i < rounds; i++)
#pragma GCC unroll 12
        for (int k = 0; k < SUMS; k++) {
            CHANGED(a, "v");
            sum[k] = _mm512_fmadd_ps(a, a, sum[k]);
        }
    return fold(sum, sizeof sum);
}

VNNI static uint64_t int8_avx512_vnni(int64_t rounds)
{
    __m512i a = _mm512_set1_epi8(3), b = _mm512_set1_epi8(-2), sum[SUMS] = { 0 };
    for (int64_t i = 0; i < rounds; i++)
#pragma GCC unroll 12
        for (int k = 0; k < SUMS; k++) {
            CHANGED(a, "v");
            sum[k] = _mm512_dpbusd_epi32(sum[k], a, b);
        }
    return fold(sum, sizeof sum);
}

/* ---- AMX: four tiles of sums, so that the unit never waits for one ---- */

#define AMX __attribute__((target("amx-tile,amx-int8,amx-bf16")))

enum { TILES = 4, TILE_BYTES = 1024 };

/* Tiles 0 to 3 zero, 4 and 5 all `a`, 6 and 7 all `b`; each of 16 rows of 64 bytes. */
AMX static void fill_tiles(const uint8_t a[TILE_BYTES], const uint8_t b[TILE_BYTES])
{
    struct {
        uint8_t palette, start_row, zero[14];
        uint16_t row_bytes[16];
        uint8_t rows[16];
    } config = { .palette = 1 };
    for (int i = 0; i < 8; i++) {
        config.row_bytes[i] = 64;
        config.rows[i] = 16;
    }
    /* GCC 12's intrinsics do not say what memory they read: without this, what fills it may be left out. */
    __asm__ volatile("" : : "r"(&config), "r"(a), "r"(b) : "memory");
    _tile_loadconfig(&config);
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    _tile_loadd(4, a, 64);
    _tile_loadd(5, a, 64);
    _tile_loadd(6, b, 64);
    _tile_loadd(7, b, 64);
}

AMX static void store_tiles(uint8_t sums[TILES][TILE_BYTES])
{
    _tile_stored(0, sums[0], 64);
    _tile_stored(1, sums[1], 64);
    _tile_stored(2, sums[2], 64);
    _tile_stored(3, sums[3], 64);
    _tile_release();
}

AMX static uint64_t int8_amx(int64_t rounds)
{
    uint8_t a[TILE_BYTES], b[TILE_BYTES], sums[TILES][TILE_BYTES];
    memset(a, 3, sizeof a);
    memset(b, -2, sizeof b);
    fill_tiles(a, b);
    for (int64_t i = 0; i < rounds; i++) {
        _tile_dpbssd(0, 4, 6);
        _tile_dpbssd(1, 4, 7);
        _tile_dpbssd(2, 5, 6);
        _tile_dpbssd(3, 5, 7);
    }
    store_tiles(sums);
    return fold(sums, sizeof sums);
}

/* The sum of all sums of 1 x 1: exact while each is below 2^24. */
AMX static uint64_t bf16_amx(int64_t rounds)
{
    uint16_t one[TILE_BYTES / 2];
    uint8_t sums[TILES][TILE_BYTES];
    double total = 0;
    for (int i = 0; i < TILE_BYTES / 2; i++)
        one[i] = 0x3F80;
    fill_tiles((const uint8_t *)one, (const uint8_t *)one);
    for (int64_t i = 0; i < rounds; i++) {
        _tile_dpbf16ps(0, 4, 6);
        _tile_dpbf16ps(1, 4, 7);
        _tile_dpbf16ps(2, 5, 6);
        _tile_dpbf16ps(3, 5, 7);
    }
    store_tiles(sums);
    for (size_t i = 0; i < sizeof sums; i += sizeof(float)) {
        float sum;
        memcpy(&sum, &sums[0][0] + i, sizeof sum);
        total += (double)sum;
    }
    return (uint64_t)total;
}

#endif

struct ash_bandwidth_kernels ash_bandwidth_kernels(uint64_t features)
{
    struct ash_bandwidth_kernels best = { .read = read_plain,
        .int8 = { "plain", int8_plain, 2 * PLAIN_LANES },
        .fp32 = { "plain", fp32_plain, 2 * 4 * 16 } };
#if defined(__x86_64__)
    if (features & ASH_CPU_AVX2) {
        best.read = read_avx2;
        best.int8 = (struct ash_bandwidth_peak){ "avx2", int8_avx2, 2 * SUMS * 32 };
        best.fp32 = (struct ash_bandwidth_peak){ "avx2", fp32_avx2, 2 * SUMS * 8 };
    }
    if (features & ASH_CPU_AVX_VNNI)
        best.int8 = (struct ash_bandwidth_peak){ "avx_vnni", int8_avx_vnni, 2 * SUMS * 32 };
    if (features & ASH_CPU_AVX512) {
        best.read = read_avx512;
        best.fp32 = (struct ash_bandwidth_peak){ "avx512", fp32_avx512, 2 * SUMS * 16 };
    }
    if (features & ASH_CPU_AVX512_VNNI)
        best.int8 = (struct ash_bandwidth_peak){ "avx512_vnni", int8_avx512_vnni, 2 * SUMS * 64 };
    if (features & ASH_CPU_AMX_INT8)
        best.amx_int8 =
            (struct ash_bandwidth_peak){ "amx_int8", int8_amx, 2 * TILES * 16 * 16 * 64 };
    if (features & ASH_CPU_AMX_BF16)
        best.amx_bf16 =
            (struct ash_bandwidth_peak){ "amx_bf16", bf16_amx, 2 * TILES * 16 * 16 * 32 };
#else
    (void)features;
#endif
    return best;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the bytes of each element type mean: the exact conversions that kernels are tested against.
 * Plain scalar C with every rounding written out; not for the hot path.
 */
#include "runtime/tensor.h"

#include <float.h>
#include <math.h>
#include <string.h>

enum { BLOCK = 32, HALF_BLOCK = 16 };

static uint32_t bits_of(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static float float_of(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

float ash_f16_to_float(uint16_t half)
{
    uint32_t sign = (uint32_t)(half & 0x8000) << 16;
    uint32_t exponent = half >> 10 & 31, fraction = half & 0x3FF;
    if (exponent == 0) /* zero or subnormal: a whole number of 2^-24, exact in a float */
        return float_of(sign | bits_of((float)fraction * 0x1p-24f));
    if (exponent == 31) /* infinity, or a NaN that comes out quiet as from the hardware */
        return float_of(sign | 0x7F800000 | (fraction ? 0x400000 : 0) | fraction << 13);
    return float_of(sign | (exponent + 127 - 15) << 23 | fraction << 13);
}

uint16_t ash_f16_from_float(float value)
{
    uint32_t sign = bits_of(value) >> 16 & 0x8000, rest = bits_of(value) & 0x7FFFFFFF;
    if (rest > 0x7F800000) /* NaN: quiet, with the upper part of its payload, as the hardware */
        return (uint16_t)(sign | 0x7E00 | (rest >> 13 & 0x3FF));
    if (rest >= 0x477FF000) /* 65520 is half way past the largest: it rounds to infinity */
        return (uint16_t)(sign | 0x7C00);
    if (rest < 0x38800000) /* below 2^-14: adding 0.5, whose last bit is 2^-24, does the rounding */
        return (uint16_t)(sign | (bits_of(float_of(rest) + 0.5F) - bits_of(0.5F)));
    rest += 0xFFF + (rest >> 13 & 1); /* half to even; a carry moves on into the exponent */
    return (uint16_t)(sign | (rest - ((uint32_t)(127 - 15) << 23)) >> 13);
}

float ash_bf16_to_float(uint16_t half)
{
    return float_of((uint32_t)half << 16);
}

uint16_t ash_bf16_from_float(float value)
{
    uint32_t bits = bits_of(value);
    if ((bits & 0x7FFFFFFF) > 0x7F800000) /* NaN: quiet, so that cutting cannot make an infinity */
        return (uint16_t)(bits >> 16 | 0x40);
    return (uint16_t)((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
}

/* Blocks lie at any address (a file's mapping, a test's buffer), so halves are read bytewise. */
static float load_f16(const uint8_t *from)
{
    uint16_t half;
    memcpy(&half, from, sizeof half);
    return ash_f16_to_float(half);
}

static void store_f16(float value, uint8_t *to)
{
    uint16_t half = ash_f16_from_float(value);
    memcpy(to, &half, sizeof half);
}

/* 1/d, and 0 for a block of zeros. */
static float inverse_of(float d)
{
    return d != 0.0F ? 1.0F / d : 0.0F;
}

/* Converts to an integer in [low, high]; a NaN becomes low instead of undefined behaviour. */
static int clamp_to_int(float value, int low, int high)
{
    if (!(value > (float)low))
        return low;
    return value < (float)high ? (int)value : high;
}

static float largest_magnitude(const float x[BLOCK])
{
    float largest = 0.0F;
    for (int i = 0; i < BLOCK; i++)
        largest = fabsf(x[i]) > largest ? fabsf(x[i]) : largest;
    return largest;
}

static void q8_0_to_float(const uint8_t *block, float out[BLOCK])
{
    float d = load_f16(block);
    for (int i = 0; i < BLOCK; i++)
        out[i] = d * (float)(int8_t)block[2 + i];
}

static void q8_0_from_float(const float x[BLOCK], uint8_t *block)
{
    float d = largest_magnitude(x) / 127.0F, inverse = inverse_of(d);
    store_f16(d, block);
    for (int i = 0; i < BLOCK; i++)
        block[2 + i] = (uint8_t)(int8_t)clamp_to_int(roundf(x[i] * inverse), -128, 127);
}

/* Elements 0..15 are the low nibbles, 16..31 the high ones. */
static int nibble(const uint8_t *packed, int i)
{
    return i < HALF_BLOCK ? packed[i] & 15 : packed[i - HALF_BLOCK] >> 4;
}

/* Packs (x - origin) * inverse + bias, cut to whole numbers. */
static void pack_nibbles(
    const float x[BLOCK], float origin, float inverse, float bias, uint8_t *packed)
{
    for (int i = 0; i < HALF_BLOCK; i++) {
        int low = clamp_to_int((x[i] - origin) * inverse + bias, 0, 15);
        int high = clamp_to_int((x[i + HALF_BLOCK] - origin) * inverse + bias, 0, 15);
        packed[i] = (uint8_t)(low | high << 4);
    }
}

static void q4_0_to_float(const uint8_t *block, float out[BLOCK])
{
    float d = load_f16(block);
    for (int i = 0; i < BLOCK; i++)
        out[i] = d * (float)(nibble(block + 2, i) - 8);
}

static void q4_0_from_float(const float x[BLOCK], uint8_t *block)
{
    /* The element farthest from 0 becomes -8 exactly, so d carries the opposite of its sign. */
    float farthest = 0.0F;
    for (int i = 0; i < BLOCK; i++)
        farthest = fabsf(x[i]) > fabsf(farthest) ? x[i] : farthest;
    float d = farthest / -8.0F;
    store_f16(d, block);
    pack_nibbles(x, 0.0F, inverse_of(d), 8.5F, block + 2);
}

static void q4_1_to_float(const uint8_t *block, float out[BLOCK])
{
    float d = load_f16(block), m = load_f16(block + 2);
    for (int i = 0; i < BLOCK; i++)
        out[i] = d * (float)nibble(block + 4, i) + m;
}

static void q4_1_from_float(const float x[BLOCK], uint8_t *block)
{
    float low = x[0], high = x[0];
    for (int i = 1; i < BLOCK; i++) {
        low = x[i] < low ? x[i] : low;
        high = x[i] > high ? x[i] : high;
    }
    float d = (high - low) / 15.0F;
    store_f16(d, block);
    store_f16(low, block + 2);
    pack_nibbles(x, low, inverse_of(d), 0.5F, block + 4);
}

static void f16_to_float(const uint8_t *half, float *out)
{
    *out = load_f16(half);
}

static void f16_from_float(const float *x, uint8_t *half)
{
    store_f16(*x, half);
}

static void bf16_to_float(const uint8_t *from, float *out)
{
    uint16_t half;
    memcpy(&half, from, sizeof half);
    *out = ash_bf16_to_float(half);
}

static void bf16_from_float(const float *x, uint8_t *to)
{
    uint16_t half = ash_bf16_from_float(*x);
    memcpy(to, &half, sizeof half);
}

static void f32_to_float(const uint8_t *from, float *out)
{
    memcpy(out, from, sizeof *out);
}

static void f32_from_float(const float *x, uint8_t *to)
{
    memcpy(to, x, sizeof *x);
}

/* One block each way; the formats without a row here are handled, or refused, by name. */
static const struct {
    void (*to_float)(const uint8_t *block, float *out);
    void (*from_float)(const float *x, uint8_t *block);
} codecs[ASH_TYPE_COUNT] = {
    [ASH_F32] = { f32_to_float, f32_from_float },
    [ASH_F16] = { f16_to_float, f16_from_float },
    [ASH_BF16] = { bf16_to_float, bf16_from_float },
    [ASH_Q8_0] = { q8_0_to_float, q8_0_from_float },
    [ASH_Q4_0] = { q4_0_to_float, q4_0_from_float },
    [ASH_Q4_1] = { q4_1_to_float, q4_1_from_float },
};

/* The planes of an A8 row: int8 q[count], float d[count / 32], int32 sum[count / 32]. */
static void a8_to_float(const uint8_t *row, int64_t count, float *out)
{
    for (int64_t block = 0; block < count / BLOCK; block++) {
        float d;
        memcpy(&d, row + count + block * 4, sizeof d);
        for (int64_t i = block * BLOCK; i < (block + 1) * BLOCK; i++)
            out[i] = d * (float)(int8_t)row[i];
    }
}

static void a8_from_float(const float *x, int64_t count, uint8_t *row)
{
    for (int64_t block = 0; block < count / BLOCK; block++) {
        const float *from = x + block * BLOCK;
        float d = largest_magnitude(from) / 127.0F;
        d = d < FLT_MIN ? 0.0F : d; /* or 1/d would overflow */
        float inverse = inverse_of(d);
        int32_t sum = 0;
        for (int i = 0; i < BLOCK; i++) {
            int q = clamp_to_int(rintf(from[i] * inverse), -127, 127);
            row[block * BLOCK + i] = (uint8_t)(int8_t)q;
            sum += q;
        }
        memcpy(row + count + block * 4, &d, sizeof d);
        memcpy(row + count + count / BLOCK * 4 + block * 4, &sum, sizeof sum);
    }
}

static enum ash_status check(enum ash_type type, int64_t count)
{
    const struct ash_type_info *info = ash_type_info(type);
    if (type == ASH_I32)
        return ash_fail(ASH_ERR_UNSUPPORTED, "I32 holds indices; it does not convert to float");
    if (count < 0 || count % info->block_elements != 0)
        return ash_fail(ASH_ERR_SHAPE, "%s converts whole blocks of %d elements, not %lld",
            info->name, info->block_elements, (long long)count);
    return ASH_OK;
}

enum ash_status ash_to_float(enum ash_type type, const void *in, int64_t count, float *out)
{
    ASH_TRY(check(type, count));
    const struct ash_type_info *info = ash_type_info(type);
    const uint8_t *block = in;
    if (type == ASH_A8)
        a8_to_float(in, count, out);
    else
        for (int64_t i = 0; i < count; i += info->block_elements, block += info->block_bytes)
            codecs[type].to_float(block, out + i);
    return ASH_OK;
}

enum ash_status ash_from_float(enum ash_type type, const float *in, int64_t count, void *out)
{
    ASH_TRY(check(type, count));
    const struct ash_type_info *info = ash_type_info(type);
    uint8_t *block = out;
    if (type == ASH_A8)
        a8_from_float(in, count, out);
    else
        for (int64_t i = 0; i < count; i += info->block_elements, block += info->block_bytes)
            codecs[type].from_float(in + i, block);
    return ASH_OK;
}

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ASH_KERNELS_DEVICE_MATH_H
#define ASH_KERNELS_DEVICE_MATH_H

#ifndef __OPENCL_VERSION__
#include "kernels/device.h"
#endif

/*
 * Functions of floats in multiplications and additions only: the same bits on every device and from
 * every compiler, and nothing to link with.
 */

#define DEVICE_INFINITY AS_F32(0x7f800000u)

/* IEEE binary16, exact; a subnormal comes from an integer, as a device may flush subnormal floats. */
DEV f32 half_to_float(u32 half_bits)
{
    u32 sign = (half_bits & 0x8000u) << 16, exponent = half_bits >> 10 & 31u;
    u32 mantissa = half_bits & 0x3ffu;
    u32 bits =
        exponent == 31u ? 0x7f800000u | mantissa << 13 : ((exponent + 112u) << 23 | mantissa << 13);
    f32 small = (f32)mantissa * 0x1p-24f;
    return AS_F32(sign | (exponent ? bits : AS_U32(small)));
}

/* To nearest, ties to even, cut to +-65504; a NaN stays one. */
DEV u32 float_to_half(f32 value)
{
    u32 bits = AS_U32(value), sign = bits >> 16 & 0x8000u, magnitude = bits & 0x7fffffffu;
    if (magnitude > 0x7f800000u)
        return sign | 0x7e00u | (magnitude >> 13 & 0x3ffu);
    if (magnitude >= 0x477fe000u) /* 65504 */
        return sign | 0x7bffu;
    if (magnitude < 0x38800000u) { /* below 2^-14: a whole number of 2^-24 */
        f32 units = RINT(AS_F32(magnitude) * 0x1p24f);
        return sign | (u32)units;
    }
    u32 rounded = magnitude + 0xfffu + (magnitude >> 13 & 1u);
    return sign | ((rounded - 0x38000000u) >> 13);
}

/* e^x within 2 units in the last place: x = n ln 2 + r, Taylor in r. */
DEV f32 device_exp(f32 x)
{
    f32 y = x < -104.0f ? -104.0f : x > 89.0f ? 89.0f : x;
    f32 n = RINT(y * 1.44269504f);
    f32 r = FMA(n, -0.693359375f, y);
    r = FMA(n, 2.12194440e-4f, r);
    f32 p = 1.98412698e-4f;
    p = FMA(p, r, 1.38888889e-3f);
    p = FMA(p, r, 8.33333333e-3f);
    p = FMA(p, r, 4.16666667e-2f);
    p = FMA(p, r, 1.66666667e-1f);
    p = FMA(p, r, 0.5f);
    p = FMA(p, r, 1.0f);
    p = FMA(p, r, 1.0f);
    i32 whole = (i32)n, first = whole / 2, second = whole - first; /* 2^n may be no float */
    return p * AS_F32((u32)(first + 127) << 23) * AS_F32((u32)(second + 127) << 23);
}

DEV f32 device_tanh(f32 x)
{
    f32 size = x < 0 ? -x : x, square = x * x;
    if (size < 0.25f) { /* the series to x^9: below there the quotient loses digits */
        f32 p = 62.0f / 2835.0f;
        p = FMA(p, square, -17.0f / 315.0f);
        p = FMA(p, square, 2.0f / 15.0f);
        p = FMA(p, square, -1.0f / 3.0f);
        return FMA(p * square, x, x);
    }
    f32 t = 1.0f - 2.0f / (device_exp(2.0f * size) + 1.0f);
    return x < 0 ? -t : t;
}

/* erfc within 1.5e-7: Abramowitz and Stegun 1964, 7.1.26. */
DEV f32 device_erfc(f32 x)
{
    f32 z = x < 0 ? -x : x, t = 1.0f / FMA(0.3275911f, z, 1.0f);
    f32 p = 1.061405429f;
    p = FMA(p, t, -1.453152027f);
    p = FMA(p, t, 1.421413741f);
    p = FMA(p, t, -0.284496736f);
    p = FMA(p, t, 0.254829592f);
    f32 tail = p * t * device_exp(-z * z);
    return x < 0 ? 2.0f - tail : tail;
}

/*
 * Cosine and sine of an angle in units of 2^-64 turns, so that multiplying by a position drops whole
 * turns by itself: exact at any position, with no double. The angle less the nearest quarter turn, then
 * Taylor.
 */
DEV void device_turn(u64 angle, f32 *cosine, f32 *sine)
{
    u64 quarter = (angle + ((u64)1 << 61)) >> 62;
    i64 rest = (i64)(angle - (quarter << 62)); /* -2^61 .. 2^61 */
    f32 r = (f32)rest * 3.40612158e-19f;       /* 2 pi / 2^64 */
    f32 x = r * r;
    f32 s = 2.75573192e-6f;
    s = FMA(s, x, -1.98412698e-4f);
    s = FMA(s, x, 8.33333333e-3f);
    s = FMA(s, x, -1.66666667e-1f);
    s = FMA(s * x, r, r);
    f32 c = 2.48015873e-5f;
    c = FMA(c, x, -1.38888889e-3f);
    c = FMA(c, x, 4.16666667e-2f);
    c = FMA(c, x, -0.5f);
    c = FMA(c, x, 1.0f);
    f32 u = quarter & 1 ? c : s, v = quarter & 1 ? s : c;
    *sine = quarter & 2 ? -u : u;
    *cosine = (quarter + 1) & 2 ? -v : v;
}

/* As argmax and topk order values: a NaN counts as less than anything. */
DEV f32 device_number(f32 x)
{
    return x == x ? x : -DEVICE_INFINITY;
}

/* Whether value p of id a comes before value q of id b: the larger one, of equal ones the lower id. */
DEV i32 device_before(f32 p, i32 a, f32 q, i32 b)
{
    return p > q || (p == q && a < b);
}

/* Of an id and its value from every item of the group the first one, left at [0] for all to read. */
DEV void device_first(IN_LOCAL f32 *values, IN_LOCAL i32 *ids, f32 value, i32 id)
{
    values[LID] = value;
    ids[LID] = id;
    BARRIER();
    for (i32 width = DEVICE_GROUP / 2; width > 0; width /= 2) {
        i32 other = LID + width;
        if (LID < width && device_before(values[other], ids[other], values[LID], ids[LID])) {
            values[LID] = values[other];
            ids[LID] = ids[other];
        }
        BARRIER();
    }
}

#endif

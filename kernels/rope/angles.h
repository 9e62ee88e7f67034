/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "kernels/rope/rope.h"

#include <string.h>

/*
 * The angles of rotary embedding in plain C, of additions and multiplications in double only: the same
 * bits whatever a compiler makes of it, on every machine, and free of libm. Written so that loops over
 * pairs become vectors in files compiled for AVX2 and wider.
 */
struct ash_rope_table {
    int pairs;
    double frequency[ASH_ROPE_MAX_DIMS / 2]; /* radians a position */
    float cosine[ASH_ROPE_MAX_DIMS / 2], sine[ASH_ROPE_MAX_DIMS / 2];
};

/* Rounds to the nearest whole number: in a sum of 2^52 and more no fraction has room. */
static inline double ash_rope_round(double x)
{
    return (x + 0x1.8p52) - 0x1.8p52;
}

/* ln x for x >= 1: x = m 2^e with m in [1/sqrt 2, sqrt 2), then 2 artanh((m - 1) / (m + 1)). */
static inline double ash_rope_ln(double x)
{
    int exponent = 0;
    for (; x >= 1.4142135623730951; x *= 0.5)
        exponent++;
    double z = (x - 1) / (x + 1), square = z * z, sum = 0; /* |z| <= 0.172 */
    for (int k = 21; k >= 1; k -= 2)
        sum = sum * square + 1.0 / k;
    return 2 * z * sum + exponent * 0.6931471805599453;
}

/* e^x for -700 < x <= 0, within a few units in the last place: x = n ln 2 + r, Taylor in r. */
static inline double ash_rope_exp(double x)
{
    double n = ash_rope_round(x * 1.4426950408889634);
    double r = (x - n * 6.93147180369123816490e-01) - n * 1.90821492927058770002e-10;
    double p = 1.0 / 6227020800;
    p = p * r + 1.0 / 479001600;
    p = p * r + 1.0 / 39916800;
    p = p * r + 1.0 / 3628800;
    p = p * r + 1.0 / 362880;
    p = p * r + 1.0 / 40320;
    p = p * r + 1.0 / 5040;
    p = p * r + 1.0 / 720;
    p = p * r + 1.0 / 120;
    p = p * r + 1.0 / 24;
    p = p * r + 1.0 / 6;
    p = p * r + 0.5;
    p = p * r + 1;
    p = p * r + 1;
    double shifted = n + 1023 + 0x1p52; /* the sum's low bits are the whole number n + 1023 */
    uint64_t bits;
    memcpy(&bits, &shifted, sizeof bits);
    bits <<= 52;
    double power;
    memcpy(&power, &bits, sizeof power);
    return p * power;
}

static inline void ash_rope_frequencies(
    const struct ash_rope_params *params, const float *factors, struct ash_rope_table *table)
{
    table->pairs = params->dims / 2;
    double step = table->pairs > 0 ? -ash_rope_ln((double)params->base) / table->pairs : 0;
    for (int i = 0; i < table->pairs; i++)
        table->frequency[i] = (double)params->scale * ash_rope_exp(step * i);
    for (int i = 0; factors && i < table->pairs; i++)
        table->frequency[i] /= (double)factors[i];
}

/*
 * Fills cosine[] and sine[] for a position. The angle less n quarter turns, |r| <= pi / 4 (Cody and
 * Waite; pi / 2 in two parts of which the first has 33 bits), then Taylor to r^13.
 */
static inline void ash_rope_angles(struct ash_rope_table *table, int32_t position)
{
    for (int i = 0; i < table->pairs; i++) {
        double angle = position * table->frequency[i];
        double shifted = angle * 0.63661977236758134 + 0x1.8p52, n = shifted - 0x1.8p52;
        double r = (angle - n * 1.57079632673412561417) - n * 6.07710050650619224932e-11;
        double x = r * r;
        double sine = -1.0 / 39916800 + x * (1.0 / 6227020800);
        sine = 1.0 / 362880 + x * sine;
        sine = -1.0 / 5040 + x * sine;
        sine = 1.0 / 120 + x * sine;
        sine = -1.0 / 6 + x * sine;
        sine = r + r * x * sine;
        double cosine = 1.0 / 479001600 - x * (1.0 / 87178291200);
        cosine = -1.0 / 3628800 + x * cosine;
        cosine = 1.0 / 40320 + x * cosine;
        cosine = -1.0 / 720 + x * cosine;
        cosine = 1.0 / 24 + x * cosine;
        cosine = 1.0 + x * (-0.5 + x * cosine);
        uint64_t quarter; /* n in the low bits */
        memcpy(&quarter, &shifted, sizeof quarter);
        double s = quarter & 1 ? cosine : sine, c = quarter & 1 ? sine : cosine;
        table->sine[i] = (float)(quarter & 2 ? -s : s);
        table->cosine[i] = (float)((quarter + 1) & 2 ? -c : c);
    }
}

/* Turns one head in place by the cosines and sines of a position. */
static inline void ash_rope_turn(
    int pairs, const float *cosine, const float *sine, enum ash_rope_mode mode, float *head)
{
    if (mode == ASH_ROPE_HALF)
        for (int i = 0; i < pairs; i++) {
            float a = head[i], b = head[pairs + i];
            head[i] = a * cosine[i] - b * sine[i];
            head[pairs + i] = a * sine[i] + b * cosine[i];
        }
    else
        for (int i = 0; i < pairs; i++) {
            float a = head[2 * i], b = head[2 * i + 1];
            head[2 * i] = a * cosine[i] - b * sine[i];
            head[2 * i + 1] = a * sine[i] + b * cosine[i];
        }
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "models/sampler_internal.h"

#include <float.h>
#include <string.h>

double ash_exact_logit(double logit)
{
    if (!(logit >= -(double)FLT_MAX))
        return ASH_IMPOSSIBLE;
    return logit > (double)FLT_MAX ? (double)FLT_MAX : logit;
}

/* 2^k for k in [-1022, 1023]. */
static double power_of_two(int k)
{
    uint64_t bits = (uint64_t)(k + 1023) << 52;
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* ln 2 in two parts, the first with 33 zero bits at its end so that k * LN2_HIGH is exact. */
static const double LN2_HIGH = 0x1.62e42fee00000p-1, LN2_LOW = 0x1.a39ef35793c76p-33;
static const double INVERSE_LN2 = 0x1.71547652b82fep+0;

double ash_exact_exp(double x)
{
    if (!(x >= -690))
        return 0;
    /* x = k ln 2 + r, |r| <= ln 2 / 2; e^x = 2^k e^r */
    int k = (int)(x * INVERSE_LN2 + (x < 0 ? -0.5 : 0.5));
    double r = x - k * LN2_HIGH - k * LN2_LOW;
    /* Taylor: the first term left out, r^14 / 14!, is under 2^-57 */
    double sum = 1;
    for (int n = 13; n > 0; n--)
        sum = 1 + sum * r / n;
    return sum * power_of_two(k);
}

double ash_exact_log(double x)
{
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    int k = (int)(bits >> 52 & 0x7FF) - 1023;
    bits = (bits & 0xFFFFFFFFFFFFF) | 0x3FF0000000000000;
    double m;
    memcpy(&m, &bits, sizeof m);
    if (m > 0x1.6a09e667f3bcdp+0) { /* sqrt 2: keeps |s| below 0.172 */
        m /= 2;
        k++;
    }
    /* log m = 2 atanh s, s = (m - 1) / (m + 1); s^23 / 23 is under 2^-62 */
    double s = (m - 1) / (m + 1), square = s * s, sum = 0;
    for (int n = 21; n > 1; n -= 2)
        sum = (sum + 1.0 / n) * square;
    return k * LN2_HIGH + (2 * s + (2 * s * sum + k * LN2_LOW));
}

void ash_random_seed(struct ash_random *random, uint64_t seed)
{
    for (int i = 0; i < 4; i++) {
        uint64_t z = seed += 0x9E3779B97F4A7C15;
        z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9;
        z = (z ^ z >> 27) * 0x94D049BB133111EB;
        random->state[i] = z ^ z >> 31;
    }
}

static uint64_t rotate(uint64_t x, int by)
{
    return x << by | x >> (64 - by);
}

uint64_t ash_random_next(struct ash_random *random)
{
    uint64_t *s = random->state, result = rotate(s[1] * 5, 7) * 9, shifted = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= shifted;
    s[3] = rotate(s[3], 45);
    return result;
}

double ash_random_unit(struct ash_random *random)
{
    return (double)(ash_random_next(random) >> 11) * 0x1p-53;
}

bool ash_choice_before(const struct ash_choice *a, const struct ash_choice *b)
{
    return a->key > b->key || (a->key == b->key && a->token < b->token);
}

static void swap(struct ash_choice *a, struct ash_choice *b)
{
    struct ash_choice old = *a;
    *a = *b;
    *b = old;
}

void ash_heap_sink(struct ash_choice *heap, size_t count, size_t at, bool first)
{
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= count)
            return;
        if (child + 1 < count && ash_choice_before(&heap[child + 1], &heap[child]) == first)
            child++;
        if (ash_choice_before(&heap[child], &heap[at]) != first)
            return;
        swap(&heap[at], &heap[child]);
        at = child;
    }
}

void ash_heap_make(struct ash_choice *heap, size_t count, bool first)
{
    for (size_t at = count / 2; at-- > 0;)
        ash_heap_sink(heap, count, at, first);
}

void ash_heap_pop(struct ash_choice *heap, size_t count, bool first)
{
    swap(&heap[0], &heap[count - 1]);
    ash_heap_sink(heap, count - 1, 0, first);
}

void ash_choices_sort(struct ash_choice *choices, size_t count)
{
    ash_heap_make(choices, count, false);
    for (size_t left = count; left > 1; left--)
        ash_heap_pop(choices, left, false);
}

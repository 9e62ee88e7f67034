/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Arithmetic and selection for the sampler. Only + - * / and comparisons of IEEE 754 doubles, in a
 * fixed order, so that every machine gives the same bits.
 */

#define ASH_IMPOSSIBLE (-(double)INFINITY)

/*
 * A logit as the sampler reads it: a finite float, or ASH_IMPOSSIBLE (NaN is that too; +infinity is
 * FLT_MAX). What is left is ordered and can be subtracted.
 */
double ash_exact_logit(double logit);

/* e^x for x <= 0, within 2 ulp; 0 below -690, so that no sum of them makes a quotient denormal. */
double ash_exact_exp(double x);

/* Natural logarithm of a positive, normal x, within 2 ulp. */
double ash_exact_log(double x);

/* xoshiro256**, seeded by splitmix64. */
struct ash_random {
    uint64_t state[4];
};
void ash_random_seed(struct ash_random *random, uint64_t seed);
uint64_t ash_random_next(struct ash_random *random);
/* Uniform on the multiples of 2^-53 in [0, 1). */
double ash_random_unit(struct ash_random *random);

/* `key` orders: larger first, then the lower token. It is the logit but while `typical` selects. */
struct ash_choice {
    double key;
    double logit;
    double p;
    int32_t token;
};

/* Whether `a` comes before `b`. */
bool ash_choice_before(const struct ash_choice *a, const struct ash_choice *b);

/*
 * Heaps of choices. `first`: the root is the one that comes first; otherwise the one that comes
 * last. Make: O(n). Pop: moves the root to the end, heap of n - 1 in front of it.
 */
void ash_heap_make(struct ash_choice *heap, size_t count, bool first);
void ash_heap_sink(struct ash_choice *heap, size_t count, size_t at, bool first);
void ash_heap_pop(struct ash_choice *heap, size_t count, bool first);

/* Into order, first to last. */
void ash_choices_sort(struct ash_choice *choices, size_t count);

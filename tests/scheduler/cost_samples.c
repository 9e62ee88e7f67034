/* SPDX-License-Identifier: Apache-2.0 */
/* Cost models on what steps of a real model took (samples/steps.txt). */
#include "scheduler/cost_model.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_SAMPLES = 2048, LEARNED = 10 };

struct sample {
    char device[32], batch[16], key[64];
    struct ash_cost cost;
    double seconds;
};

static struct sample sample[MOST_SAMPLES];
static int samples;

static void read_samples(void)
{
    char path[512], line[256];
    snprintf(path, sizeof path, "%s/scheduler/samples/steps.txt", getenv("ASHLAR_TEST_DATA"));
    FILE *file = fopen(path, "re");
    cr_assert(file, "%s", path);
    while (fgets(line, sizeof line, file)) {
        struct sample *s = &sample[samples];
        if (line[0] == '#')
            continue;
        cr_assert_lt(samples, MOST_SAMPLES);
        cr_assert_eq(sscanf(line, "%31s %15s %63s %lf %lf %lf", s->device, s->batch, s->key,
                         &s->cost.bytes_read, &s->cost.flops, &s->seconds),
            6, "%s", line);
        s->seconds *= 1e-6;
        samples++;
    }
    fclose(file);
}

/* An order of all samples, drawn by `seed`: Fisher and Yates. */
static void shuffle(uint64_t seed, int *order)
{
    for (int i = 0; i < samples; i++) {
        seed = seed * 6364136223846793005U + 1442695040888963407U;
        int at = (int)((seed >> 33) % (uint64_t)(i + 1));
        order[i] = order[at];
        order[at] = i;
    }
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

struct known {
    char key[64];
    struct ash_cost cost[LEARNED];
    int count;
};
enum { MOST_KEYS = 32 };

/* How much of a key is the operator's: all but a device's way with it, so that all its ways share ten samples. */
static int operator_length(const char *key)
{
    const char *way = strstr(key, "/matmul_");
    return way ? (int)(way - key) : (int)strlen(key);
}

/* Whether a sample is to be learned: it is of a size that is new to its operator, which has not enough yet. */
static bool take(struct known *known, const struct sample *s)
{
    char key[sizeof known->key];
    snprintf(key, sizeof key, "%.*s", operator_length(s->key), s->key);
    while (known->key[0] && strcmp(known->key, key) != 0)
        known++;
    snprintf(known->key, sizeof known->key, "%s", key);
    for (int i = 0; i < known->count; i++)
        if (known->cost[i].flops == s->cost.flops &&
            known->cost[i].bytes_read == s->cost.bytes_read)
            return false;
    if (known->count == LEARNED)
        return false;
    known->cost[known->count++] = s->cost;
    return true;
}

/* The roofs are what devices.h takes such a device to do, on two cores and on one. */
static const struct recorded {
    const char *device;
    struct ash_rates rates;
    double most; /* that may be its median error */
} recorded[] = {
    { "cpu-Q4_0", { 16e9, 100e9, 1e-6 }, 0.15 },
    { "cpu-Q8_0", { 16e9, 100e9, 1e-6 }, 0.15 },
    { "cpu-F16", { 16e9, 100e9, 1e-6 }, 0.15 },
    { "opencl-Q4_1", { 4e9, 5e9, 50e-6 }, 0.15 },
    /* One of its samples tells another of the same size to 11 %, in the median; of one token to 24. */
    { "opencl-Q4_0", { 8e9, 10e9, 50e-6 }, 0.22 },
};

/*
 * The median of |predicted - took| / took over a device's samples, but for those that it was taught: of each
 * operator the first of 10 sizes, or none.
 */
static double median_error(const struct recorded *of, const int *order, bool teach)
{
    static double error[MOST_SAMPLES];
    static bool learned[MOST_SAMPLES];
    static struct known known[MOST_KEYS];
    struct ash_cost_model *model;
    int asked = 0;
    memset(known, 0, sizeof known);
    cr_assert_eq(ash_cost_model_create(&of->rates, &model), ASH_OK);
    for (int i = 0; i < samples; i++) {
        const struct sample *s = &sample[order[i]];
        const bool other = strcmp(s->device, of->device) != 0;
        learned[i] = other || take(known, s);
        if (teach && learned[i] && !other)
            cr_assert_eq(ash_cost_model_learn(model, s->key, &s->cost, s->seconds), ASH_OK);
    }
    for (int i = 0; i < samples; i++) {
        const struct sample *s = &sample[order[i]];
        double predicted_s = ash_cost_model_predict(model, s->key, &s->cost);
        if (!learned[i])
            error[asked++] = fabs(predicted_s - s->seconds) / s->seconds;
    }
    ash_cost_model_destroy(model);
    cr_assert_gt(asked, 40, "%s: %d", of->device, asked);
    qsort(error, (size_t)asked, sizeof *error, by_value);
    return error[asked / 2];
}

Test(cost_model, errs_by_less_than_15_percent_after_10_samples_of_each_operator_of_a_real_model)
{
    static int order[MOST_SAMPLES];
    read_samples();
    for (size_t d = 0; d < sizeof recorded / sizeof *recorded; d++)
        for (uint64_t seed = 1; seed <= 20; seed++) {
            const struct recorded *of = &recorded[d];
            shuffle(seed, order);
            double none = median_error(of, order, false);
            double after = median_error(of, order, true);
            cr_expect_gt(none, 1.2 * after, "%s: %g before, %g after", of->device, none, after);
            cr_expect_leq(after, of->most, "%s, order %d: %g", of->device, (int)seed, after);
        }
}

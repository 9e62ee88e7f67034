/* SPDX-License-Identifier: Apache-2.0 */
#include "scheduler/cost_model.h"

#include "runtime/json.h"
#include "runtime/memory.h"

#include <math.h>
#include <string.h>

enum { MOST_SAMPLES = 48, MOST_KEYS = 4096, MOST_KEY_LENGTH = 128 };

/* Of a correction, either way: a guess is not further off than e^20. */
static const double most_correction = 20;

struct sample {
    double log_bytes, log_flops;
    double correction; /* log(seconds / guess) */
};

struct entry {
    char *key; /* owned */
    struct sample sample[MOST_SAMPLES];
    int count;
};

struct ash_cost_model {
    struct ash_rates rates;
    struct entry *entry;
    size_t entries, capacity;
};

enum ash_status ash_cost_model_create(const struct ash_rates *rates, struct ash_cost_model **out)
{
    if (!(rates->bytes_per_s > 0) || !(rates->flops_per_s > 0) || !(rates->launch_s >= 0))
        return ash_fail(ASH_ERR_ARGUMENT,
            "a device of %g bytes/s and %g flops/s that launches in %g s; expected more than 0",
            rates->bytes_per_s, rates->flops_per_s, rates->launch_s);
    struct ash_cost_model *model = ash_alloc_zero(sizeof *model);
    if (!model)
        return ash_fail_memory(sizeof *model, "a cost model");
    model->rates = *rates;
    *out = model;
    return ASH_OK;
}

void ash_cost_model_destroy(struct ash_cost_model *model)
{
    if (!model)
        return;
    for (size_t i = 0; i < model->entries; i++)
        ash_free(model->entry[i].key);
    ash_free(model->entry);
    ash_free(model);
}

/* ---- Guessing ---- */

static double total_bytes(const struct ash_cost *cost)
{
    return cost->bytes_read + cost->bytes_written;
}

/* A nanosecond at least, so that it has a logarithm. */
static double guess(const struct ash_rates *rates, const struct ash_cost *cost)
{
    double move = total_bytes(cost) / rates->bytes_per_s, work = cost->flops / rates->flops_per_s;
    return 1e-9 + rates->launch_s + (move > work ? move : work);
}

static struct sample place(const struct ash_cost *cost)
{
    return (struct sample){ .log_bytes = log2(1 + total_bytes(cost)),
        .log_flops = log2(1 + cost->flops) };
}

static double distance(const struct sample *a, const struct sample *b)
{
    double bytes = a->log_bytes - b->log_bytes, flops = a->log_flops - b->log_flops;
    return bytes * bytes + flops * flops;
}

/*
 * The mean over an entry's samples. The bandwidth of the kernel adapts: relative to the nearest sample,
 * one further off counts less the further it is; nothing is so far that the mean has no weight.
 */
static double mean_correction(const struct entry *entry, const struct sample *at)
{
    double nearest = HUGE_VAL, sum = 0, weights = 0;
    for (int i = 0; i < entry->count; i++)
        nearest = fmin(nearest, distance(&entry->sample[i], at));
    for (int i = 0; i < entry->count; i++) {
        double weight = exp2(-8 * (distance(&entry->sample[i], at) - nearest));
        sum += weight * entry->sample[i].correction;
        weights += weight;
    }
    return sum / weights;
}

static struct entry *find(const struct ash_cost_model *model, const char *key, size_t length)
{
    for (size_t i = 0; i < model->entries; i++)
        if (strncmp(model->entry[i].key, key, length) == 0 && !model->entry[i].key[length])
            return &model->entry[i];
    return NULL;
}

/* The mean over the entries whose keys are `key` up to `length` and then go on; of 0, over all. False if there are
 * none. */
static bool mean_below(const struct ash_cost_model *model, const char *key, size_t length,
    const struct sample *at, double *out)
{
    double sum = 0;
    int count = 0;
    for (size_t i = 0; i < model->entries; i++) {
        const struct entry *entry = &model->entry[i];
        if (length > 0 && (strncmp(entry->key, key, length) != 0 || entry->key[length] != '/'))
            continue;
        sum += mean_correction(entry, at);
        count++;
    }
    *out = count ? sum / count : 0;
    return count > 0;
}

/* By the entry of the key, by those below it, then likewise without its last part, and the one before that. */
static double correction_of(
    const struct ash_cost_model *model, const char *key, const struct sample *at)
{
    double correction;
    for (size_t length = strlen(key);;) {
        const struct entry *entry = find(model, key, length);
        if (entry)
            return mean_correction(entry, at);
        if (mean_below(model, key, length, at, &correction) || length == 0)
            return correction;
        while (length > 0 && key[--length] != '/')
            ;
    }
}

double ash_cost_model_predict(
    const struct ash_cost_model *model, const char *key, const struct ash_cost *cost)
{
    struct sample at = place(cost);
    return guess(&model->rates, cost) * exp(correction_of(model, key, &at));
}

/* ---- Learning ---- */

static enum ash_status find_or_add(
    struct ash_cost_model *model, const char *key, struct entry **out)
{
    *out = find(model, key, strlen(key));
    if (*out)
        return ASH_OK;
    if (model->entries == MOST_KEYS || strlen(key) > MOST_KEY_LENGTH)
        return ash_fail(ASH_ERR_LIMIT, "a cost model holds %d keys of up to %d bytes", MOST_KEYS,
            MOST_KEY_LENGTH);
    ASH_TRY(ASH_GROW(model->entry, model->capacity, model->entries));
    struct entry *entry = &model->entry[model->entries];
    *entry = (struct entry){ .key = ash_strdup(key) };
    if (!entry->key)
        return ash_fail_memory(strlen(key) + 1, "a cost model's key");
    model->entries++;
    *out = entry;
    return ASH_OK;
}

/* A sample at the same place is averaged in, as times scatter; in a full entry the nearest gives way. */
static void add_sample(struct entry *entry, struct sample sample)
{
    int nearest = 0;
    for (int i = 1; i < entry->count; i++)
        if (distance(&entry->sample[i], &sample) < distance(&entry->sample[nearest], &sample))
            nearest = i;
    struct sample *old = &entry->sample[nearest];
    if (entry->count > 0 && distance(old, &sample) < 1e-6)
        old->correction += 0.25 * (sample.correction - old->correction);
    else if (entry->count < MOST_SAMPLES)
        entry->sample[entry->count++] = sample;
    else
        *old = sample;
}

enum ash_status ash_cost_model_learn(
    struct ash_cost_model *model, const char *key, const struct ash_cost *cost, double seconds)
{
    if (!(seconds > 0) || isinf(seconds))
        return ash_fail(ASH_ERR_ARGUMENT, "%s took %g s; expected more than 0", key, seconds);
    struct entry *entry;
    ASH_TRY(find_or_add(model, key, &entry));
    struct sample sample = place(cost);
    double correction = log(seconds / guess(&model->rates, cost));
    sample.correction = fmax(-most_correction, fmin(correction, most_correction));
    add_sample(entry, sample);
    return ASH_OK;
}

/* ---- On disk ---- */

static int append_samples(json_t *samples, const struct entry *entry)
{
    for (int i = 0; i < entry->count; i++) {
        const struct sample *sample = &entry->sample[i];
        if (json_array_append_new(samples,
                json_pack("[fff]", sample->log_bytes, sample->log_flops, sample->correction)))
            return -1;
    }
    return 0;
}

enum ash_status ash_cost_model_json(const struct ash_cost_model *model, json_t **out)
{
    json_t *all = json_object();
    int failed = !all;
    for (size_t i = 0; i < model->entries && !failed; i++) {
        json_t *samples = json_array();
        failed = !samples || append_samples(samples, &model->entry[i]);
        json_t *key =
            failed ? NULL : ash_json_text(model->entry[i].key, strlen(model->entry[i].key));
        failed = !key || json_object_set(all, json_string_value(key), samples);
        json_decref(key);
        json_decref(samples);
    }
    if (failed) {
        json_decref(all);
        return ash_fail_memory(model->entries * sizeof *model->entry, "a cost model as JSON");
    }
    *out = all;
    return ASH_OK;
}

static bool read_sample(json_t *json, struct sample *out)
{
    if (json_array_size(json) != 3)
        return false;
    double value[3];
    for (size_t i = 0; i < 3; i++) {
        value[i] = json_number_value(json_array_get(json, i));
        if (!json_is_number(json_array_get(json, i)) ||
            !(fabs(value[i]) <= (i < 2 ? 128 : most_correction)))
            return false;
    }
    *out = (struct sample){ value[0], value[1], value[2] };
    return true;
}

static enum ash_status read_entry(struct ash_cost_model *model, const char *key, json_t *samples)
{
    struct entry *entry;
    if (!json_is_array(samples) || json_array_size(samples) == 0 ||
        json_array_size(samples) > MOST_SAMPLES)
        return ash_fail(
            ASH_ERR_FORMAT, "%s: expected 1 to %d samples in an array", key, MOST_SAMPLES);
    ASH_TRY(find_or_add(model, key, &entry));
    for (size_t i = 0; i < json_array_size(samples); i++) {
        if (!read_sample(json_array_get(samples, i), &entry->sample[entry->count]))
            return ash_fail(ASH_ERR_FORMAT,
                "%s: sample %zu is not [log2 bytes, log2 flops, log correction]", key, i);
        entry->count++;
    }
    return ASH_OK;
}

enum ash_status ash_cost_model_read(struct ash_cost_model *model, const json_t *json)
{
    if (!json_is_object(json))
        return ash_fail(ASH_ERR_FORMAT, "a cost model is a JSON object of keys and their samples");
    if (model->entries > 0) /* an entry has room for one list of samples */
        return ash_fail(ASH_ERR_ARGUMENT, "a cost model that has samples reads no others");
    const char *key;
    json_t *samples;
    enum ash_status status = ASH_OK;
    json_object_foreach((json_t *)(uintptr_t)json, key, samples)
    {
        status = read_entry(model, key, samples);
        if (status != ASH_OK)
            break;
    }
    while (status != ASH_OK && model->entries > 0)
        ash_free(model->entry[--model->entries].key);
    return status;
}

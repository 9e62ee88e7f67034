/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/metrics.h"
#include "runtime/json.h"
#include "runtime/memory.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>

enum kind { COUNTER, GAUGE, HISTOGRAM };

static const char *const kind_names[] = { "counter", "gauge", "histogram" };

struct ash_counter {
    _Atomic uint64_t value;
};

struct ash_gauge {
    _Atomic double value;
};

struct ash_histogram {
    size_t bound_count;
    double bound[ASH_METRIC_MAX_BUCKETS];
    _Atomic uint64_t bucket[ASH_METRIC_MAX_BUCKETS + 1]; /* each its own; the last is above all */
    _Atomic double sum;
};

struct series {
    enum kind kind;
    char *name, *help;
    char *key[ASH_METRIC_MAX_LABELS], *value[ASH_METRIC_MAX_LABELS]; /* NULL: none from here on */
    union {
        struct ash_counter counter;
        struct ash_gauge gauge;
        struct ash_histogram histogram;
    };
};

struct ash_metrics {
    pthread_mutex_t lock;   /* of the list, not of the numbers */
    struct series **series; /* the series of a name stand together; they stay where they are */
    size_t count, capacity;
};

enum ash_status ash_metrics_create(struct ash_metrics **out)
{
    struct ash_metrics *metrics = ash_alloc_zero(sizeof *metrics);
    if (!metrics)
        return ash_fail_memory(sizeof *metrics, "the metrics");
    pthread_mutex_init(&metrics->lock, NULL);
    *out = metrics;
    return ASH_OK;
}

static void series_destroy(struct series *series)
{
    if (!series)
        return;
    for (int i = 0; i < ASH_METRIC_MAX_LABELS; i++) {
        ash_free(series->key[i]);
        ash_free(series->value[i]);
    }
    ash_free(series->name);
    ash_free(series->help);
    ash_free(series);
}

void ash_metrics_destroy(struct ash_metrics *metrics)
{
    if (!metrics)
        return;
    for (size_t i = 0; i < metrics->count; i++)
        series_destroy(metrics->series[i]);
    ash_free(metrics->series);
    pthread_mutex_destroy(&metrics->lock);
    ash_free(metrics);
}

/* [a-zA-Z_:][a-zA-Z0-9_:]*, the colon in names only. */
static bool is_name(const char *text, bool colon)
{
    if (!text || !*text || isdigit((unsigned char)*text))
        return false;
    for (; *text; text++)
        if (!isalnum((unsigned char)*text) && *text != '_' && !(colon && *text == ':'))
            return false;
    return true;
}

static enum ash_status check_info(const struct ash_metric_info *info)
{
    if (!is_name(info->name, true))
        return ash_fail(
            ASH_ERR_ARGUMENT, "\"%s\" is no name of a metric", info->name ? info->name : "");
    for (int i = 0; i < ASH_METRIC_MAX_LABELS && info->label[i].key; i++)
        if (!is_name(info->label[i].key, false) || !info->label[i].value)
            return ash_fail(
                ASH_ERR_ARGUMENT, "%s: \"%s\" is no label", info->name, info->label[i].key);
    return ASH_OK;
}

/* A copy of `text` in *out; *ok turns false, and stays so, when there is no memory for one. */
static void copy_text(const char *text, char **out, bool *ok)
{
    *out = ash_strdup(text);
    *ok = *ok && *out;
}

static enum ash_status series_create(
    enum kind kind, const struct ash_metric_info *info, struct series **out)
{
    struct series *series = ash_alloc_zero(sizeof *series);
    if (!series)
        return ash_fail_memory(sizeof *series, "a metric");
    bool ok = true;
    series->kind = kind;
    copy_text(info->name, &series->name, &ok);
    copy_text(info->help ? info->help : "", &series->help, &ok);
    for (int i = 0; i < ASH_METRIC_MAX_LABELS && info->label[i].key; i++) {
        copy_text(info->label[i].key, &series->key[i], &ok);
        copy_text(info->label[i].value, &series->value[i], &ok);
    }
    if (!ok) {
        series_destroy(series);
        return ash_fail_memory(0, "the name of a metric");
    }
    *out = series;
    return ASH_OK;
}

static bool same_labels(const struct series *a, const struct series *b)
{
    for (int i = 0; i < ASH_METRIC_MAX_LABELS; i++) {
        if (!a->key[i] || !b->key[i])
            return !a->key[i] && !b->key[i];
        if (strcmp(a->key[i], b->key[i]) != 0 || strcmp(a->value[i], b->value[i]) != 0)
            return false;
    }
    return true;
}

/* Puts `series` behind the others of its name. Under the lock. */
static enum ash_status insert(struct ash_metrics *metrics, struct series *series)
{
    size_t place = metrics->count;
    for (size_t i = 0; i < metrics->count; i++) {
        const struct series *other = metrics->series[i];
        if (strcmp(other->name, series->name) != 0)
            continue;
        if (other->kind != series->kind)
            return ash_fail(ASH_ERR_ARGUMENT, "metric %s is a %s already, not a %s", series->name,
                kind_names[other->kind], kind_names[series->kind]);
        if (same_labels(other, series))
            return ash_fail(ASH_ERR_ARGUMENT, "metric %s is registered twice", series->name);
        place = i + 1;
    }
    ASH_TRY(ASH_GROW(metrics->series, metrics->capacity, metrics->count));
    memmove(&metrics->series[place + 1], &metrics->series[place],
        (metrics->count - place) * sizeof(struct series *));
    metrics->series[place] = series;
    metrics->count++;
    return ASH_OK;
}

/* Takes `series`, whether it can be registered or not. */
static enum ash_status register_series(struct ash_metrics *metrics, struct series *series)
{
    pthread_mutex_lock(&metrics->lock);
    enum ash_status status = insert(metrics, series);
    pthread_mutex_unlock(&metrics->lock);
    if (status != ASH_OK)
        series_destroy(series);
    return status;
}

enum ash_status ash_metrics_counter(
    struct ash_metrics *metrics, const struct ash_metric_info *info, struct ash_counter **out)
{
    struct series *series;
    ASH_TRY(check_info(info));
    ASH_TRY(series_create(COUNTER, info, &series));
    ASH_TRY(register_series(metrics, series));
    *out = &series->counter;
    return ASH_OK;
}

enum ash_status ash_metrics_gauge(
    struct ash_metrics *metrics, const struct ash_metric_info *info, struct ash_gauge **out)
{
    struct series *series;
    ASH_TRY(check_info(info));
    ASH_TRY(series_create(GAUGE, info, &series));
    ASH_TRY(register_series(metrics, series));
    *out = &series->gauge;
    return ASH_OK;
}

static enum ash_status check_bounds(const char *name, const double *bounds, size_t count)
{
    bool good = count >= 1 && count <= ASH_METRIC_MAX_BUCKETS;
    for (size_t i = 0; good && i < count; i++)
        good = isfinite(bounds[i]) && (i == 0 || bounds[i] > bounds[i - 1]);
    if (!good)
        return ash_fail(ASH_ERR_ARGUMENT, "%s: expected 1 to %d ascending bounds", name,
            ASH_METRIC_MAX_BUCKETS);
    return ASH_OK;
}

enum ash_status ash_metrics_histogram(struct ash_metrics *metrics,
    const struct ash_metric_info *info, const double *bounds, size_t bound_count,
    struct ash_histogram **out)
{
    struct series *series;
    ASH_TRY(check_info(info));
    ASH_TRY(check_bounds(info->name, bounds, bound_count));
    ASH_TRY(series_create(HISTOGRAM, info, &series));
    series->histogram.bound_count = bound_count;
    memcpy(series->histogram.bound, bounds, bound_count * sizeof *bounds);
    ASH_TRY(register_series(metrics, series));
    *out = &series->histogram;
    return ASH_OK;
}

void ash_counter_add(struct ash_counter *counter, uint64_t amount)
{
    atomic_fetch_add_explicit(&counter->value, amount, memory_order_relaxed);
}

static void add_real(_Atomic double *total, double amount)
{
    double old = atomic_load_explicit(total, memory_order_relaxed);
    while (!atomic_compare_exchange_weak_explicit(
        total, &old, old + amount, memory_order_relaxed, memory_order_relaxed))
        ;
}

void ash_gauge_set(struct ash_gauge *gauge, double value)
{
    atomic_store_explicit(&gauge->value, value, memory_order_relaxed);
}

void ash_gauge_add(struct ash_gauge *gauge, double amount)
{
    add_real(&gauge->value, amount);
}

void ash_histogram_observe(struct ash_histogram *histogram, double value)
{
    size_t i = 0;
    while (i < histogram->bound_count && !(value <= histogram->bound[i]))
        i++;
    atomic_fetch_add_explicit(&histogram->bucket[i], 1, memory_order_relaxed);
    add_real(&histogram->sum, value);
}

uint64_t ash_counter_value(const struct ash_counter *counter)
{
    return atomic_load_explicit(&counter->value, memory_order_relaxed);
}

double ash_gauge_value(const struct ash_gauge *gauge)
{
    return atomic_load_explicit(&gauge->value, memory_order_relaxed);
}

/* Backslash, newline and (in labels) the quote are escaped; everything else stands as it is. */
static void write_escaped(const char *text, bool quote, FILE *out)
{
    for (; *text; text++) {
        if (*text == '\n')
            fputs("\\n", out);
        else if (*text == '\\' || (quote && *text == '"'))
            fprintf(out, "\\%c", *text);
        else
            fputc(*text, out);
    }
}

/* 17 digits: a reading gives back the number that was kept. */
static void write_real(double value, FILE *out)
{
    if (isfinite(value))
        fprintf(out, "%.17g\n", value);
    else
        fputs(isnan(value) ? "NaN\n" : value > 0 ? "+Inf\n" : "-Inf\n", out);
}

/* name_suffix{key="value",le="bound"} and a space; `le` may be NULL. */
static void write_series(const struct series *series, const char *suffix, const char *le, FILE *out)
{
    fprintf(out, "%s%s", series->name, suffix);
    const char *before = "{";
    for (int i = 0; i < ASH_METRIC_MAX_LABELS && series->key[i]; i++, before = ",") {
        fprintf(out, "%s%s=\"", before, series->key[i]);
        write_escaped(series->value[i], true, out);
        fputc('"', out);
    }
    if (le) {
        fprintf(out, "%sle=\"%s\"", before, le);
        before = ",";
    }
    fputs(*before == ',' ? "} " : " ", out);
}

static void write_histogram(const struct series *series, FILE *out)
{
    const struct ash_histogram *histogram = &series->histogram;
    uint64_t count = 0;
    for (size_t i = 0; i <= histogram->bound_count; i++) {
        char le[32] = "+Inf";
        if (i < histogram->bound_count)
            snprintf(le, sizeof le, "%.15g", histogram->bound[i]);
        count += atomic_load_explicit(&histogram->bucket[i], memory_order_relaxed);
        write_series(series, "_bucket", le, out);
        fprintf(out, "%llu\n", (unsigned long long)count);
    }
    write_series(series, "_sum", NULL, out);
    write_real(atomic_load_explicit(&histogram->sum, memory_order_relaxed), out);
    write_series(series, "_count", NULL, out);
    fprintf(out, "%llu\n", (unsigned long long)count);
}

static void write_metric(const struct series *series, bool first_of_name, FILE *out)
{
    if (first_of_name) {
        fprintf(out, "# HELP %s ", series->name);
        write_escaped(series->help, false, out);
        fprintf(out, "\n# TYPE %s %s\n", series->name, kind_names[series->kind]);
    }
    if (series->kind == HISTOGRAM) {
        write_histogram(series, out);
        return;
    }
    write_series(series, "", NULL, out);
    if (series->kind == COUNTER)
        fprintf(out, "%llu\n", (unsigned long long)ash_counter_value(&series->counter));
    else
        write_real(ash_gauge_value(&series->gauge), out);
}

enum ash_status ash_metrics_write(struct ash_metrics *metrics, FILE *out)
{
    errno = 0;
    pthread_mutex_lock(&metrics->lock);
    for (size_t i = 0; i < metrics->count; i++) {
        bool first = i == 0 || strcmp(metrics->series[i - 1]->name, metrics->series[i]->name) != 0;
        write_metric(metrics->series[i], first, out);
    }
    pthread_mutex_unlock(&metrics->lock);
    if (fflush(out) != 0 || ferror(out))
        return ash_fail(ASH_ERR_IO, "cannot write the metrics: %s", strerror(errno));
    return ASH_OK;
}

/* JSON has no infinities; null stands for what is not finite. */
static json_t *real_json(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

static json_t *histogram_json(const struct ash_histogram *histogram, uint64_t *total)
{
    json_t *buckets = json_array();
    *total = 0;
    for (size_t i = 0; i <= histogram->bound_count && buckets; i++) {
        uint64_t count = atomic_load_explicit(&histogram->bucket[i], memory_order_relaxed);
        double bound = i < histogram->bound_count ? histogram->bound[i] : (double)INFINITY;
        json_t *bucket =
            json_pack("{s:o, s:I}", "up_to", real_json(bound), "count", (json_int_t)count);
        *total += count;
        if (json_array_append_new(buckets, bucket) != 0) {
            json_decref(buckets);
            return NULL;
        }
    }
    return buckets;
}

static json_t *labels_json(const struct series *series)
{
    json_t *labels = json_object();
    for (int i = 0; i < ASH_METRIC_MAX_LABELS && series->key[i]; i++) {
        json_t *value = ash_json_text(series->value[i], strlen(series->value[i]));
        if (json_object_set_new(labels, series->key[i], value) != 0) {
            json_decref(labels);
            return NULL;
        }
    }
    return labels;
}

static json_t *series_json(const struct series *series)
{
    json_t *object = json_pack("{s:s, s:s, s:o}", "name", series->name, "kind",
        kind_names[series->kind], "labels", labels_json(series));
    int rc;
    if (series->kind == COUNTER) {
        json_int_t value = (json_int_t)ash_counter_value(&series->counter);
        rc = json_object_set_new(object, "value", json_integer(value));
    } else if (series->kind == GAUGE) {
        rc = json_object_set_new(object, "value", real_json(ash_gauge_value(&series->gauge)));
    } else {
        uint64_t count;
        json_t *buckets = histogram_json(&series->histogram, &count);
        double sum = atomic_load_explicit(&series->histogram.sum, memory_order_relaxed);
        rc = json_object_set_new(object, "buckets", buckets) ||
             json_object_set_new(object, "count", json_integer((json_int_t)count)) ||
             json_object_set_new(object, "sum", real_json(sum));
    }
    if (rc == 0)
        return object;
    json_decref(object);
    return NULL;
}

json_t *ash_metrics_json(struct ash_metrics *metrics)
{
    json_t *array = json_array();
    pthread_mutex_lock(&metrics->lock);
    for (size_t i = 0; i < metrics->count && array; i++) {
        if (json_array_append_new(array, series_json(metrics->series[i])) != 0) {
            json_decref(array);
            array = NULL;
        }
    }
    pthread_mutex_unlock(&metrics->lock);
    return array;
}

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "runtime/status.h"

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/*
 * Numbers about a running program: counters, gauges and histograms, read as Prometheus text or JSON.
 *
 * A metric is registered once, when a part starts, and then updated through the pointer it was given:
 * atomic, no lock, no allocation, any thread. Registering and reading take the registry's lock; a
 * reading sees each number whole, but not all numbers at one instant. Names follow Prometheus:
 * ashlar_<what>_<unit>, counters end in _total (prometheus.io/docs/practices/naming).
 */
struct ash_metrics;
struct ash_counter;
struct ash_gauge;
struct ash_histogram;

enum { ASH_METRIC_MAX_LABELS = 4, ASH_METRIC_MAX_BUCKETS = 32 };

struct ash_label {
    const char *key; /* NULL ends the list early */
    const char *value;
};

/* What a metric is. Everything is copied. */
struct ash_metric_info {
    const char *name;
    const char *help; /* one line; the same for all series of a name */
    struct ash_label label[ASH_METRIC_MAX_LABELS];
};

/* The caller owns *out; destroy takes NULL and ends every metric with it. */
enum ash_status ash_metrics_create(struct ash_metrics **out);
void ash_metrics_destroy(struct ash_metrics *metrics);

/*
 * Register one series each. Two series of a name differ in their labels and agree in their kind.
 * Histogram bounds: 1 to 32 finite, ascending upper ends; the bucket above all is added.
 * ASH_ERR_ARGUMENT: a name or label that Prometheus does not allow, a series there already is, or bad
 * bounds. ASH_ERR_NO_MEMORY. On failure nothing changed.
 */
enum ash_status ash_metrics_counter(
    struct ash_metrics *metrics, const struct ash_metric_info *info, struct ash_counter **out);
enum ash_status ash_metrics_gauge(
    struct ash_metrics *metrics, const struct ash_metric_info *info, struct ash_gauge **out);
enum ash_status ash_metrics_histogram(struct ash_metrics *metrics,
    const struct ash_metric_info *info, const double *bounds, size_t bound_count,
    struct ash_histogram **out);

/* Updates. Any thread, at any time. */
void ash_counter_add(struct ash_counter *counter, uint64_t amount);
void ash_gauge_set(struct ash_gauge *gauge, double value);
void ash_gauge_add(struct ash_gauge *gauge, double amount);
void ash_histogram_observe(struct ash_histogram *histogram, double value);

uint64_t ash_counter_value(const struct ash_counter *counter);
double ash_gauge_value(const struct ash_gauge *gauge);

/* Prometheus text format 0.0.4, the series of a name together. ASH_ERR_IO with errno's text. */
enum ash_status ash_metrics_write(struct ash_metrics *metrics, FILE *out);

/* An array of { name, kind, labels, value } or { ..., count, sum, buckets }; NULL without memory. */
json_t *ash_metrics_json(struct ash_metrics *metrics);

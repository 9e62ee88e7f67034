/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/metrics.h"
#include "runtime/json.h"
#include "runtime/memory.h"

#include <criterion/criterion.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static struct ash_metrics *create(void)
{
    struct ash_metrics *metrics;
    cr_assert_eq(ash_metrics_create(&metrics), ASH_OK);
    return metrics;
}

static void expect_text(struct ash_metrics *metrics, const char *expected)
{
    char *text;
    size_t length;
    FILE *out = open_memstream(&text, &length);
    cr_assert_eq(ash_metrics_write(metrics, out), ASH_OK);
    fclose(out);
    cr_assert_str_eq(text, expected);
    free(text);
}

Test(metrics, the_text_is_prometheus_with_the_series_of_a_name_together)
{
    struct ash_metrics *metrics = create();
    struct ash_counter *get, *post;
    struct ash_gauge *busy;
    struct ash_metric_info info = { "ashlar_requests_total", "Requests\nanswered \\ \"ok\".",
        { { "method", "GET" }, { "path", "a\"b\\c\nd" } } };
    cr_assert_eq(ash_metrics_counter(metrics, &info, &get), ASH_OK);
    cr_assert_eq(ash_metrics_gauge(
                     metrics, &(struct ash_metric_info){ "ashlar_busy", "Busy workers." }, &busy),
        ASH_OK);
    info.label[0].value = "POST";
    info.label[1].key = NULL;
    cr_assert_eq(ash_metrics_counter(metrics, &info, &post), ASH_OK);
    ash_counter_add(get, 41);
    ash_counter_add(get, 1);
    ash_gauge_set(busy, 2.5);
    ash_gauge_add(busy, -1);
    expect_text(metrics, "# HELP ashlar_requests_total Requests\\nanswered \\\\ \"ok\".\n"
                         "# TYPE ashlar_requests_total counter\n"
                         "ashlar_requests_total{method=\"GET\",path=\"a\\\"b\\\\c\\nd\"} 42\n"
                         "ashlar_requests_total{method=\"POST\"} 0\n"
                         "# HELP ashlar_busy Busy workers.\n"
                         "# TYPE ashlar_busy gauge\n"
                         "ashlar_busy 1.5\n");
    ash_metrics_destroy(metrics);
}

Test(metrics, histogram_buckets_are_cumulative_and_hold_their_upper_end)
{
    struct ash_metrics *metrics = create();
    struct ash_histogram *histogram;
    double bounds[] = { 0.1, 1 };
    struct ash_metric_info info = { "ashlar_wait_seconds", "Wait.", { { "queue", "a" } } };
    cr_assert_eq(ash_metrics_histogram(metrics, &info, bounds, 2, &histogram), ASH_OK);
    double observed[] = { 0, 0.1, 0.5, 1, 7 };
    for (size_t i = 0; i < 5; i++)
        ash_histogram_observe(histogram, observed[i]);
    expect_text(metrics, "# HELP ashlar_wait_seconds Wait.\n"
                         "# TYPE ashlar_wait_seconds histogram\n"
                         "ashlar_wait_seconds_bucket{queue=\"a\",le=\"0.1\"} 2\n"
                         "ashlar_wait_seconds_bucket{queue=\"a\",le=\"1\"} 4\n"
                         "ashlar_wait_seconds_bucket{queue=\"a\",le=\"+Inf\"} 5\n"
                         "ashlar_wait_seconds_sum{queue=\"a\"} 8.5999999999999996\n"
                         "ashlar_wait_seconds_count{queue=\"a\"} 5\n");
    ash_metrics_destroy(metrics);
}

Test(metrics, what_is_not_finite_is_written_as_prometheus_and_json_do)
{
    struct ash_metrics *metrics = create();
    struct ash_gauge *gauge;
    cr_assert_eq(
        ash_metrics_gauge(metrics, &(struct ash_metric_info){ "g", NULL }, &gauge), ASH_OK);
    ash_gauge_set(gauge, (double)-INFINITY);
    expect_text(metrics, "# HELP g \n# TYPE g gauge\ng -Inf\n");
    json_t *json = ash_metrics_json(metrics);
    cr_assert(json_is_null(json_object_get(json_array_get(json, 0), "value")));
    json_decref(json);
    ash_metrics_destroy(metrics);
}

Test(metrics, bad_names_labels_bounds_and_repetitions_are_refused)
{
    struct ash_metrics *metrics = create();
    struct ash_counter *counter;
    struct ash_gauge *gauge;
    struct ash_histogram *histogram;
    static const struct ash_metric_info bad[] = {
        { NULL, "" },
        { "", "" },
        { "1a", "" },
        { "a-b", "" },
        { "\xC3\xA4", "" },
        { "a", "", { { "b:c", "x" } } },
        { "a", "", { { "", "x" } } },
        { "a", "", { { "b", NULL } } },
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        cr_assert_eq(ash_metrics_counter(metrics, &bad[i], &counter), ASH_ERR_ARGUMENT);
    struct ash_metric_info good = { "a_total", "", { { "b", "x" } } };
    cr_assert_eq(ash_metrics_counter(metrics, &good, &counter), ASH_OK);
    cr_assert_eq(ash_metrics_counter(metrics, &good, &counter), ASH_ERR_ARGUMENT);
    good.label[0].value = "y";
    cr_assert_eq(ash_metrics_gauge(metrics, &good, &gauge), ASH_ERR_ARGUMENT);
    double falling[] = { 2, 1 }, unbounded[] = { (double)INFINITY };
    struct ash_metric_info other = { "h", "" };
    cr_assert_eq(ash_metrics_histogram(metrics, &other, falling, 2, &histogram), ASH_ERR_ARGUMENT);
    cr_assert_eq(
        ash_metrics_histogram(metrics, &other, unbounded, 1, &histogram), ASH_ERR_ARGUMENT);
    cr_assert_eq(ash_metrics_histogram(metrics, &other, falling, 0, &histogram), ASH_ERR_ARGUMENT);
    ash_metrics_destroy(metrics);
}

struct shared {
    struct ash_counter *counter;
    struct ash_gauge *gauge;
    struct ash_histogram *histogram;
};

static void *update(void *argument)
{
    struct shared *shared = argument;
    for (int i = 0; i < 10000; i++) {
        ash_counter_add(shared->counter, 1);
        ash_gauge_add(shared->gauge, 1);
        ash_histogram_observe(shared->histogram, i % 2);
    }
    return NULL;
}

Test(metrics, no_update_of_any_thread_is_lost)
{
    struct ash_metrics *metrics = create();
    struct shared shared;
    double bounds[] = { 0.5 };
    pthread_t thread[4];
    cr_assert_eq(
        ash_metrics_counter(metrics, &(struct ash_metric_info){ "c", "" }, &shared.counter),
        ASH_OK);
    cr_assert_eq(
        ash_metrics_gauge(metrics, &(struct ash_metric_info){ "g", "" }, &shared.gauge), ASH_OK);
    cr_assert_eq(ash_metrics_histogram(
                     metrics, &(struct ash_metric_info){ "h", "" }, bounds, 1, &shared.histogram),
        ASH_OK);
    for (int i = 0; i < 4; i++)
        pthread_create(&thread[i], NULL, update, &shared);
    for (int i = 0; i < 4; i++)
        pthread_join(thread[i], NULL);
    cr_assert_eq(ash_counter_value(shared.counter), 40000u);
    cr_assert_eq(ash_gauge_value(shared.gauge), 40000.0);
    json_t *json = ash_metrics_json(metrics), *histogram = json_array_get(json, 2);
    cr_assert_eq(json_integer_value(json_object_get(histogram, "count")), 40000);
    cr_assert_eq(json_real_value(json_object_get(histogram, "sum")), 20000.0);
    json_decref(json);
    ash_metrics_destroy(metrics);
}

Test(metrics, registering_and_reading_survive_every_failed_allocation)
{
    ash_json_init();
    struct ash_metric_info info = { "h", "Help.", { { "a", "b" } } };
    double bounds[] = { 1 };
    for (int64_t nth = 0;; nth++) {
        struct ash_metrics *metrics = NULL;
        struct ash_histogram *histogram;
        json_t *json = NULL;
        ash_memory_fail_from(nth);
        if (ash_metrics_create(&metrics) == ASH_OK &&
            ash_metrics_histogram(metrics, &info, bounds, 1, &histogram) == ASH_OK)
            json = ash_metrics_json(metrics);
        ash_memory_fail_from(-1);
        bool done = json != NULL;
        json_decref(json);
        ash_metrics_destroy(metrics);
        if (done) {
            cr_assert_gt(nth, 10);
            break;
        }
    }
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Log, trace and metrics under threads, as a plain program: ThreadSanitizer and Criterion's runner do
 * not go together (runtime/README.md).
 */
#include "runtime/log.h"
#include "runtime/metrics.h"
#include "runtime/trace.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum { WORKERS = 4, ROUNDS = 5000 };

struct worker {
    pthread_t thread;
    struct ash_trace_lane *lane;
    struct ash_counter *counter;
    struct ash_gauge *gauge;
    struct ash_histogram *histogram;
};

static void must(bool good, const char *what)
{
    if (!good) {
        fprintf(stderr, "FAILED: %s: %s\n", what, ash_error());
        exit(1);
    }
}

static void *work(void *argument)
{
    struct worker *worker = argument;
    for (int i = 0; i < ROUNDS; i++) {
        int64_t start_ns = ash_now_ns();
        ash_counter_add(worker->counter, 1);
        ash_gauge_add(worker->gauge, i % 2 ? -1 : 1);
        ash_histogram_observe(worker->histogram, i % 3);
        if (i % 500 == 0)
            ash_log(ASH_LOG_INFO, "round %d", i);
        ash_trace_record(worker->lane, &(struct ash_trace_span){ .name = "round",
                                           .category = "test",
                                           .start_ns = start_ns,
                                           .duration_ns = ash_now_ns() - start_ns });
    }
    return NULL;
}

int main(void)
{
    struct ash_metrics *metrics;
    struct ash_trace *trace;
    struct worker worker[WORKERS] = { 0 }, shared = { 0 };
    double bounds[] = { 0.5, 1.5 };
    int device;
    FILE *nowhere = fopen("/dev/null", "w");
    must(nowhere, "/dev/null");
    ash_log_open(&(struct ash_log_options){
        .sink = nowhere, .level = ASH_LOG_DEBUG, .format = ASH_LOG_JSON });
    must(ash_metrics_create(&metrics) == ASH_OK, "metrics");
    must(ash_trace_create(ROUNDS / 2, &trace) == ASH_OK, "trace");
    must(ash_trace_add_device(trace, "cpu", &device) == ASH_OK, "device");
    must(ash_metrics_counter(metrics, &(struct ash_metric_info){ .name = "c" }, &shared.counter) ==
             ASH_OK,
        "counter");
    must(ash_metrics_gauge(metrics, &(struct ash_metric_info){ .name = "g" }, &shared.gauge) ==
             ASH_OK,
        "gauge");
    must(ash_metrics_histogram(metrics, &(struct ash_metric_info){ .name = "h" }, bounds, 2,
             &shared.histogram) == ASH_OK,
        "histogram");
    for (int i = 0; i < WORKERS; i++) {
        worker[i] = shared;
        char name[16];
        snprintf(name, sizeof name, "worker %d", (int)i);
        must(ash_trace_add_lane(trace, device, name, &worker[i].lane) == ASH_OK, "lane");
        must(pthread_create(&worker[i].thread, NULL, work, &worker[i]) == 0, "thread");
    }
    for (int i = 0; i < 20; i++)
        must(ash_metrics_write(metrics, nowhere) == ASH_OK, "reading while others write");
    for (int i = 0; i < WORKERS; i++)
        pthread_join(worker[i].thread, NULL);
    must(ash_counter_value(shared.counter) == WORKERS * ROUNDS, "the count");
    must(ash_gauge_value(shared.gauge) == 0, "the gauge");
    must(ash_trace_dropped(trace) == WORKERS * ROUNDS / 2, "the dropped spans");
    must(ash_trace_write(trace, nowhere) == ASH_OK, "the trace");
    ash_trace_destroy(trace);
    ash_metrics_destroy(metrics);
    fclose(nowhere);
    return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/clock_device.h"

#include "tests/support/double_device.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_EVENTS = 8192, MOST_SPANS = 16384 };

enum { STEPS, ARRIVALS, DEPARTURES, QUEUES };

struct span {
    double begin_s, end_s;
    int queue;
};

struct clock_time {
    double host_s; /* what the host has come to */
    struct span span[MOST_SPANS];
    int spans;
};

struct clock_device {
    struct ash_device base;
    struct clock_device_options options;
    struct clock_time *clock;
    double free_s[QUEUES];
    double done_s[MOST_EVENTS]; /* of event value v: [v - 1] */
    uint64_t queued;
};

static struct clock_device *of(const struct ash_device *device)
{
    return (struct clock_device *)(uintptr_t)device;
}

static double at_least(double a, double b)
{
    return a > b ? a : b;
}

/* ---- Time ---- */

static double done_at(struct ash_event event)
{
    return event.device ? of(event.device)->done_s[event.value - 1] : 0;
}

/* Work of `seconds` takes its place in a queue; the host goes through its own as it queues it. */
static void take_time(struct clock_device *self, int queue, double seconds,
    const struct ash_event *after, int after_count, struct ash_event *done)
{
    struct clock_time *clock = self->clock;
    double begin_s = clock->host_s;
    int line = self->options.copies_in_line ? STEPS : queue;
    assert(self->queued < MOST_EVENTS && clock->spans < MOST_SPANS);
    begin_s = at_least(begin_s, self->free_s[line]);
    for (int i = 0; i < after_count; i++)
        begin_s = at_least(begin_s, done_at(after[i]));
    self->free_s[line] = begin_s + seconds;
    if (self->options.host)
        clock->host_s = begin_s + seconds;
    clock->span[clock->spans++] = (struct span){ begin_s, begin_s + seconds, queue };
    self->done_s[self->queued++] = begin_s + seconds;
    *done = (struct ash_event){ &self->base, self->queued };
}

/* Whether steps, or copies, are under way. */
static bool is_at(const struct clock_time *clock, bool copies, double time_s)
{
    for (int i = 0; i < clock->spans; i++)
        if ((clock->span[i].queue != STEPS) == copies && clock->span[i].begin_s <= time_s &&
            time_s < clock->span[i].end_s)
            return true;
    return false;
}

static int by_time(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

struct clock_report clock_read(struct clock_time *clock)
{
    struct clock_report report = { 0 };
    int edges = 0;
    double *edge = malloc(2 * MOST_SPANS * sizeof *edge);
    assert(edge);
    for (int i = 0; i < clock->spans; i++) {
        edge[edges++] = clock->span[i].begin_s;
        edge[edges++] = clock->span[i].end_s;
    }
    qsort(edge, (size_t)edges, sizeof *edge, by_time);
    for (int i = 0; i + 1 < edges; i++) {
        double length_s = edge[i + 1] - edge[i], middle_s = edge[i] + length_s / 2;
        if (length_s > 0 && is_at(clock, true, middle_s)) {
            report.transfer_s += length_s;
            report.exposed_s += is_at(clock, false, middle_s) ? 0 : length_s;
        }
    }
    report.total_s = edges ? edge[edges - 1] - edge[0] : 0;
    clock->spans = 0;
    free(edge);
    return report;
}

/* ---- The driver ---- */

static enum ash_status clock_alloc(
    struct ash_device *device, size_t size_bytes, enum ash_memory_use use, struct ash_buffer **out)
{
    (void)use;
    *out = double_alloc(device, size_bytes, of(device)->options.host);
    return ASH_OK;
}

static enum ash_status clock_upload(struct ash_device *device, const struct ash_loaded *loaded,
    int input, const struct ash_tensor *weight, struct ash_place to)
{
    (void)device, (void)loaded, (void)input;
    memcpy(double_at(to), weight->data, ash_tensor_bytes(weight));
    return ASH_OK;
}

static enum ash_status clock_launch(struct ash_device *device, const struct ash_step *step,
    const struct ash_batch *batch, const struct ash_event *after, int after_count,
    struct ash_event *done)
{
    double rows = (double)double_run(step, batch);
    take_time(of(device), STEPS, of(device)->options.row_s * rows, after, after_count, done);
    return ASH_OK;
}

static enum ash_status clock_copy(struct ash_device *device, struct ash_place to,
    struct ash_place from, size_t size_bytes, const struct ash_event *after, int after_count,
    struct ash_event *done)
{
    struct clock_device *self = of(device);
    int queue = to.buffer->device == device ? ARRIVALS : DEPARTURES;
    memmove(double_at(to), double_at(from), size_bytes);
    take_time(
        self, queue, (double)size_bytes / self->options.bytes_per_s, after, after_count, done);
    return ASH_OK;
}

static enum ash_status clock_wait(struct ash_device *device, struct ash_event event)
{
    struct clock_time *clock = of(device)->clock;
    clock->host_s = at_least(clock->host_s, done_at(event));
    return ASH_OK;
}

static void clock_close(struct ash_device *device)
{
    free(device);
}

static const struct ash_driver clock_driver = {
    .name = "clock",
    .copies_to_peers = true,
    .close = clock_close,
    .alloc = clock_alloc,
    .free = double_free,
    .load = double_load,
    .unload = double_unload,
    .upload = clock_upload,
    .launch = clock_launch,
    .copy = clock_copy,
    .wait = clock_wait,
};

struct ash_device *clock_open(
    struct clock_time *clock, int index, const struct clock_device_options *options)
{
    struct clock_device *self = calloc(1, sizeof *self);
    assert(self);
    self->base = (struct ash_device){ .driver = &clock_driver,
        .info = { .driver = &clock_driver,
            .index = index,
            .memory_bytes = (uint64_t)1 << 30,
            .numa_node = -1,
            .host_memory = options->host,
            .usable = true } };
    snprintf(self->base.info.name, sizeof self->base.info.name, "Clock");
    self->options = *options;
    self->clock = clock;
    return &self->base;
}

struct clock_time *clock_create(void)
{
    struct clock_time *clock = calloc(1, sizeof *clock);
    assert(clock);
    return clock;
}

void clock_destroy(struct clock_time *clock)
{
    free(clock);
}

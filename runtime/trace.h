/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "runtime/status.h"

#include <stdint.h>
#include <stdio.h>
#include <time.h>

/*
 * What ran when and where: spans of time, written as Chrome trace JSON (ui.perfetto.dev opens it).
 *
 * Devices are the picture's groups and lanes its rows. A lane belongs to one thread (or to one device
 * queue that one thread speaks for) and is a ring made beforehand: recording is a copy of one struct,
 * with no lock and no allocation. A full ring forgets its oldest spans, so that a trace of a long run
 * shows its end, and counts what it forgot.
 *
 * Tracing off is a NULL lane, one branch: `if (lane) ash_trace_record(lane, &span)`.
 *
 * Threads: ash_trace_add_*() and ash_trace_write() by one thread while no lane is recording;
 * ash_trace_record() by one thread a lane, lanes independently of each other.
 */
struct ash_trace;
struct ash_trace_lane;

enum { ASH_TRACE_MAX_ARGS = 4 };

/* A key with a text, or with a number where `text` is NULL. */
struct ash_trace_arg {
    const char *key; /* NULL ends the list early */
    const char *text;
    int64_t number;
};

/* All texts are borrowed until the trace has been written. Zero-initialise what is not used. */
struct ash_trace_span {
    const char *name;     /* "blk.3.ffn_down" */
    const char *category; /* "step", "copy", "request": what one filters by */
    int64_t start_ns;     /* of ash_now_ns() */
    int64_t duration_ns;
    struct ash_trace_arg arg[ASH_TRACE_MAX_ARGS];
};

/* CLOCK_MONOTONIC. */
static inline int64_t ash_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/*
 * Starts a trace; times in the file count from here. Each lane will hold `spans_per_lane` (at least 1)
 * of about 128 bytes each. The caller owns *out.
 */
enum ash_status ash_trace_create(size_t spans_per_lane, struct ash_trace **out);
void ash_trace_destroy(struct ash_trace *trace); /* takes NULL; lanes go with it */

/*
 * The number of the group of lanes of this name, made if there is none: several plans of a device share one.
 * `name` is copied. ASH_ERR_NO_MEMORY: nothing changed.
 */
enum ash_status ash_trace_add_device(struct ash_trace *trace, const char *name, int *out);

/* The lane of this name of `device`, likewise; it lives as long as the trace. */
enum ash_status ash_trace_add_lane(
    struct ash_trace *trace, int device, const char *name, struct ash_trace_lane **out);

/* Never fails; `lane` is not NULL. */
void ash_trace_record(struct ash_trace_lane *lane, const struct ash_trace_span *span);

/* Spans that full rings have forgotten so far. */
uint64_t ash_trace_dropped(const struct ash_trace *trace);

/* Writes the whole trace, oldest span of each lane first. ASH_ERR_IO with errno's text. */
enum ash_status ash_trace_write(const struct ash_trace *trace, FILE *out);

/* The same into a new file; what was there is replaced. */
enum ash_status ash_trace_save(const struct ash_trace *trace, const char *path);

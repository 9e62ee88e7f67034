/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * How far something long has come, on standard error: a bar with rate and remaining time on a terminal,
 * a plain line now and then elsewhere, nothing where silence is wanted.
 *
 * Threads: one.
 */
struct ash_progress {
    const char *label; /* borrowed */
    uint64_t total;    /* bytes; 0 = unknown */
    uint64_t begun;    /* bytes that were there before: of a resumed download */
    uint64_t done;
    int64_t start_ns, shown_ns; /* shown_ns: when the last line was written */
    enum { ASH_PROGRESS_SILENT, ASH_PROGRESS_LINES, ASH_PROGRESS_BAR } mode;
};

/* Starts at `done_bytes` of `total_bytes`. `silent`: --quiet, --json. */
void ash_progress_start(struct ash_progress *progress, const char *label, uint64_t total_bytes,
    uint64_t done_bytes, bool silent);

/* Cheap: writes at most ten times a second (a bar) or once in ten seconds (lines). */
void ash_progress_update(struct ash_progress *progress, uint64_t done_bytes);

/* The last state, and the end of the bar's line. */
void ash_progress_finish(struct ash_progress *progress);

/*
 * The line at `now_ns`, at most `columns` wide (a bar only where there is room), without its end;
 * cut to `capacity`, returns `out`. For tests.
 */
char *ash_progress_line(
    const struct ash_progress *progress, int64_t now_ns, int columns, char *out, size_t capacity);

/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/ashlar/progress.h"
#include "runtime/trace.h"
#include "tools/ashlar/show.h"

#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static const int64_t second_ns = 1000000000;

enum { LEAST_BAR = 10, MOST_BAR = 40, LINE_BYTES = 512 };

static int terminal_columns(void)
{
    struct winsize size;
    return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

/* "42%  39.4 MiB of 93.8 MiB  12.3 MiB/s  0:04 left", as far as it is known. */
static void describe(
    const struct ash_progress *progress, int64_t now_ns, char *out, size_t capacity)
{
    char done[ASH_SHOW_BYTES], total[ASH_SHOW_BYTES], rate[ASH_SHOW_BYTES], left[ASH_SHOW_BYTES];
    double seconds = (double)(now_ns - progress->start_ns) / (double)second_ns;
    uint64_t fresh = progress->done > progress->begun ? progress->done - progress->begun : 0;
    double bytes_per_second = seconds > 0 ? (double)fresh / seconds : 0;
    ash_show_bytes(progress->done, done);
    ash_show_bytes((uint64_t)bytes_per_second, rate);
    if (progress->total == 0) {
        snprintf(out, capacity, "%s  %s/s", done, rate);
        return;
    }
    double part = (double)progress->done / (double)progress->total;
    double remaining = bytes_per_second > 0
                           ? ((double)progress->total - (double)progress->done) / bytes_per_second
                           : -1;
    snprintf(out, capacity, "%3d%%  %s of %s  %s/s  %s left", (int)(100 * (part < 1 ? part : 1)),
        done, ash_show_bytes(progress->total, total), rate, ash_show_seconds(remaining, left));
}

char *ash_progress_line(
    const struct ash_progress *progress, int64_t now_ns, int columns, char *out, size_t capacity)
{
    char facts[160], bar[MOST_BAR + 1] = "";
    describe(progress, now_ns, facts, sizeof facts);
    int room = columns - ash_show_width(progress->label) - (int)strlen(facts) - 6;
    room = room > MOST_BAR ? MOST_BAR : room;
    if (progress->mode != ASH_PROGRESS_BAR || progress->total == 0 || room < LEAST_BAR) {
        snprintf(out, capacity, "%s  %s", progress->label, facts);
        return out;
    }
    double part = (double)progress->done / (double)progress->total;
    int full = (int)(room * (part < 1 ? part : 1));
    memset(bar, '-', (size_t)room);
    memset(bar, '#', (size_t)full);
    snprintf(out, capacity, "%s  [%s]  %s", progress->label, bar, facts);
    return out;
}

static void show(struct ash_progress *progress, int64_t now_ns)
{
    char line[LINE_BYTES];
    bool bar = progress->mode == ASH_PROGRESS_BAR;
    ash_progress_line(progress, now_ns, bar ? terminal_columns() - 1 : 80, line, sizeof line);
    fprintf(stderr, bar ? "\r%s\033[K" : "%s\n", line);
    fflush(stderr);
    progress->shown_ns = now_ns;
}

void ash_progress_start(struct ash_progress *progress, const char *label, uint64_t total_bytes,
    uint64_t done_bytes, bool silent)
{
    *progress = (struct ash_progress){ .label = label,
        .total = total_bytes,
        .begun = done_bytes,
        .done = done_bytes,
        .start_ns = ash_now_ns(),
        .mode = silent                  ? ASH_PROGRESS_SILENT
                : isatty(STDERR_FILENO) ? ASH_PROGRESS_BAR
                                        : ASH_PROGRESS_LINES };
    progress->shown_ns = progress->start_ns;
}

void ash_progress_update(struct ash_progress *progress, uint64_t done_bytes)
{
    progress->done = done_bytes;
    if (progress->mode == ASH_PROGRESS_SILENT)
        return;
    int64_t now_ns = ash_now_ns();
    int64_t pause_ns = progress->mode == ASH_PROGRESS_BAR ? second_ns / 10 : 10 * second_ns;
    if (now_ns - progress->shown_ns >= pause_ns)
        show(progress, now_ns);
}

void ash_progress_finish(struct ash_progress *progress)
{
    if (progress->mode == ASH_PROGRESS_SILENT)
        return;
    show(progress, ash_now_ns());
    if (progress->mode == ASH_PROGRESS_BAR)
        fputc('\n', stderr);
    progress->mode = ASH_PROGRESS_SILENT;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/trace.h"
#include "runtime/json.h"
#include "runtime/memory.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

enum { NAME_BYTES = 64, QUOTED_BYTES = 512 };

struct ash_trace_lane {
    char name[NAME_BYTES];
    int device;
    uint64_t written; /* spans ever recorded; the ring holds the last `capacity` of them */
    size_t capacity;
    struct ash_trace_span span[];
};

struct device {
    char name[NAME_BYTES];
};

struct ash_trace {
    int64_t start_ns;
    size_t spans_per_lane;
    struct device *device;
    size_t device_count, device_capacity;
    struct ash_trace_lane *
        *lane; /* behind pointers: lanes stay where they are when the list grows */
    size_t lane_count, lane_capacity;
};

enum ash_status ash_trace_create(size_t spans_per_lane, struct ash_trace **out)
{
    if (spans_per_lane < 1)
        return ash_fail(ASH_ERR_ARGUMENT, "a trace's lanes hold at least one span");
    struct ash_trace *trace = ash_alloc_zero(sizeof *trace);
    if (!trace)
        return ash_fail_memory(sizeof *trace, "a trace");
    trace->start_ns = ash_now_ns();
    trace->spans_per_lane = spans_per_lane;
    *out = trace;
    return ASH_OK;
}

void ash_trace_destroy(struct ash_trace *trace)
{
    if (!trace)
        return;
    for (size_t i = 0; i < trace->lane_count; i++)
        ash_free(trace->lane[i]);
    ash_free(trace->lane);
    ash_free(trace->device);
    ash_free(trace);
}

enum ash_status ash_trace_add_device(struct ash_trace *trace, const char *name, int *out)
{
    ASH_TRY(ASH_GROW(trace->device, trace->device_capacity, trace->device_count));
    struct device *device = &trace->device[trace->device_count];
    snprintf(device->name, sizeof device->name, "%s", name);
    for (size_t i = 0; i < trace->device_count; i++)
        if (strcmp(trace->device[i].name, device->name) == 0) {
            *out = (int)i;
            return ASH_OK;
        }
    *out = (int)trace->device_count++;
    return ASH_OK;
}

static struct ash_trace_lane *new_lane(size_t capacity)
{
    struct ash_trace_lane *lane;
    size_t size_bytes;
    if (__builtin_mul_overflow(capacity, sizeof *lane->span, &size_bytes) ||
        __builtin_add_overflow(size_bytes, sizeof *lane, &size_bytes))
        return NULL;
    lane = ash_alloc(size_bytes);
    if (lane)
        memset(lane, 0, size_bytes); /* touched here: recording takes no page fault */
    return lane;
}

enum ash_status ash_trace_add_lane(
    struct ash_trace *trace, int device, const char *name, struct ash_trace_lane **out)
{
    assert(device >= 0 && (size_t)device < trace->device_count);
    for (size_t i = 0; i < trace->lane_count; i++)
        if (trace->lane[i]->device == device &&
            strncmp(trace->lane[i]->name, name, NAME_BYTES - 1) == 0) {
            *out = trace->lane[i];
            return ASH_OK;
        }
    ASH_TRY(ASH_GROW(trace->lane, trace->lane_capacity, trace->lane_count));
    struct ash_trace_lane *lane = new_lane(trace->spans_per_lane);
    if (!lane)
        return ash_fail_memory(
            trace->spans_per_lane * sizeof(struct ash_trace_span), "a lane of the trace");
    lane->device = device;
    lane->capacity = trace->spans_per_lane;
    snprintf(lane->name, sizeof lane->name, "%s", name);
    trace->lane[trace->lane_count++] = lane;
    *out = lane;
    return ASH_OK;
}

void ash_trace_record(struct ash_trace_lane *lane, const struct ash_trace_span *span)
{
    lane->span[lane->written % lane->capacity] = *span;
    lane->written++;
}

static uint64_t held_by(const struct ash_trace_lane *lane)
{
    return lane->written < lane->capacity ? lane->written : lane->capacity;
}

uint64_t ash_trace_dropped(const struct ash_trace *trace)
{
    uint64_t dropped = 0;
    for (size_t i = 0; i < trace->lane_count; i++)
        dropped += trace->lane[i]->written - held_by(trace->lane[i]);
    return dropped;
}

/* A JSON string; NULL is "". */
static void write_text(const char *text, FILE *out)
{
    char quoted[QUOTED_BYTES];
    text = text ? text : "";
    fputs(ash_json_quote(text, strlen(text), quoted, sizeof quoted), out);
}

/* Tells the viewer what a process (device) or thread (lane) number is called. */
static void write_name(const char *event, size_t device, size_t lane, const char *name, FILE *out)
{
    fprintf(out, "{\"ph\":\"M\",\"name\":\"%s\",\"pid\":%zu,\"tid\":%zu,\"args\":{\"name\":", event,
        device, lane);
    write_text(name, out);
    fputs("}},\n", out);
}

static void write_arguments(const struct ash_trace_arg *arg, FILE *out)
{
    for (int i = 0; i < ASH_TRACE_MAX_ARGS && arg[i].key; i++) {
        fputs(i ? "," : "", out);
        write_text(arg[i].key, out);
        fputc(':', out);
        if (arg[i].text)
            write_text(arg[i].text, out);
        else
            fprintf(out, "%lld", (long long)arg[i].number);
    }
}

/* Nanoseconds as the format's microseconds, exactly. */
static void write_time(const char *key, int64_t ns, FILE *out)
{
    const char *sign = ns < 0 ? "-" : "";
    uint64_t size = ns < 0 ? 0 - (uint64_t)ns : (uint64_t)ns;
    fprintf(out, ",\"%s\":%s%llu.%03llu", key, sign, (unsigned long long)(size / 1000),
        (unsigned long long)(size % 1000));
}

static void write_span(
    const struct ash_trace *trace, size_t lane, const struct ash_trace_span *span, FILE *out)
{
    fputs("{\"ph\":\"X\",\"name\":", out);
    write_text(span->name, out);
    fputs(",\"cat\":", out);
    write_text(span->category, out);
    fprintf(out, ",\"pid\":%d,\"tid\":%zu", trace->lane[lane]->device, lane);
    write_time("ts", span->start_ns - trace->start_ns, out);
    write_time("dur", span->duration_ns, out);
    fputs(",\"args\":{", out);
    write_arguments(span->arg, out);
    fputs("}},\n", out);
}

static void write_lane(const struct ash_trace *trace, size_t index, FILE *out)
{
    const struct ash_trace_lane *lane = trace->lane[index];
    write_name("thread_name", (size_t)lane->device, index, lane->name, out);
    for (uint64_t i = lane->written - held_by(lane); i < lane->written; i++)
        write_span(trace, index, &lane->span[i % lane->capacity], out);
}

enum ash_status ash_trace_write(const struct ash_trace *trace, FILE *out)
{
    errno = 0;
    fputs("{\"displayTimeUnit\":\"ns\",\"traceEvents\":[\n", out);
    for (size_t i = 0; i < trace->device_count; i++)
        write_name("process_name", i, 0, trace->device[i].name, out);
    for (size_t i = 0; i < trace->lane_count; i++)
        write_lane(trace, i, out);
    /* The last event has no comma behind it: a marker of where recording ended. */
    fputs("{\"ph\":\"i\",\"name\":\"end of trace\",\"s\":\"g\",\"pid\":0,\"tid\":0", out);
    write_time("ts", ash_now_ns() - trace->start_ns, out);
    fprintf(out, "}\n],\"otherData\":{\"dropped_spans\":%llu}}\n",
        (unsigned long long)ash_trace_dropped(trace));
    if (fflush(out) != 0 || ferror(out))
        return ash_fail(ASH_ERR_IO, "cannot write the trace: %s", strerror(errno));
    return ASH_OK;
}

enum ash_status ash_trace_save(const struct ash_trace *trace, const char *path)
{
    FILE *out = fopen(path, "we");
    if (!out)
        return ash_fail(ASH_ERR_IO, "cannot create trace %s: %s", path, strerror(errno));
    enum ash_status status = ash_trace_write(trace, out);
    if (fclose(out) != 0 && status == ASH_OK)
        status = ash_fail(ASH_ERR_IO, "cannot write the trace: %s", strerror(errno));
    return ash_fail_in(status, "%s", path);
}

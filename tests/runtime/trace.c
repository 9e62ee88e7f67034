/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/trace.h"
#include "runtime/memory.h"

#include <criterion/criterion.h>
#include <jansson.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static json_t *written(const struct ash_trace *trace)
{
    char *text;
    size_t length;
    FILE *out = open_memstream(&text, &length);
    cr_assert_eq(ash_trace_write(trace, out), ASH_OK, "%s", ash_error());
    fclose(out);
    json_error_t error;
    json_t *root = json_loads(text, 0, &error);
    cr_assert_not_null(root, "%s\n%s", error.text, text);
    free(text);
    return root;
}

/* The nth complete span of the file. */
static json_t *span_at(json_t *root, size_t nth)
{
    size_t index;
    json_t *event;
    json_array_foreach(json_object_get(root, "traceEvents"), index, event)
    {
        if (strcmp(json_string_value(json_object_get(event, "ph")), "X") == 0 && nth-- == 0)
            return event;
    }
    return NULL;
}

static struct ash_trace *one_lane(size_t spans, struct ash_trace_lane **lane)
{
    struct ash_trace *trace;
    int device;
    cr_assert_eq(ash_trace_create(spans, &trace), ASH_OK);
    cr_assert_eq(ash_trace_add_device(trace, "cpu \"0\"", &device), ASH_OK);
    cr_assert_eq(ash_trace_add_lane(trace, device, "worker\n0", lane), ASH_OK);
    return trace;
}

Test(trace, a_span_is_written_with_all_that_was_recorded)
{
    struct ash_trace_lane *lane;
    struct ash_trace *trace = one_lane(8, &lane);
    int64_t now = ash_now_ns();
    ash_trace_record(
        lane, &(struct ash_trace_span){ .name = "blk.0.\"q\"",
                  .category = "step",
                  .start_ns = now,
                  .duration_ns = 1234567,
                  .arg = { { "shape", "(1, 576)", 0 }, { "bytes", NULL, INT64_MIN } } });
    json_t *root = written(trace), *span = span_at(root, 0), *args = json_object_get(span, "args");
    cr_assert_str_eq(json_string_value(json_object_get(span, "name")), "blk.0.\"q\"");
    cr_assert_str_eq(json_string_value(json_object_get(span, "cat")), "step");
    cr_assert_float_eq(json_number_value(json_object_get(span, "dur")), 1234.567, 1e-9);
    cr_assert_geq(json_number_value(json_object_get(span, "ts")), 0);
    cr_assert_str_eq(json_string_value(json_object_get(args, "shape")), "(1, 576)");
    cr_assert_eq(json_integer_value(json_object_get(args, "bytes")), INT64_MIN);
    json_decref(root);
    ash_trace_destroy(trace);
}

Test(trace, a_span_without_anything_is_still_json)
{
    struct ash_trace_lane *lane;
    struct ash_trace *trace = one_lane(8, &lane);
    ash_trace_record(lane, &(struct ash_trace_span){ .name = "\xff\n", .start_ns = INT64_MIN / 2 });
    json_t *root = written(trace);
    cr_assert_lt(json_number_value(json_object_get(span_at(root, 0), "ts")), 0);
    json_decref(root);
    ash_trace_destroy(trace);
}

Test(trace, a_full_ring_keeps_the_newest_and_counts_the_rest)
{
    struct ash_trace_lane *lane;
    struct ash_trace *trace = one_lane(3, &lane);
    for (int64_t i = 0; i < 10; i++)
        ash_trace_record(
            lane, &(struct ash_trace_span){ .name = "s", .arg = { { "i", NULL, i } } });
    cr_assert_eq(ash_trace_dropped(trace), 7u);
    json_t *root = written(trace);
    for (size_t i = 0; i < 3; i++) {
        json_t *args = json_object_get(span_at(root, i), "args");
        cr_assert_eq(json_integer_value(json_object_get(args, "i")), (json_int_t)(7 + i));
    }
    cr_assert_null(span_at(root, 3));
    json_t *dropped = json_object_get(json_object_get(root, "otherData"), "dropped_spans");
    cr_assert_eq(json_integer_value(dropped), 7);
    json_decref(root);
    ash_trace_destroy(trace);
}

enum { SPANS = 10000 };

static void *record_many(void *lane)
{
    for (int64_t i = 0; i < SPANS; i++)
        ash_trace_record(lane, &(struct ash_trace_span){ .name = "s", .start_ns = ash_now_ns() });
    return NULL;
}

Test(trace, threads_record_into_their_lanes_without_an_allocation)
{
    struct ash_trace *trace;
    struct ash_trace_lane *lane[4];
    int device;
    pthread_t thread[4];
    cr_assert_eq(ash_trace_create(SPANS / 2, &trace), ASH_OK);
    cr_assert_eq(ash_trace_add_device(trace, "cpu", &device), ASH_OK);
    for (int i = 0; i < 4; i++) {
        const char name[] = { (char)('0' + i), '\0' };
        cr_assert_eq(ash_trace_add_lane(trace, device, name, &lane[i]), ASH_OK);
    }
    ash_memory_fail_from(INT64_MAX - 1);
    for (int i = 0; i < 4; i++)
        pthread_create(&thread[i], NULL, record_many, lane[i]);
    for (int i = 0; i < 4; i++)
        pthread_join(thread[i], NULL);
    cr_assert_eq(ash_memory_fail_from(-1), 0, "recording allocated");
    cr_assert_eq(ash_trace_dropped(trace), 4u * SPANS / 2);
    json_t *root = written(trace);
    cr_assert_not_null(span_at(root, 4 * SPANS / 2 - 1));
    json_decref(root);
    ash_trace_destroy(trace);
}

Test(trace, setting_up_survives_every_failed_allocation)
{
    for (int64_t nth = 0;; nth++) {
        struct ash_trace *trace = NULL;
        struct ash_trace_lane *lane;
        int device;
        ash_memory_fail_from(nth);
        enum ash_status status = ash_trace_create(16, &trace);
        if (status == ASH_OK)
            status = ash_trace_add_device(trace, "d", &device);
        if (status == ASH_OK)
            status = ash_trace_add_lane(trace, device, "l", &lane);
        ash_memory_fail_from(-1);
        ash_trace_destroy(trace);
        if (status == ASH_OK) {
            cr_assert_gt(nth, 2);
            break;
        }
        cr_assert_eq(status, ASH_ERR_NO_MEMORY);
    }
}

Test(trace, impossible_sizes_and_files_are_refused)
{
    struct ash_trace *trace;
    struct ash_trace_lane *lane;
    int device;
    cr_assert_eq(ash_trace_create(0, &trace), ASH_ERR_ARGUMENT);
    cr_assert_eq(ash_trace_create(SIZE_MAX / 4, &trace), ASH_OK);
    cr_assert_eq(ash_trace_add_device(trace, "d", &device), ASH_OK);
    cr_assert_eq(ash_trace_add_lane(trace, device, "l", &lane), ASH_ERR_NO_MEMORY);
    cr_assert_eq(ash_trace_save(trace, "/nowhere/t.json"), ASH_ERR_IO);
    cr_assert_eq(ash_trace_save(trace, "/dev/full"), ASH_ERR_IO);
    cr_assert(strstr(ash_error(), "No space left"), "%s", ash_error());
    ash_trace_destroy(trace);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "scheduler/draw.h"

#include "runtime/memory.h"
#include "runtime/trace.h"
#include "tests/scheduler/rig.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct ash_device *device;
static struct ash_graph *graph;
static struct ash_plan *plan;
static struct ash_plan_view view;

/* Two chains that meet, and a name that no format takes as it is. */
static void set_up(void)
{
    device = rig_open("cpu", 2);
    graph = rig_graph();
    ash_value x = rig_source(graph, "x"), state = rig_state(graph);
    ash_value y = rig_add(graph, "<a&\"\\\n>", &tiny_reverse, x, -1, -1);
    rig_add(graph, "write", &tiny_write, y, state, -1);
    ash_value sum = rig_add(graph, "sum", &tiny_sum, state, x, -1);
    ash_graph_mark_output(graph, rig_add(graph, "last", &tiny_add, sum, y, -1));
    plan = rig_plan(graph, device, NULL);
    view = (struct ash_plan_view){
        .plan = plan, .title = "A <model>", .bytes_per_s = 1e10, .flops_per_s = 1e11
    };
}

static void tear_down(void)
{
    ash_plan_destroy(plan);
    ash_graph_destroy(graph);
    device->driver->close(device);
}

static char *text_of(enum ash_status (*print)(const struct ash_plan_view *, FILE *))
{
    char *text = NULL;
    size_t length;
    FILE *out = open_memstream(&text, &length);
    cr_assert_eq(print(&view, out), ASH_OK, "%s", ash_error());
    fclose(out);
    return text;
}

static int count_of(const char *text, const char *word)
{
    int count = 0;
    for (; (text = strstr(text, word)); text++)
        count++;
    return count;
}

Test(draw, text_has_a_line_for_every_step, .init = set_up, .fini = tear_down)
{
    char *text = text_of(ash_plan_print_text);
    static const char *const words[] = { "A <model>", "5 operators -> 5 steps in 5 phases",
        "tiny_sum", "<a&\"\\\\x0a>", "no less than" };
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        cr_assert(strstr(text, words[i]), "no \"%s\" in\n%s", words[i], text);
    free(text);
}

Test(draw, dot_has_a_node_for_every_step_and_an_edge_for_every_use, .init = set_up,
    .fini = tear_down)
{
    char *text = text_of(ash_plan_print_dot);
    cr_assert_eq(count_of(text, "fillcolor=\"#"), 5);
    cr_assert_eq(count_of(text, " -> "), 7, "%s", text); /* 5 of results, 2 of the state */
    cr_assert_eq(count_of(text, "{"), count_of(text, "}"));
    cr_assert(strstr(text, "<a&\\\"\\\\\\\\x0a>"), "%s", text);
    free(text);
}

Test(draw, svg_has_a_box_for_every_result, .init = set_up, .fini = tear_down)
{
    char *text = text_of(ash_plan_print_svg);
    cr_assert_eq(count_of(text, "<g><title>"), 4, "%s", text);
    cr_assert(strstr(text, "A &lt;model&gt;") && !strstr(text, "<model>"));
    cr_assert_null(strstr(text, "nan"));
    free(text);
}

Test(draw, json_carries_the_same, .init = set_up, .fini = tear_down)
{
    json_t *json = ash_plan_json(&view);
    cr_assert_not_null(json);
    cr_assert_eq(json_array_size(json_object_get(json, "steps")), 5u);
    cr_assert_str_eq(json_string_value(json_object_get(json, "title")), "A <model>");
    const json_t *step = json_array_get(json_object_get(json, "steps"), 0);
    cr_assert_str_eq(json_string_value(json_object_get(step, "name")), "x");
    cr_assert_str_eq(json_string_value(json_object_get(step, "device")), "cpu:0");
    json_decref(json);
}

Test(draw, the_prediction_is_the_sum_of_what_bounds_each_step, .init = set_up, .fini = tear_down)
{
    double expect_s = 0;
    for (int32_t i = 0; i < 5; i++) {
        struct ash_plan_step step;
        cr_assert_eq(ash_plan_step_at(plan, i, NULL, &step), ASH_OK);
        double memory_s = (step.cost.bytes_read + step.cost.bytes_written) / 1e10;
        double compute_s = step.cost.flops / 1e11;
        expect_s += memory_s > compute_s ? memory_s : compute_s;
    }
    cr_assert_gt(expect_s, 0);
    cr_assert_float_eq(ash_plan_predict_s(&view), expect_s, 1e-15);
    view.flops_per_s = 0;
    cr_assert_eq(ash_plan_predict_s(&view), 0.0);
}

Test(draw, a_full_disk_is_an_error, .init = set_up, .fini = tear_down)
{
    enum ash_status (*const prints[])(const struct ash_plan_view *, FILE *) = { ash_plan_print_text,
        ash_plan_print_dot, ash_plan_print_svg };
    for (size_t i = 0; i < 3; i++) {
        FILE *full = fopen("/dev/full", "w");
        if (!full)
            cr_skip_test("no /dev/full here");
        cr_assert_eq(prints[i](&view, full), ASH_ERR_IO);
        cr_assert(strstr(ash_error(), "space"), "%s", ash_error());
        fclose(full);
    }
}

/* ---- Traces of a replay ---- */

static void check_trace(const char *name)
{
    struct ash_device *traced = rig_open(name, 2);
    struct ash_trace *trace;
    cr_assert_eq(ash_trace_create(1000, &trace), ASH_OK);
    struct ash_plan *tracing =
        rig_plan(graph, traced, &(struct ash_plan_options){ .trace = trace });
    struct tiny_batch batch;
    tiny_batch_init(&batch, 5, 1);
    ash_memory_fail_from(0); /* tracing allocates no more than not tracing */
    enum ash_status status = ash_plan_run(tracing, &batch.batch);
    cr_assert_eq(ash_memory_fail_from(-1), 0);
    cr_assert_eq(status, ASH_OK);

    char *text = NULL;
    size_t length;
    FILE *out = open_memstream(&text, &length);
    cr_assert_eq(ash_trace_write(trace, out), ASH_OK);
    fclose(out);
    json_t *json = json_loads(text, 0, NULL);
    cr_assert_not_null(json, "%s", text);
    cr_assert_geq(count_of(text, "\"tiny_"), 5, "a span a step on %s: %s", name, text);
    cr_assert(strstr(text, name) && strstr(text, "\"last\""));
    json_decref(json);
    free(text);
    ash_plan_destroy(tracing);
    ash_trace_destroy(trace);
    traced->driver->close(traced);
}

Test(trace, every_step_of_a_replay_leaves_a_span, .init = set_up, .fini = tear_down)
{
    check_trace("cpu");
    check_trace("null");
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Plans: in which type activations are made, and where weights come to lie. */
#include "tests/scheduler/rig.h"

#include <criterion/criterion.h>
#include <string.h>

enum { NONE = ASH_NO_VALUE };

/* ---- Activations ---- */

/* x -> maker -> y; two readers of y that want A8, and `also` another that wants it as it is. */
static struct ash_plan *plan_activations(struct ash_device *device, const struct ash_op *maker,
    bool also, const struct ash_plan_options *options, struct ash_graph **out_graph)
{
    struct ash_graph *graph = *out_graph = rig_graph();
    ash_value x = rig_source(graph, "x");
    ash_value gain = maker->inputs == 2 ? rig_weight(graph, 0, 1) : NONE;
    ash_value y = rig_add(graph, "y", maker, x, gain, NONE), w = rig_weight(graph, 32, 2);
    ash_value a = rig_add(graph, "a", &tiny_mix_a8, y, w, NONE);
    ash_value b = rig_add(graph, "b", &tiny_mix_a8, y, w, NONE);
    ash_value sum = rig_add(graph, "sum", &tiny_add, a, b, NONE);
    if (also)
        sum = rig_add(graph, "also", &tiny_add, sum, y, NONE);
    ash_graph_mark_output(graph, sum);
    return rig_plan(graph, device, options);
}

Test(activations, a_value_is_made_in_the_type_that_all_want_or_converted_once)
{
    static const struct {
        const char *what;
        const struct ash_op *maker;
        bool also, no_fusion;
        enum ash_type made;
        int conversions;
    } cases[] = {
        { "its maker can write A8", &tiny_scale, false, false, ASH_A8, 0 },
        { "its maker cannot", &tiny_reverse, false, false, ASH_F32, 1 },
        { "one reader wants it as it is", &tiny_scale, true, false, ASH_F32, 1 },
        { "fusion is off", &tiny_scale, false, true, ASH_F32, 1 },
    };
    struct ash_device *device = rig_open("cpu", 2);
    float expect[RIG_TOKENS * RIG_COLUMNS], found[RIG_TOKENS * RIG_COLUMNS];
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct ash_plan_options options = { .no_fusion = cases[i].no_fusion };
        struct ash_graph *graph;
        struct ash_plan *plan =
            plan_activations(device, cases[i].maker, cases[i].also, &options, &graph);
        struct ash_plan_step step;
        cr_assert_geq(rig_step(plan, "y", &step), 0);
        cr_assert_eq(step.step->args.out.type, cases[i].made, "%s", cases[i].what);
        cr_assert_geq(rig_step(plan, "b", &step), 0);
        cr_assert_eq(step.step->args.in[0].type, ASH_A8, "%s", cases[i].what);
        cr_assert_eq(rig_summary(plan).steps, ash_graph_nodes(graph) + cases[i].conversions, "%s",
            cases[i].what);
        rig_read(plan, ash_graph_values(graph) - 1, RIG_TOKENS, found);
        if (i == 0)
            memcpy(expect, found, sizeof found);
        if (cases[i].maker == &tiny_scale && !cases[i].also)
            cr_assert_arr_eq(found, expect, sizeof expect, "%s", cases[i].what);
        ash_plan_destroy(plan);
        ash_graph_destroy(graph);
    }
    device->driver->close(device);
}

/* ---- Weights ---- */

struct watch {
    uint64_t done, total;
    int calls, released, stop_at;
};

static bool on_progress(void *context, uint64_t done_bytes, uint64_t total_bytes)
{
    struct watch *watch = context;
    cr_assert(done_bytes >= watch->done && done_bytes <= total_bytes);
    watch->done = done_bytes;
    watch->total = total_bytes;
    return ++watch->calls != watch->stop_at;
}

static void on_release(void *context, const struct ash_tensor *weight)
{
    cr_assert_not_null(weight->data);
    ((struct watch *)context)->released++;
}

Test(weights, a_plain_one_is_used_where_it_lies)
{
    struct ash_device *device = rig_open("null", 1);
    struct ash_graph *graph = rig_graph();
    ash_value x = rig_source(graph, "x");
    ash_value gain = rig_weight(graph, 0, 1);
    x = rig_add(graph, "one", &tiny_scale, x, gain, NONE);
    x = rig_add(graph, "two", &tiny_scale, x, gain, NONE);
    ash_graph_mark_output(graph, x);
    struct watch watch = { 0 };
    struct ash_plan *plan = rig_plan(graph, device,
        &(struct ash_plan_options){
            .progress = on_progress, .release = on_release, .context = &watch });
    cr_assert_eq(rig_summary(plan).weight_bytes, 0);
    cr_assert_eq(rig_summary(plan).mapped_bytes, RIG_COLUMNS * sizeof(float), "counted once");
    cr_assert_eq(watch.released, 0);
    ash_plan_destroy(plan);
    ash_graph_destroy(graph);
    device->driver->close(device);
}

/* Two steps that want w packed alike, one of another kind, and one that wants it plain. */
static struct ash_graph *graph_of_uses(void)
{
    struct ash_graph *graph = rig_graph();
    ash_value x = rig_source(graph, "x"), w = rig_weight(graph, RIG_COLUMNS, 1);
    ash_value v = rig_weight(graph, 16, 2);
    x = rig_add(graph, "one", &tiny_mix, x, w, NONE);
    x = rig_add(graph, "two", &tiny_mix, x, w, NONE);
    ash_graph_mark_output(graph, rig_add(graph, "other", &tiny_mix, x, v, NONE));
    ash_graph_mark_output(graph, rig_add(graph, "plain", &tiny_mix_a8, x, w, NONE));
    return graph;
}

Test(weights, one_is_packed_once_for_all_that_want_it_alike)
{
    struct ash_device *device = rig_open("cpu", 2);
    struct ash_graph *graph = graph_of_uses();
    struct watch watch = { 0 };
    struct ash_plan *plan = rig_plan(graph, device,
        &(struct ash_plan_options){
            .progress = on_progress, .release = on_release, .context = &watch });
    size_t row = RIG_COLUMNS * sizeof(float);
    cr_assert_eq(rig_summary(plan).weight_bytes, (RIG_COLUMNS + 16) * row);
    cr_assert_eq(rig_summary(plan).mapped_bytes, RIG_COLUMNS * row, "the plain one is not copied");
    cr_assert_eq(watch.released, 1, "w is still read where it lies");
    cr_assert_eq(watch.calls, 3, "before each of two uploads and at the end");
    cr_assert_eq(watch.done, watch.total);
    struct ash_plan_step one, two;
    rig_step(plan, "one", &one);
    rig_step(plan, "two", &two);
    cr_assert_eq(one.step->args.in[1].data, two.step->args.in[1].data);
    ash_plan_destroy(plan);
    ash_graph_destroy(graph);
    device->driver->close(device);
}

Test(weights, loading_stops_when_progress_says_so)
{
    struct ash_device *device = rig_open("cpu", 2);
    struct ash_graph *graph = graph_of_uses();
    for (int stop_at = 1; stop_at <= 3; stop_at++) {
        struct watch watch = { .stop_at = stop_at };
        struct ash_plan *plan = NULL;
        struct ash_plan_options options = {
            .devices = &device, .device_count = 1, .progress = on_progress, .context = &watch
        };
        cr_assert_eq(ash_plan_create(graph, &options, &plan), ASH_ERR_CANCELED);
        cr_assert_null(plan);
        cr_assert_eq(watch.calls, stop_at);
    }
    ash_graph_destroy(graph);
    device->driver->close(device);
}

Test(weights, a_misaligned_plain_one_is_copied)
{
    struct ash_device *device = rig_open("cpu", 1);
    struct ash_graph *graph = rig_graph();
    static char bytes[RIG_COLUMNS * sizeof(float) + 2];
    float numbers[RIG_COLUMNS];
    struct ash_tensor gain;
    cr_assert_eq(ash_tensor_init(ASH_F32, 1, (int64_t[]){ RIG_COLUMNS }, &gain), ASH_OK);
    tiny_fill(numbers, RIG_COLUMNS, 1);
    memcpy(bytes + 2, numbers, sizeof numbers);
    gain.data = bytes + 2;
    ash_value w = ash_graph_weight(graph, "gain", &gain), x = rig_source(graph, "x");
    ash_graph_mark_output(graph, rig_add(graph, "scale", &tiny_scale, x, w, NONE));
    struct ash_plan *plan = rig_plan(graph, device, NULL);
    struct ash_plan_step step;
    rig_step(plan, "scale", &step);
    cr_assert_eq((uintptr_t)step.step->args.in[1].data % 64, 0u);
    cr_assert_arr_eq(step.step->args.in[1].data, numbers, sizeof numbers);
    ash_plan_destroy(plan);
    ash_graph_destroy(graph);
    device->driver->close(device);
}

Test(weights, a_packed_input_that_is_computed_is_refused)
{
    struct ash_device *device = rig_open("cpu", 1);
    struct ash_graph *graph = rig_graph();
    ash_value x = rig_source(graph, "x"), state = rig_state(graph);
    ash_graph_mark_output(graph, rig_add(graph, "mix", &tiny_mix, x, state, NONE));
    struct ash_plan_options options = { .devices = &device, .device_count = 1 };
    struct ash_plan *plan;
    cr_assert_eq(ash_plan_create(graph, &options, &plan), ASH_ERR_UNSUPPORTED);
    cr_assert(strstr(ash_error(), "mix"), "%s", ash_error());
    ash_graph_destroy(graph);
    device->driver->close(device);
}

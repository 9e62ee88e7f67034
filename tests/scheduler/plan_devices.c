/* SPDX-License-Identifier: Apache-2.0 */
/* Plans over several devices: any placement gives what one device gives. */
#include "tests/scheduler/rig.h"
#include "tests/support/lazy_device.h"

#include <criterion/criterion.h>
#include <string.h>

enum { NONE = ASH_NO_VALUE, MOST = 4, PLENTY = 1 << 30 };

struct devices {
    struct ash_device *item[MOST];
    int count;
};

/* Two that the host reaches, and two that it does not and that are late. */
static void open_devices(struct devices *out)
{
    *out = (struct devices){ { rig_open("null", 1), lazy_open(0, PLENTY), rig_open("cpu", 2),
                                 lazy_open(1, PLENTY) },
        MOST };
}

static void close_devices(struct devices *devices)
{
    for (int i = 0; i < devices->count; i++)
        devices->item[i]->driver->close(devices->item[i]);
}

static void run(struct ash_plan *plan, int32_t tokens, int32_t first_position)
{
    struct tiny_batch batch;
    tiny_batch_init(&batch, tokens, 1);
    batch.span.first_position = first_position;
    rig_must(ash_plan_run(plan, &batch.batch) == ASH_OK);
}

Test(devices, any_placement_gives_what_one_device_gives)
{
    struct devices devices;
    open_devices(&devices);
    for (uint32_t seed = 1; seed <= 60; seed++) {
        struct ash_graph *graph = rig_graph();
        ash_value outputs[8];
        int32_t placement[64];
        int count = rig_random(graph, seed, 40, false, outputs, 8);
        rig_place(graph, seed, devices.count, placement);
        struct ash_plan_options options = { .devices = devices.item,
            .device_count = devices.count,
            .placement = placement,
            .no_fusion = seed % 3 == 0 };
        struct ash_plan *one = rig_plan(graph, devices.item[0], NULL), *many = NULL;
        cr_assert_eq(ash_plan_create(graph, &options, &many), ASH_OK, "%s", ash_error());
        for (int32_t step = 0; step < 4; step++) {
            int32_t tokens = step % 2 ? 1 : RIG_TOKENS - step;
            run(one, tokens, 5 * step);
            run(many, tokens, 5 * step);
            for (int i = 0; i < count; i++) {
                const struct ash_tensor *a = ash_plan_output(one, outputs[i]);
                const struct ash_tensor *b = ash_plan_output(many, outputs[i]);
                cr_assert_eq(a->dim[0], b->dim[0]);
                cr_assert_arr_eq(
                    a->data, b->data, ash_tensor_bytes(a), "seed %u, step %d", seed, step);
            }
        }
        ash_plan_destroy(many);
        ash_plan_destroy(one);
        ash_graph_destroy(graph);
    }
    cr_assert_gt(lazy_copies(devices.item[1]), 0);
    close_devices(&devices);
}

/* x on the first; two readers on the second. */
static struct ash_graph *graph_of_two_readers(ash_value *out)
{
    struct ash_graph *graph = rig_graph();
    ash_value x = rig_source(graph, "x");
    ash_value a = rig_add(graph, "a", &tiny_reverse, x, NONE, NONE);
    ash_value b = rig_add(graph, "b", &tiny_add, a, x, NONE);
    ash_graph_mark_output(graph, b);
    *out = b;
    return graph;
}

Test(devices, a_value_is_copied_once_for_all_its_readers)
{
    struct ash_device *device[] = { lazy_open(0, PLENTY), lazy_open(1, PLENTY) };
    ash_value out;
    struct ash_graph *graph = graph_of_two_readers(&out);
    const int32_t placement[] = { 0, 1, 1 };
    struct ash_plan_options options = { device, 2, .placement = placement };
    struct ash_plan *plan;
    cr_assert_eq(ash_plan_create(graph, &options, &plan), ASH_OK, "%s", ash_error());
    struct ash_plan_step step;
    cr_assert_geq(rig_step(plan, "x.to.lazy:1", &step), 0);
    cr_assert_eq(step.device, 1);
    run(plan, 2, 0);
    cr_assert_eq(lazy_copies(device[0]), 1, "to host memory");
    cr_assert_eq(lazy_copies(device[1]), 2, "from there, and the output");
    ash_plan_destroy(plan);
    ash_graph_destroy(graph);
    device[0]->driver->close(device[0]);
    device[1]->driver->close(device[1]);
}

Test(devices, what_cannot_be_placed_so_is_refused)
{
    struct ash_device *device[] = { rig_open("null", 1), lazy_open(1, PLENTY) };
    struct ash_graph *graph = rig_graph();
    ash_value x = rig_source(graph, "x"), state = rig_state(graph);
    rig_add(graph, "write", &tiny_write, x, state, NONE);
    ash_graph_mark_output(graph, rig_add(graph, "sum", &tiny_sum, state, x, NONE));
    static const struct {
        int32_t placement[3];
        const char *message;
    } cases[] = {
        { { 0, 0, 1 }, "write and sum share a state" },
        { { 0, 2, 1 }, "write is placed on device 2 of 2" },
        { { -1, 0, 0 }, "x is placed on device -1 of 2" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct ash_plan_options options = { device, 2, .placement = cases[i].placement };
        struct ash_plan *plan = NULL;
        cr_assert_eq(ash_plan_create(graph, &options, &plan), ASH_ERR_ARGUMENT);
        cr_assert(strstr(ash_error(), cases[i].message), "%s", ash_error());
        cr_assert_null(plan);
    }
    ash_graph_destroy(graph);
    device[0]->driver->close(device[0]);
    device[1]->driver->close(device[1]);
}

/* Whatever call fails: the error is told, the device named, and nothing leaks. */
static void check_every_failure(enum ash_status with)
{
    for (int64_t nth = 0;; nth++) {
        struct ash_device *device[] = { rig_open("null", 1), lazy_open(1, PLENTY) };
        ash_value out;
        struct ash_graph *graph = graph_of_two_readers(&out);
        const int32_t placement[] = { 0, 1, 1 };
        int32_t failed = -1;
        struct ash_plan_options options = { device, 2, .placement = placement,
            .failed_out = &failed };
        struct ash_plan *plan = NULL;
        lazy_fail(device[1], nth, with);
        enum ash_status status = ash_plan_create(graph, &options, &plan);
        struct tiny_batch batch;
        tiny_batch_init(&batch, 3, 1);
        if (status == ASH_OK) {
            status = ash_plan_run(plan, &batch.batch);
            failed = ash_plan_failed(plan);
        }
        cr_assert(status == ASH_OK || status == with, "%s", ash_error());
        cr_assert(status == ASH_OK || strstr(ash_error(), "lazy:1"), "%s", ash_error());
        cr_assert_eq(failed, status == ASH_OK ? -1 : 1);
        ash_plan_destroy(plan);
        ash_graph_destroy(graph);
        device[0]->driver->close(device[0]);
        device[1]->driver->close(device[1]);
        if (status == ASH_OK)
            return;
        cr_assert_lt(nth, 100);
    }
}

Test(devices, a_failure_of_any_call_names_its_device)
{
    check_every_failure(ASH_ERR_DEVICE);
    check_every_failure(ASH_ERR_NO_MEMORY);
}

Test(devices, planning_survives_every_failed_allocation)
{
    struct devices devices;
    open_devices(&devices);
    struct ash_graph *graph = rig_graph();
    ash_value outputs[4];
    int32_t placement[32];
    rig_random(graph, 11, 25, true, outputs, 4);
    rig_place(graph, 11, devices.count, placement);
    struct ash_plan_options options = { devices.item, devices.count, .placement = placement };
    rig_plan_with_failing_memory(graph, &options);
    ash_graph_destroy(graph);
    close_devices(&devices);
}

Test(devices, memory_is_counted_over_all_that_a_device_holds)
{
    struct ash_device *device[] = { lazy_open(0, PLENTY), lazy_open(1, 1000) };
    ash_value out;
    struct ash_graph *graph = graph_of_two_readers(&out);
    const int32_t placement[] = { 0, 1, 1 };
    int32_t failed = -1;
    struct ash_plan_options options = { device, 2, .placement = placement, .failed_out = &failed };
    struct ash_plan *plan;
    cr_assert_eq(ash_plan_create(graph, &options, &plan), ASH_ERR_NO_MEMORY);
    cr_assert(strstr(ash_error(), "lazy:1"), "%s", ash_error());
    cr_assert_eq(failed, 1);
    ash_graph_destroy(graph);
    device[0]->driver->close(device[0]);
    device[1]->driver->close(device[1]);
}

Test(devices, the_plan_for_prompts_takes_what_that_for_answers_leaves)
{
    struct ash_plan *answers = NULL, *prompts = NULL;
    struct ash_device *device[] = { rig_open("null", 1), NULL };
    const int32_t placement[] = { 0, 1, 1 };
    ash_value out;
    struct ash_graph *graph = graph_of_two_readers(&out);
    struct ash_plan_options options = { device, 2, .placement = placement };
    for (uint64_t bytes = 0; !answers; bytes += 1024) { /* just enough for one */
        if (device[1])
            device[1]->driver->close(device[1]);
        device[1] = lazy_open(1, bytes);
        enum ash_status status = ash_plan_create(graph, &options, &answers);
        cr_assert(status == ASH_OK || status == ASH_ERR_NO_MEMORY, "%s", ash_error());
    }
    options.answers = answers;
    cr_assert_eq(ash_plan_create(graph, &options, &prompts), ASH_ERR_NO_MEMORY);
    cr_assert(strstr(ash_error(), "are taken"), "%s", ash_error());
    ash_plan_destroy(answers);
    ash_graph_destroy(graph);
    device[0]->driver->close(device[0]);
    device[1]->driver->close(device[1]);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* What plans' steps take, and how that is kept. */
#include "scheduler/cost_file.h"
#include "drivers/costs.h"
#include "runtime/memory.h"
#include "scheduler/devices.h"
#include "scheduler/measure.h"
#include "scheduler/place.h"
#include "tests/scheduler/rig.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const struct ash_cost cost = { 2e6, 1e6, 1e4 };

/* A folder of the test's own. */
static const char *fresh_folder(void)
{
    static char path[] = "/tmp/ashlar-costs-XXXXXX";
    snprintf(path, sizeof path, "/tmp/ashlar-costs-XXXXXX");
    cr_assert(mkdtemp(path));
    return path;
}

Test(cost_file, what_was_measured_is_there_the_next_time)
{
    const char *folder = fresh_folder();
    struct ash_device *device = rig_open("null", 1);
    struct ash_cost_model *model, *again;
    bool measured = true;
    cr_assert_not(ash_costs_has(folder, &device->info));
    cr_assert_eq(ash_costs_open(folder, device, &model, &measured), ASH_OK);
    cr_assert_not(measured);
    cr_assert_eq(ash_cost_model_learn(model, "matmul/Q4_1", &cost, 0.125), ASH_OK);
    cr_assert_eq(ash_costs_save(folder, device, model), ASH_OK, "%s", ash_error());
    cr_assert(ash_costs_has(folder, &device->info));
    cr_assert(ash_costs_has_driver(folder, "null"));
    cr_assert_not(ash_costs_has_driver(folder, "cpu"));
    cr_assert_eq(ash_costs_open(folder, device, &again, &measured), ASH_OK);
    cr_assert(measured);
    cr_assert_float_eq(ash_cost_model_predict(again, "matmul/Q4_1", &cost), 0.125, 1e-9);
    ash_cost_model_destroy(model);
    ash_cost_model_destroy(again);
    char *path = ash_costs_path(folder, &device->info);
    cr_assert_eq(unlink(path), 0);
    cr_assert_eq(rmdir(folder), 0);
    ash_free(path);
    device->driver->close(device);
}

/* Every beginning of a file, and files that are another's, leave the model as it was. */
Test(cost_file, one_that_is_damaged_or_anothers_is_as_good_as_none)
{
    static const char whole[] =
        "{\"ashlar_costs\":2,\"of\":\"me\",\"samples\":{\"a/F32\":[[20,21,1.5]]}}";
    static const char *const bad[] = { "", "[]", "null", "{}",
        "{\"ashlar_costs\":1,\"of\":\"me\",\"samples\":{}}",
        "{\"ashlar_costs\":2,\"of\":\"you\",\"samples\":{}}",
        "{\"ashlar_costs\":2,\"of\":\"me\",\"samples\":[]}",
        "{\"ashlar_costs\":2,\"of\":\"me\",\"samples\":{\"a/F32\":[[20,21,99]]}}",
        "{\"ashlar_costs\":2,\"of\":\"me\",\"of\":\"me\",\"samples\":{\"a/F32\":[[20,21,1]]}}" };
    static const struct ash_rates rates = { 1e10, 1e11, 1e-6 };
    struct ash_cost_model *model;
    cr_assert_eq(ash_cost_model_create(&rates, &model), ASH_OK);
    double guess = ash_cost_model_predict(model, "a/F32", &cost);
    for (size_t length = 0; length + 1 < sizeof whole; length++)
        cr_assert_neq(ash_costs_parse(whole, length, "me", model), ASH_OK, "%zu", length);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        cr_assert_neq(ash_costs_parse(bad[i], strlen(bad[i]), "me", model), ASH_OK, "%s", bad[i]);
    cr_assert_eq(ash_cost_model_predict(model, "a/F32", &cost), guess);
    cr_assert_eq(ash_costs_parse(whole, sizeof whole - 1, "me", model), ASH_OK, "%s", ash_error());
    cr_assert_gt(ash_cost_model_predict(model, "a/F32", &cost), 4 * guess);
    ash_cost_model_destroy(model);
}

Test(measure, every_step_gets_a_time_that_models_can_learn_from)
{
    struct ash_device *device = rig_open("cpu", 2);
    struct ash_graph *graph = rig_graph();
    ash_value outputs[4];
    rig_random(graph, 5, 40, true, outputs, 4);
    struct ash_plan *plan = rig_plan(graph, device, NULL);
    struct ash_plan_summary summary;
    struct ash_cost_model *model;
    struct tiny_batch batch;
    bool known;
    double seconds[80], replay_s, predicted_s, error, sum = 0;
    ash_plan_summary(plan, &summary);
    tiny_batch_init(&batch, RIG_TOKENS, 1);
    cr_assert_leq(summary.steps, 80);
    cr_assert_eq(ash_plan_measure(plan, &batch.batch, 9, 60, seconds, &replay_s), ASH_OK);
    for (int32_t i = 0; i < summary.steps; i++) {
        cr_assert_gt(seconds[i], 0);
        sum += seconds[i];
    }
    cr_assert(sum > replay_s / 100 && sum < replay_s * 100, "%g and %g", sum, replay_s);
    cr_assert_eq(ash_costs_open("/nonexistent", device, &model, &known), ASH_OK);
    cr_assert_eq(ash_plan_learn(plan, &batch.batch, seconds, &model), ASH_OK);
    cr_assert_eq(ash_device_learn_copies(device, model), ASH_OK, "%s", ash_error());
    cr_assert_eq(
        ash_plan_compare(plan, &batch.batch, &model, seconds, &predicted_s, &error), ASH_OK);
    cr_assert(predicted_s > 0 && !isinf(predicted_s));
    cr_assert(error >= 0 && !isinf(error));
    double longer_s = 3 * predicted_s;
    for (int i = 0; i < 10; i++)
        cr_assert_eq(ash_plan_fit(plan, &batch.batch, longer_s, &model), ASH_OK);
    cr_assert_eq(
        ash_plan_compare(plan, &batch.batch, &model, seconds, &predicted_s, &error), ASH_OK);
    cr_expect_float_eq(predicted_s / longer_s, 1, 0.05, "%g", predicted_s / longer_s);
    ash_cost_model_destroy(model);
    ash_plan_destroy(plan);
    ash_graph_destroy(graph);
    device->driver->close(device);
}

/* ---- Devices that compute more than they are asked for ---- */

enum { WHOLE = 100000 }; /* tokens */

static const char *compute_whole(
    const struct ash_device *device, const struct ash_op *op, struct ash_args *args)
{
    (void)device, (void)op;
    args->out.dim[0] = (args->out.dim[0] + WHOLE - 1) / WHOLE * WHOLE;
    return "whole";
}

/* The device's driver, but for that. */
static struct ash_driver driver_that_rounds_up(const struct ash_device *device)
{
    struct ash_driver driver = *device->driver;
    driver.round_up = compute_whole;
    return driver;
}

static struct ash_graph *graph_of_a_sum(void)
{
    struct ash_graph *graph = rig_graph();
    ash_value source = rig_source(graph, "source");
    ash_graph_mark_output(graph, rig_add(graph, "sum", &tiny_add, source, source, ASH_NO_VALUE));
    return graph;
}

Test(cost_file, a_call_costs_what_the_device_computes_for_it)
{
    struct ash_device *device = rig_open("null", 1);
    const struct ash_driver driver = driver_that_rounds_up(device);
    const struct ash_device rounding = { .driver = &driver };
    struct ash_args args = { 0 };
    struct tiny_batch batch;
    struct ash_cost_call call;
    tiny_batch_init(&batch, 12, 1);
    cr_assert_eq(
        ash_tensor_init(ASH_F32, 2, (int64_t[]){ RIG_TOKENS, RIG_COLUMNS }, &args.out), ASH_OK);
    args.out.extent = ASH_EXTENT_TOKENS;
    args.in[0] = args.in[1] = args.out;
    ash_cost_call_of(&rounding, &tiny_add, &args, &batch.batch, &call);
    cr_expect_str_eq(call.key, "tiny_add/F32/whole");
    cr_expect_eq(call.cost.flops, WHOLE * RIG_COLUMNS);
    const struct ash_device *const plain[] = { device, NULL };
    for (int i = 0; i < 2; i++) {
        ash_cost_call_of(plain[i], &tiny_add, &args, &batch.batch, &call);
        cr_expect_str_eq(call.key, "tiny_add/F32");
        cr_expect_eq(call.cost.flops, 12 * RIG_COLUMNS, "as many as the batch has");
    }
    args.prompts = true;
    ash_cost_call_of(device, &tiny_add, &args, NULL, &call);
    cr_expect_str_eq(call.key, "tiny_add/F32/prompts");
    cr_expect_eq(call.cost.flops, RIG_TOKENS * RIG_COLUMNS, "the largest");
    ash_cost_call_of(&rounding, &tiny_add, &args, NULL, &call);
    cr_expect_str_eq(call.key, "tiny_add/F32/whole", "its way says what prompts have");
    device->driver->close(device);
}

Test(measure, models_learn_from_what_the_device_computes)
{
    struct ash_device *device = rig_open("null", 1);
    struct ash_graph *graph = graph_of_a_sum();
    struct ash_plan *plan = rig_plan(graph, device, NULL);
    const struct ash_driver driver = driver_that_rounds_up(device);
    device->driver = &driver;
    struct ash_cost_model *model;
    struct ash_cost_call call;
    struct ash_plan_step step;
    struct tiny_batch batch;
    bool known;
    double predicted_s, error;
    const double seconds[2] = { 0.25, 0.5 };
    tiny_batch_init(&batch, 3, 1);
    int32_t index = rig_step(plan, "sum", &step);
    cr_assert_eq(ash_costs_open("/nonexistent", device, &model, &known), ASH_OK);
    cr_assert_eq(ash_plan_learn(plan, &batch.batch, seconds, &model), ASH_OK);
    ash_cost_call_of(device, &tiny_add, &step.step->args, &batch.batch, &call);
    cr_expect_str_eq(call.key, "tiny_add/F32/whole");
    cr_expect_float_eq(ash_cost_model_predict(model, call.key, &call.cost), seconds[index], 1e-9);
    tiny_batch_init(&batch, RIG_TOKENS, 1);
    cr_assert_eq(
        ash_plan_compare(plan, &batch.batch, &model, seconds, &predicted_s, &error), ASH_OK);
    cr_expect_float_eq(predicted_s, 0.75, 0.01, "as many tokens as before, to the device");
    ash_cost_model_destroy(model);
    ash_plan_destroy(plan);
    ash_graph_destroy(graph);
    device->driver->close(device);
}

/* The time of a batch with all nodes on the one device. */
static double place_on(
    const struct ash_graph *graph, struct ash_device *device, struct ash_place_options options)
{
    struct ash_machine machine;
    struct ash_placement placement;
    int32_t nodes[2] = { 0, 0 };
    cr_assert_eq(ash_machine_of(
                     &device, 1, (struct ash_cost_model *[]){ NULL }, (double[]){ 1e12 }, &machine),
        ASH_OK);
    cr_assert_eq(ash_place_given(graph, &machine, &options, nodes, &placement), ASH_OK);
    double seconds = placement.schedule.makespan_s;
    ash_placement_finish(&placement);
    ash_machine_finish(&machine);
    return seconds;
}

Test(cost_file, devices_in_use_are_placed_by_what_they_compute)
{
    struct ash_device *device = rig_open("null", 1);
    struct ash_graph *graph = graph_of_a_sum();
    const struct ash_driver driver = driver_that_rounds_up(device);
    struct ash_cost_model *model;
    struct tiny_batch batch;
    bool known;
    tiny_batch_init(&batch, 3, 1);
    device->driver = &driver;
    cr_assert_eq(ash_costs_open("/nonexistent", device, &model, &known), ASH_OK);
    const struct ash_cost whole = { .flops = WHOLE * RIG_COLUMNS };
    cr_assert_eq(ash_cost_model_learn(model, "tiny_add/F32/whole", &whole, 7), ASH_OK);
    const struct ash_cost_model *const models[] = { model };
    struct ash_place_options options = { .batch = &batch.batch };
    double asked_s = place_on(graph, device, options);
    options.devices = &device;
    double computed_s = place_on(graph, device, options);
    cr_expect_gt(computed_s, 10 * asked_s, "%g and %g", computed_s, asked_s);
    options.cost_model = models;
    double learned_s = place_on(graph, device, options);
    cr_expect(learned_s > 7 && learned_s < 100, "%g", learned_s);
    ash_cost_model_destroy(model);
    ash_graph_destroy(graph);
    device->driver->close(device);
}

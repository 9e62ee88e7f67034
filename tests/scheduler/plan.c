/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/scheduler/rig.h"

#include <criterion/criterion.h>
#include <string.h>

enum { NONE = ASH_NO_VALUE };

static int32_t phase_of(const struct ash_plan *plan, const char *name)
{
    struct ash_plan_step step;
    cr_assert_geq(rig_step(plan, name, &step), 0, "no step %s", name);
    return step.step->phase;
}

/* ---- Phases ---- */

Test(phases, what_does_not_depend_on_each_other_shares_one)
{
    struct ash_device *device = rig_open("null", 1);
    struct ash_graph *graph = rig_graph();
    ash_value x = rig_source(graph, "x"), state = rig_state(graph);
    ash_value q = rig_add(graph, "q", &tiny_mix, x, rig_weight(graph, RIG_COLUMNS, 1), NONE);
    ash_value k = rig_add(graph, "k", &tiny_mix, x, rig_weight(graph, RIG_COLUMNS, 2), NONE);
    ash_value rope = rig_add(graph, "rope", &tiny_reverse, q, NONE, NONE);
    rig_add(graph, "write", &tiny_write, k, state, NONE);
    ash_value sum = rig_add(graph, "sum", &tiny_sum, state, rope, NONE);
    ash_value out = rig_add(graph, "out", &tiny_add, sum, x, NONE);
    ash_graph_mark_output(graph, out);
    struct ash_plan *plan = rig_plan(graph, device, NULL);
    static const struct {
        const char *name;
        int32_t phase;
    } expect[] = { { "x", 0 }, { "q", 1 }, { "k", 1 }, { "rope", 2 }, { "write", 2 }, { "sum", 3 },
        { "out", 4 } };
    for (size_t i = 0; i < sizeof expect / sizeof expect[0]; i++)
        cr_assert_eq(phase_of(plan, expect[i].name), expect[i].phase, "%s", expect[i].name);
    cr_assert_eq(rig_summary(plan).phases, 5);
    ash_plan_destroy(plan);
    ash_graph_destroy(graph);
    device->driver->close(device);
}

Test(phases, readers_and_writers_of_a_state_keep_their_order)
{
    struct ash_device *device = rig_open("null", 1);
    struct ash_graph *graph = rig_graph();
    ash_value x = rig_source(graph, "x"), state = rig_state(graph);
    rig_add(graph, "before", &tiny_sum, state, x, NONE);
    rig_add(graph, "write", &tiny_write, x, state, NONE);
    rig_add(graph, "between1", &tiny_sum, state, x, NONE);
    rig_add(graph, "between2", &tiny_sum, state, x, NONE);
    rig_add(graph, "again", &tiny_write, x, state, NONE);
    rig_add(graph, "after", &tiny_sum, state, x, NONE);
    struct ash_plan *plan = rig_plan(graph, device, NULL);
    cr_assert_lt(phase_of(plan, "before"), phase_of(plan, "write"));
    cr_assert_lt(phase_of(plan, "write"), phase_of(plan, "between1"));
    cr_assert_eq(phase_of(plan, "between1"), phase_of(plan, "between2"));
    cr_assert_lt(phase_of(plan, "between2"), phase_of(plan, "again"));
    cr_assert_lt(phase_of(plan, "again"), phase_of(plan, "after"));
    ash_plan_destroy(plan);
    ash_graph_destroy(graph);
    device->driver->close(device);
}

/* ---- Fusion ---- */

/* y = x w; what the case does with y and x; true if the addition should have gone into the matmul. */
static bool plain(struct ash_graph *graph, ash_value x, ash_value y)
{
    ash_graph_mark_output(graph, rig_add(graph, "add", &tiny_add, y, x, NONE));
    return true;
}
static bool other_way_round(struct ash_graph *graph, ash_value x, ash_value y)
{
    ash_graph_mark_output(graph, rig_add(graph, "add", &tiny_add, x, y, NONE));
    return true;
}
static bool addend_comes_later(struct ash_graph *graph, ash_value x, ash_value y)
{
    ash_value late = rig_add(graph, "late", &tiny_reverse, x, NONE, NONE);
    ash_graph_mark_output(graph, rig_add(graph, "add", &tiny_add, y, late, NONE));
    return true;
}
static bool used_twice(struct ash_graph *graph, ash_value x, ash_value y)
{
    ash_value z = rig_add(graph, "other", &tiny_reverse, y, NONE, NONE);
    x = rig_add(graph, "x+z", &tiny_sum, rig_state(graph), z, NONE);
    ash_graph_mark_output(graph, rig_add(graph, "add", &tiny_add, y, x, NONE));
    return false;
}
static bool is_output(struct ash_graph *graph, ash_value x, ash_value y)
{
    ash_graph_mark_output(graph, y);
    ash_graph_mark_output(graph, rig_add(graph, "add", &tiny_add, y, x, NONE));
    return false;
}
static bool added_to_itself(struct ash_graph *graph, ash_value x, ash_value y)
{
    (void)x;
    ash_graph_mark_output(graph, rig_add(graph, "add", &tiny_add, y, y, NONE));
    return false;
}

Test(fusion, an_addition_goes_into_the_matmul_before_it_where_nobody_else_needs_that)
{
    bool (*const cases[])(struct ash_graph *, ash_value, ash_value) = { plain, other_way_round,
        addend_comes_later, used_twice, is_output, added_to_itself };
    struct ash_device *device = rig_open("null", 1);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct ash_graph *graph = rig_graph();
        ash_value x = rig_source(graph, "x");
        ash_value w = rig_weight(graph, RIG_COLUMNS, 1);
        ash_value y = rig_add(graph, "mix", &tiny_mix, x, w, NONE);
        bool fused = cases[i](graph, x, y);
        struct ash_plan *plan = rig_plan(graph, device, NULL);
        struct ash_plan *plain_plan =
            rig_plan(graph, device, &(struct ash_plan_options){ .no_fusion = true });
        int32_t nodes = ash_graph_nodes(graph);
        cr_assert_eq(rig_summary(plan).steps, nodes - fused, "case %zu", i);
        cr_assert_eq(rig_summary(plain_plan).steps, nodes);
        ash_value out = ash_graph_values(graph) - 1;
        float found[RIG_TOKENS * RIG_COLUMNS], expect[RIG_TOKENS * RIG_COLUMNS];
        rig_read(plan, out, RIG_TOKENS, found);
        rig_read(plain_plan, out, RIG_TOKENS, expect);
        cr_assert_arr_eq(found, expect, sizeof expect, "case %zu", i);
        ash_plan_destroy(plan);
        ash_plan_destroy(plain_plan);
        ash_graph_destroy(graph);
    }
    device->driver->close(device);
}

/* ---- The arena ---- */

struct extent {
    int64_t start, end;
    int32_t first, last;
};

static struct extent extent_of(const struct ash_plan_step *step)
{
    return (struct extent){ step->arena_offset,
        step->arena_offset + (int64_t)ash_tensor_bytes(&step->step->args.out), step->step->phase,
        step->last_phase };
}

/* Whether b took over a's memory: it reads all of it, exactly there, as the last to do so. */
static bool is_in_place(const struct ash_plan_step *a, const struct ash_plan_step *b)
{
    for (int i = 0; i < ASH_MAX_INPUTS; i++)
        if (b->step->args.in[i].rank && (b->step->op->in_place >> i & 1) &&
            b->step->args.in[i].data == a->step->args.out.data)
            return a->arena_offset == b->arena_offset && a->last_phase == b->step->phase;
    return false;
}

static void check_arena(const struct ash_plan *plan)
{
    struct ash_plan_summary summary = rig_summary(plan);
    cr_assert_leq(summary.arena_bytes, summary.unshared_bytes);
    for (int32_t i = 0; i < summary.steps; i++)
        for (int32_t k = 0; k < i; k++) {
            struct ash_plan_step one, two;
            cr_assert_eq(ash_plan_step_at(plan, k, NULL, &one), ASH_OK);
            cr_assert_eq(ash_plan_step_at(plan, i, NULL, &two), ASH_OK);
            if (one.arena_offset < 0 || two.arena_offset < 0)
                continue;
            struct extent a = extent_of(&one), b = extent_of(&two);
            cr_assert(a.start % 64 == 0 && (uint64_t)a.end <= summary.arena_bytes);
            bool meet = a.first <= b.last && b.first <= a.last;
            bool overlap = a.start < b.end && b.start < a.end;
            cr_assert(
                !meet || !overlap || is_in_place(&one, &two), "%s and %s", one.name, two.name);
        }
}

/* The same graph with every means and with none gives the same bits, for every batch. */
static void compare_plans(const struct ash_graph *graph, struct ash_plan *plan,
    struct ash_plan *plain_plan, const ash_value *outputs, int count)
{
    (void)graph;
    static const int32_t tokens[] = { RIG_TOKENS, 1, 7 };
    for (int i = 0; i < 3 * count; i++) {
        float found[RIG_TOKENS * RIG_COLUMNS], expect[RIG_TOKENS * RIG_COLUMNS];
        rig_read(plan, outputs[i % count], tokens[i / count], found);
        rig_read(plain_plan, outputs[i % count], tokens[i / count], expect);
        cr_assert_arr_eq(found, expect, (size_t)tokens[i / count] * RIG_COLUMNS * sizeof *found);
    }
}

static void check_random_graphs(const char *name, int threads)
{
    struct ash_device *device = rig_open(name, threads);
    uint64_t arena = 0, unshared = 0;
    for (uint32_t seed = 0; seed < 150; seed++) {
        struct ash_graph *graph = rig_graph();
        ash_value outputs[8];
        int count = rig_random(graph, seed, 3 + (int)seed % 40, true, outputs, 8);
        struct ash_plan *plan = rig_plan(graph, device, NULL);
        struct ash_plan *plain_plan = rig_plan(
            graph, device, &(struct ash_plan_options){ .no_fusion = true, .no_sharing = true });
        check_arena(plan);
        compare_plans(graph, plan, plain_plan, outputs, count);
        arena += rig_summary(plan).arena_bytes;
        unshared += rig_summary(plan).unshared_bytes;
        ash_plan_destroy(plan);
        ash_plan_destroy(plain_plan);
        ash_graph_destroy(graph);
    }
    cr_assert_lt(arena * 2, unshared, "sharing saves more than half of these graphs' memory");
    device->driver->close(device);
}

Test(arena, live_values_never_overlap_and_results_are_those_of_the_unshared_plan)
{
    check_random_graphs("null", 1);
}

Test(arena, the_same_holds_with_threads_and_kernels)
{
    check_random_graphs("cpu", 2);
}

/* The bits of a random graph's outputs on a device of so many threads. */
static void run_random(const char *name, int threads, uint32_t seed, float *out)
{
    struct ash_device *device = rig_open(name, threads);
    struct ash_graph *graph = rig_graph();
    ash_value output;
    rig_random(graph, seed, 30, true, &output, 1);
    struct ash_plan *plan = rig_plan(graph, device, NULL);
    rig_read(plan, output, RIG_TOKENS, out);
    ash_plan_destroy(plan);
    ash_graph_destroy(graph);
    device->driver->close(device);
}

Test(arena, the_number_of_threads_changes_no_bit)
{
    for (uint32_t seed = 0; seed < 20; seed++) {
        float expect[RIG_TOKENS * RIG_COLUMNS], found[RIG_TOKENS * RIG_COLUMNS];
        run_random("cpu", 1, seed, expect);
        for (int threads = 2; threads <= 5; threads++) {
            run_random("cpu", threads, seed, found);
            cr_assert_arr_eq(found, expect, sizeof expect, "%d threads", threads);
        }
    }
}

/* ---- States ---- */

Test(states, begin_with_zeros_and_live_from_replay_to_replay)
{
    struct ash_device *device = rig_open("cpu", 2);
    struct ash_graph *graph = rig_graph();
    ash_value x = rig_source(graph, "x"), state = rig_state(graph);
    ash_value before = rig_add(graph, "before", &tiny_sum, state, x, NONE);
    rig_add(graph, "write", &tiny_write, x, state, NONE);
    ash_graph_mark_output(graph, before);
    ash_graph_mark_output(graph, x);
    struct ash_plan *plan = rig_plan(graph, device, NULL);
    const float *data = (const float *)ash_plan_state(plan, state).buffer->host;
    for (int i = 0; i < 5 * RIG_COLUMNS; i++)
        cr_assert_eq(data[i], 0.0f);
    float first[RIG_COLUMNS], second[RIG_COLUMNS], wrote[RIG_COLUMNS];
    rig_read(plan, x, 1, wrote);
    cr_assert_arr_eq(data, wrote, sizeof wrote, "token 0 went into row 0");
    memset(ash_plan_state(plan, state).buffer->host, 0, sizeof wrote);
    rig_read(plan, before, 1, first);
    rig_read(plan, before, 1, second);
    for (int i = 0; i < RIG_COLUMNS; i++)
        cr_assert_float_eq((double)second[i], (double)(first[i] + wrote[i]), 1e-6);
    ash_plan_destroy(plan);
    ash_graph_destroy(graph);
    device->driver->close(device);
}

/* ---- Errors ---- */

Test(plan, a_graph_with_an_error_or_without_an_operator_is_refused)
{
    struct ash_device *device = rig_open("null", 1);
    struct ash_plan_options options = { .devices = &device, .device_count = 1 };
    struct ash_graph *graph = rig_graph();
    struct ash_plan *plan = NULL;
    cr_assert_eq(ash_plan_create(graph, &options, &plan), ASH_ERR_ARGUMENT);
    rig_source(graph, "x");
    options.device_count = 0;
    cr_assert_eq(ash_plan_create(graph, &options, &plan), ASH_ERR_ARGUMENT);
    options.device_count = 1;
    rig_add(graph, "bad", &tiny_add, 0, NONE, NONE);
    cr_assert_eq(ash_plan_create(graph, &options, &plan), ASH_ERR_SHAPE);
    cr_assert_null(plan);
    ash_plan_destroy(NULL);
    ash_graph_destroy(graph);
    device->driver->close(device);
}

Test(plan, a_batch_outside_the_capacity_is_refused)
{
    struct ash_device *device = rig_open("null", 1);
    struct ash_graph *graph = rig_graph();
    ash_value out = rig_add(graph, "pick", &tiny_pick, rig_source(graph, "x"), NONE, NONE);
    ash_graph_mark_output(graph, out);
    struct ash_plan *plan = rig_plan(graph, device, NULL);
    static const struct {
        int32_t tokens, outputs;
        enum ash_status expect;
    } cases[] = {
        { RIG_TOKENS, RIG_OUTPUTS, ASH_OK },
        { 1, 0, ASH_OK }, /* a piece of a prefill wants no logits */
        { RIG_TOKENS + 1, 1, ASH_ERR_LIMIT },
        { RIG_TOKENS, RIG_OUTPUTS + 1, ASH_ERR_LIMIT },
        { 0, 0, ASH_ERR_ARGUMENT },
        { 1, -1, ASH_ERR_ARGUMENT },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct tiny_batch batch;
        tiny_batch_init(&batch, cases[i].tokens, cases[i].outputs);
        cr_assert_eq(ash_plan_run(plan, &batch.batch), cases[i].expect, "case %zu", i);
        if (cases[i].expect == ASH_OK)
            cr_assert_eq(ash_plan_output(plan, out)->dim[0], cases[i].outputs);
    }
    cr_assert_null(ash_plan_output(plan, 0), "not marked");
    cr_assert_null(ash_plan_output(plan, NONE));
    cr_assert_null(ash_plan_state(plan, out).buffer);
    ash_plan_destroy(plan);
    ash_graph_destroy(graph);
    device->driver->close(device);
}

static void check_failed_allocations(const char *name)
{
    struct ash_device *device = rig_open(name, 2);
    struct ash_plan_options options = { .devices = &device, .device_count = 1 };
    struct ash_graph *graph = rig_graph();
    ash_value outputs[4];
    rig_random(graph, 11, 25, true, outputs, 4);
    rig_plan_with_failing_memory(graph, &options);
    ash_graph_destroy(graph);
    device->driver->close(device);
}

Test(plan, create_survives_every_failed_allocation)
{
    check_failed_allocations("null");
    check_failed_allocations("cpu");
}

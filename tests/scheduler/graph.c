/* SPDX-License-Identifier: Apache-2.0 */
#include "scheduler/graph.h"

#include "runtime/memory.h"
#include "tests/support/tiny_ops.h"

#include <criterion/criterion.h>
#include <string.h>

static float numbers[64];

static struct ash_tensor shaped(int64_t rows, int64_t columns)
{
    struct ash_tensor tensor;
    int rank = rows ? 2 : 1;
    int64_t dim[] = { rows ? rows : columns, columns };
    cr_assert_eq(ash_tensor_init(ASH_F32, rank, dim, &tensor), ASH_OK);
    tensor.data = numbers;
    return tensor;
}

static ash_value source(struct ash_graph *graph, int64_t columns)
{
    struct tiny_source_params params = { columns };
    return ash_graph_add(graph, "source", &tiny_source, NULL, 0, &params);
}

/* source -> scale -> write into a state -> sum -> pick; the value of the pick. */
static ash_value build(struct ash_graph *graph)
{
    struct ash_tensor weight = shaped(0, 8), state = shaped(4, 8);
    ash_value w = ash_graph_weight(graph, "w", &weight);
    ash_value cache = ash_graph_state(graph, "cache", &state);
    ash_value x = source(graph, 8);
    x = ash_graph_add(graph, "scale", &tiny_scale, (ash_value[]){ x, w }, 2, NULL);
    ash_value after =
        ash_graph_add(graph, "write", &tiny_write, (ash_value[]){ x, cache }, 2, NULL);
    x = ash_graph_add(graph, "sum", &tiny_sum, (ash_value[]){ after, x }, 2, NULL);
    x = ash_graph_add(graph, "pick", &tiny_pick, &x, 1, NULL);
    ash_graph_mark_output(graph, x);
    return x;
}

Test(graph, a_model_reads_straight_down)
{
    struct ash_graph *graph;
    cr_assert_eq(ash_graph_create(16, 2, &graph), ASH_OK);
    ash_value out = build(graph);
    cr_assert_eq(ash_graph_status(graph), ASH_OK, "%s", ash_error());
    cr_assert_eq(ash_graph_nodes(graph), 5);
    cr_assert_eq(ash_graph_values(graph), 6);

    const struct ash_graph_value *logits = ash_graph_value_at(graph, out);
    cr_assert_str_eq(logits->name, "pick");
    cr_assert(logits->output);
    cr_assert_eq(logits->producer, 4);
    cr_assert_eq(logits->tensor.extent, ASH_EXTENT_OUTPUTS);
    cr_assert_eq(logits->tensor.dim[0], 2);

    const struct ash_graph_node *write = ash_graph_node_at(graph, 2);
    cr_assert_eq(write->out, ASH_NO_VALUE);
    cr_assert_eq(ash_graph_node_at(graph, 3)->in[0], write->in[1], "an update gives its state");
    cr_assert_eq(ash_graph_value_at(graph, ash_graph_node_at(graph, 0)->out)->tensor.dim[0], 16);
    cr_assert_null(ash_graph_node_at(graph, 5));
    cr_assert_null(ash_graph_value_at(graph, ASH_NO_VALUE));
    ash_graph_destroy(graph);
}

Test(graph, params_and_names_are_copied)
{
    struct ash_graph *graph;
    cr_assert_eq(ash_graph_create(16, 2, &graph), ASH_OK);
    struct tiny_source_params params = { 8 };
    char name[] = "source";
    ash_graph_add(graph, name, &tiny_source, NULL, 0, &params);
    params.columns = 99;
    name[0] = 'X';
    const struct ash_graph_node *node = ash_graph_node_at(graph, 0);
    cr_assert_eq(((const struct tiny_source_params *)node->params)->columns, 8);
    cr_assert_str_eq(node->name, "source");
    ash_graph_destroy(graph);
}

/* Each case builds onto a graph that has x (T, 8) as value 0 and w (8) as value 1. */
static ash_value bad_operator(struct ash_graph *graph)
{
    return ash_graph_add(graph, "blk", NULL, (ash_value[]){ 0 }, 1, NULL);
}
static ash_value bad_value(struct ash_graph *graph)
{
    return ash_graph_add(graph, "blk", &tiny_pick, (ash_value[]){ 7 }, 1, NULL);
}
static ash_value bad_shape(struct ash_graph *graph)
{
    return ash_graph_add(graph, "blk", &tiny_add, (ash_value[]){ 0, 1 }, 2, NULL);
}
static ash_value bad_count(struct ash_graph *graph)
{
    return ash_graph_add(graph, "blk", &tiny_add, (ash_value[]){ 0 }, 1, NULL);
}
static ash_value bad_update(struct ash_graph *graph)
{
    return ash_graph_add(graph, "blk", &tiny_write, (ash_value[]){ 0, 0 }, 2, NULL);
}
static ash_value bad_weight(struct ash_graph *graph)
{
    struct ash_tensor weight = shaped(0, 8);
    weight.data = NULL;
    return ash_graph_weight(graph, "blk", &weight);
}
static ash_value bad_state(struct ash_graph *graph)
{
    struct ash_tensor state = shaped(4, 8);
    state.dim[0] = -4;
    return ash_graph_state(graph, "blk", &state);
}
static ash_value bad_size(struct ash_graph *graph)
{
    struct tiny_source_params params = { INT64_MAX / 8 };
    return ash_graph_add(graph, "blk", &tiny_source, NULL, 0, &params);
}

Test(graph, the_first_error_sticks_with_its_message)
{
    static const struct {
        ash_value (*add)(struct ash_graph *graph);
        enum ash_status expect;
        const char *message;
    } cases[] = {
        { bad_operator, ASH_ERR_UNSUPPORTED, "no such operator" },
        { bad_value, ASH_ERR_ARGUMENT, "no value 7" },
        { bad_shape, ASH_ERR_SHAPE, "tiny_add" },
        { bad_count, ASH_ERR_SHAPE, "input 1 is missing" },
        { bad_update, ASH_ERR_ARGUMENT, "must be a state" },
        { bad_weight, ASH_ERR_ARGUMENT, "with its data" },
        { bad_state, ASH_ERR_SHAPE, "dimension 0 is -4" },
        { bad_size, ASH_ERR_SHAPE, "2^63" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct ash_graph *graph;
        cr_assert_eq(ash_graph_create(1 << 20, 2, &graph), ASH_OK);
        source(graph, 8);
        struct ash_tensor w = shaped(0, 8);
        ash_graph_weight(graph, "w", &w);
        cr_assert_eq(cases[i].add(graph), ASH_NO_VALUE, "case %zu", i);
        cr_assert_eq(source(graph, 8), ASH_NO_VALUE);
        cr_assert_eq(ash_graph_weight(graph, "w", &w), ASH_NO_VALUE);
        ash_graph_mark_output(graph, 0);
        (void)ash_fail(ASH_ERR_IO, "something else");
        cr_assert_eq(ash_graph_status(graph), cases[i].expect, "case %zu", i);
        cr_assert(strncmp(ash_error(), "blk: ", 5) == 0 && strstr(ash_error(), cases[i].message),
            "case %zu: %s", i, ash_error());
        cr_assert_eq(ash_graph_nodes(graph), 1);
        ash_graph_destroy(graph);
    }
}

Test(graph, only_results_can_be_outputs)
{
    for (ash_value value = -1; value <= 6; value++) {
        struct ash_graph *graph;
        cr_assert_eq(ash_graph_create(16, 2, &graph), ASH_OK);
        build(graph);
        ash_graph_mark_output(graph, value);
        cr_assert_eq(ash_graph_status(graph), value >= 2 && value < 6 ? ASH_OK : ASH_ERR_ARGUMENT);
        ash_graph_destroy(graph);
    }
}

Test(graph, capacities_are_checked)
{
    struct ash_graph *graph = NULL;
    static const int64_t bad[][2] = { { 0, 0 }, { 1, 0 }, { 1, 2 }, { INT64_MAX, 1 }, { -1, -1 } };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        cr_assert_eq(ash_graph_create(bad[i][0], bad[i][1], &graph), ASH_ERR_ARGUMENT);
    cr_assert_null(graph);
    ash_graph_destroy(NULL);
}

Test(graph, building_survives_every_failed_allocation)
{
    enum ash_status status = ASH_ERR_NO_MEMORY;
    for (int64_t nth = 0; status != ASH_OK; nth++) {
        struct ash_graph *graph = NULL;
        ash_memory_fail_from(nth);
        status = ash_graph_create(16, 2, &graph);
        if (status == ASH_OK) {
            build(graph);
            status = ash_graph_status(graph);
        }
        ash_memory_fail_from(-1);
        cr_assert(status == ASH_OK || status == ASH_ERR_NO_MEMORY, "%s", ash_error());
        cr_assert_lt(nth, 1000);
        ash_graph_destroy(graph);
    }
}

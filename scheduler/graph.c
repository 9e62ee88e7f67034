/* SPDX-License-Identifier: Apache-2.0 */
#include "scheduler/graph.h"

#include "runtime/memory.h"

#include <stdio.h>
#include <string.h>

struct ash_graph {
    int64_t tokens, outputs;
    struct ash_graph_value *value; /* owns the names */
    size_t values, value_capacity;
    struct ash_graph_node *node; /* owns the names and params */
    size_t nodes, node_capacity;
    int32_t part;           /* of operators to come */
    enum ash_status status; /* the first error, and its message */
    char message[1024];
};

enum ash_status ash_graph_create(int64_t tokens, int64_t outputs, struct ash_graph **out)
{
    if (tokens < 1 || tokens > INT32_MAX || outputs < 1 || outputs > tokens)
        return ash_fail(ASH_ERR_ARGUMENT,
            "a graph takes 1 to %d tokens and at most as many outputs, not %lld and %lld",
            INT32_MAX, (long long)tokens, (long long)outputs);
    struct ash_graph *graph = ash_alloc_zero(sizeof *graph);
    if (!graph)
        return ash_fail_memory(sizeof *graph, "a graph");
    graph->tokens = tokens;
    graph->outputs = outputs;
    graph->part = -1;
    *out = graph;
    return ASH_OK;
}

void ash_graph_destroy(struct ash_graph *graph)
{
    if (!graph)
        return;
    for (size_t i = 0; i < graph->values; i++)
        ash_free((void *)(uintptr_t)graph->value[i].name);
    for (size_t i = 0; i < graph->nodes; i++) {
        ash_free((void *)(uintptr_t)graph->node[i].name);
        ash_free((void *)(uintptr_t)graph->node[i].params);
    }
    ash_free(graph->value);
    ash_free(graph->node);
    ash_free(graph);
}

/* Keeps the first error with its message, under the name of what could not be added. */
static ash_value stop(struct ash_graph *graph, enum ash_status status, const char *name)
{
    graph->status = ash_fail_in(status, "%s", name);
    snprintf(graph->message, sizeof graph->message, "%s", ash_error());
    return ASH_NO_VALUE;
}

enum ash_status ash_graph_status(const struct ash_graph *graph)
{
    if (graph->status == ASH_OK)
        return ASH_OK;
    return ash_fail(graph->status, "%s", graph->message);
}

ash_value ash_graph_fail(struct ash_graph *graph, enum ash_status status)
{
    if (graph->status == ASH_OK) {
        graph->status = status;
        snprintf(graph->message, sizeof graph->message, "%s", ash_error());
    }
    return ASH_NO_VALUE;
}

/* Appends a value of a given kind and shape. */
static enum ash_status append_value(struct ash_graph *graph, const char *name,
    enum ash_value_kind kind, const struct ash_tensor *tensor)
{
    if (graph->values >= INT32_MAX)
        return ash_fail(ASH_ERR_LIMIT, "a graph holds at most %d values", INT32_MAX);
    ASH_TRY(ASH_GROW(graph->value, graph->value_capacity, graph->values));
    char *copy = ash_strdup(name);
    if (!copy)
        return ash_fail_memory(strlen(name) + 1, "a value's name");
    graph->value[graph->values++] =
        (struct ash_graph_value){ .name = copy, .kind = kind, .tensor = *tensor, .producer = -1 };
    return ASH_OK;
}

/* A weight or a state: what the caller says of its shape is checked, not believed. */
static ash_value add_source(struct ash_graph *graph, const char *name, enum ash_value_kind kind,
    const struct ash_tensor *given)
{
    if (graph->status != ASH_OK)
        return ASH_NO_VALUE;
    struct ash_tensor tensor;
    enum ash_status status = ash_tensor_init(given->type, given->rank, given->dim, &tensor);
    if (status == ASH_OK && given->extent != ASH_EXTENT_FIXED)
        status = ash_fail(ASH_ERR_SHAPE, "weights and states do not grow with the batch");
    if (status == ASH_OK && kind == ASH_VALUE_WEIGHT && !given->data)
        status = ash_fail(ASH_ERR_ARGUMENT, "a weight comes with its data");
    if (status == ASH_OK) {
        tensor.data = kind == ASH_VALUE_WEIGHT ? given->data : NULL;
        status = append_value(graph, name, kind, &tensor);
    }
    return status == ASH_OK ? (ash_value)graph->values - 1 : stop(graph, status, name);
}

ash_value ash_graph_weight(
    struct ash_graph *graph, const char *name, const struct ash_tensor *weight)
{
    return add_source(graph, name, ASH_VALUE_WEIGHT, weight);
}

ash_value ash_graph_state(struct ash_graph *graph, const char *name, const struct ash_tensor *shape)
{
    return add_source(graph, name, ASH_VALUE_STATE, shape);
}

/* Fills node->in and args->in from the caller's list. */
static enum ash_status take_inputs(const struct ash_graph *graph, const ash_value *inputs,
    int count, struct ash_graph_node *node, struct ash_args *args)
{
    if (count < 0 || count > ASH_MAX_INPUTS)
        return ash_fail(
            ASH_ERR_ARGUMENT, "an operator takes at most %d inputs, not %d", ASH_MAX_INPUTS, count);
    for (int i = 0; i < ASH_MAX_INPUTS; i++) {
        ash_value value = i < count ? inputs[i] : ASH_NO_VALUE;
        node->in[i] = value;
        if (value == ASH_NO_VALUE)
            continue;
        if (value < 0 || (size_t)value >= graph->values)
            return ash_fail(ASH_ERR_ARGUMENT, "input %d: there is no value %d", i, (int)value);
        if ((node->op->updates >> i & 1) && graph->value[value].kind != ASH_VALUE_STATE)
            return ash_fail(
                ASH_ERR_ARGUMENT, "%s updates input %d, so it must be a state", node->op->name, i);
        args->in[i] = graph->value[value].tensor;
        args->in[i].data = NULL;
    }
    return ASH_OK;
}

/* Puts the graph's capacity where infer() left a run-time extent, and checks the size again. */
static enum ash_status set_capacity(const struct ash_graph *graph, struct ash_tensor *tensor)
{
    if (tensor->rank == 0)
        return ASH_OK;
    enum ash_extent extent = tensor->extent;
    if (extent == ASH_EXTENT_TOKENS)
        tensor->dim[0] = graph->tokens;
    else if (extent == ASH_EXTENT_OUTPUTS)
        tensor->dim[0] = graph->outputs;
    ASH_TRY(ash_tensor_init(tensor->type, tensor->rank, tensor->dim, tensor));
    tensor->extent = extent;
    return ASH_OK;
}

/* The value that an operator without a result gives back: the first one that it updates. */
static ash_value updated(const struct ash_graph_node *node)
{
    for (int i = 0; i < ASH_MAX_INPUTS; i++)
        if ((node->op->updates >> i & 1) && node->in[i] != ASH_NO_VALUE)
            return node->in[i];
    return ASH_NO_VALUE;
}

/* Copies name and params and appends the node, and its result if it has one. */
static enum ash_status append_node(
    struct ash_graph *graph, struct ash_graph_node node, const struct ash_tensor *result)
{
    const char *name = node.name;
    const void *params = node.params;
    void *copy = NULL;
    ASH_TRY(ASH_GROW(graph->node, graph->node_capacity, graph->nodes));
    node.part = graph->part;
    node.name = node.part < 0 ? ash_strdup(name) : ash_format("%s#%d", name, (int)node.part);
    if (node.op->params_bytes)
        copy = ash_alloc(node.op->params_bytes);
    if (!node.name || (node.op->params_bytes && !copy)) {
        ash_free((void *)(uintptr_t)node.name);
        ash_free(copy);
        return ash_fail_memory(strlen(name) + 1 + node.op->params_bytes, "a node");
    }
    node.params = copy ? memcpy(copy, params, node.op->params_bytes) : NULL;
    node.out = result->rank ? (ash_value)graph->values : ASH_NO_VALUE;
    graph->node[graph->nodes++] = node;
    if (!result->rank)
        return ASH_OK;
    /* Should this fail, the graph holds a node too many, but never gives it to anyone. */
    ASH_TRY(append_value(graph, name, ASH_VALUE_RESULT, result));
    graph->value[node.out].producer = (int32_t)graph->nodes - 1;
    return ASH_OK;
}

ash_value ash_graph_add(struct ash_graph *graph, const char *name, const struct ash_op *op,
    const ash_value *inputs, int count, const void *params)
{
    if (graph->status != ASH_OK)
        return ASH_NO_VALUE;
    if (!op)
        return stop(graph, ash_fail(ASH_ERR_UNSUPPORTED, "no such operator in this build"), name);
    struct ash_graph_node node = { .name = name, .op = op, .params = params };
    struct ash_args args = { .params = params };
    struct ash_tensor result;
    enum ash_status status = take_inputs(graph, inputs, count, &node, &args);
    if (status == ASH_OK)
        status = ash_op_infer(op, &args, &result);
    if (status == ASH_OK)
        status = set_capacity(graph, &result);
    if (status == ASH_OK)
        status = append_node(graph, node, &result);
    if (status != ASH_OK)
        return stop(graph, status, name);
    node = graph->node[graph->nodes - 1];
    return node.out != ASH_NO_VALUE ? node.out : updated(&node);
}

void ash_graph_set_part(struct ash_graph *graph, int32_t part)
{
    graph->part = part;
}

void ash_graph_mark_output(struct ash_graph *graph, ash_value value)
{
    if (graph->status != ASH_OK)
        return;
    if (value < 0 || (size_t)value >= graph->values ||
        graph->value[value].kind != ASH_VALUE_RESULT) {
        stop(graph, ash_fail(ASH_ERR_ARGUMENT, "value %d is not made by an operator", (int)value),
            "output");
        return;
    }
    graph->value[value].output = true;
}

int32_t ash_graph_values(const struct ash_graph *graph)
{
    return (int32_t)graph->values;
}

int32_t ash_graph_nodes(const struct ash_graph *graph)
{
    return (int32_t)graph->nodes;
}

const struct ash_graph_value *ash_graph_value_at(const struct ash_graph *graph, ash_value value)
{
    return value >= 0 && (size_t)value < graph->values ? &graph->value[value] : NULL;
}

const struct ash_graph_node *ash_graph_node_at(const struct ash_graph *graph, int32_t node)
{
    return node >= 0 && (size_t)node < graph->nodes ? &graph->node[node] : NULL;
}

int64_t ash_graph_tokens(const struct ash_graph *graph)
{
    return graph->tokens;
}

int64_t ash_graph_outputs(const struct ash_graph *graph)
{
    return graph->outputs;
}

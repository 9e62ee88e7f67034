/* SPDX-License-Identifier: Apache-2.0 */
#include "scheduler/place.h"

#include "kernels/matmul/matmul.h"
#include "runtime/memory.h"
#include "scheduler/cost_file.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Of a device's memory, what activations, queues and its driver may take. */
static const double kept_part = 0.05;

/* A problem with its arrays, which are growing lists. The last task is the return to the host. */
struct building {
    const struct ash_graph *graph;
    const struct ash_machine *machine;
    const struct ash_place_options *options;
    struct ash_schedule_problem problem;
    double *seconds, *memory_bytes;
    int32_t *together;
    int32_t *state_group; /* [value]: the group of the nodes that touch a state; -1 = none yet */
    struct ash_schedule_edge *edge;
    size_t edges, edge_capacity;
    struct ash_schedule_object *object; /* [value]: weights and states */
    struct ash_schedule_use *use;
    size_t uses, use_capacity;
};

static void building_finish(struct building *b)
{
    void *owned[] = { b->seconds, b->memory_bytes, b->together, b->state_group, b->edge, b->object,
        b->use };
    for (size_t i = 0; i < sizeof owned / sizeof *owned; i++)
        ash_free(owned[i]);
}

/* ---- Costs ---- */

/* The arguments of a node at their largest; no data. */
static struct ash_args args_of(const struct building *b, const struct ash_graph_node *node)
{
    const struct ash_batch *batch = b->options->batch;
    struct ash_args args = { .params = node->params,
        .prompts = !batch || batch->tokens > batch->spans };
    for (int i = 0; i < ASH_MAX_INPUTS; i++)
        if (node->in[i] != ASH_NO_VALUE) {
            args.in[i] = ash_graph_value_at(b->graph, node->in[i])->tensor;
            args.in[i].data = NULL;
        }
    if (node->out != ASH_NO_VALUE)
        args.out = ash_graph_value_at(b->graph, node->out)->tensor;
    return args;
}

/* Operators that multiply by a weight run at the matrix rate. */
static const struct ash_rates *rates_of(
    const struct building *b, const struct ash_graph_node *node, int32_t device)
{
    const struct ash_machine_device *on = &b->machine->device[device];
    return node->op == &ash_op_matmul ? &on->matmul : &on->vector;
}

static double seconds_on(const struct building *b, const struct ash_graph_node *node,
    const struct ash_args *args, int32_t device)
{
    struct ash_cost_call call;
    const struct ash_place_options *options = b->options;
    if (options->runs && !options->runs(options->context, b->graph, node, device))
        return HUGE_VAL;
    ash_cost_call_of(
        options->devices ? options->devices[device] : NULL, node->op, args, options->batch, &call);
    const struct ash_cost *cost = &call.cost;
    if (options->cost_model && options->cost_model[device])
        return ash_cost_model_predict(options->cost_model[device], call.key, cost);
    const struct ash_rates *rates = rates_of(b, node, device);
    return rates->launch_s + fmax((cost->bytes_read + cost->bytes_written) / rates->bytes_per_s,
                                 cost->flops / rates->flops_per_s);
}

/* ---- The problem ---- */

static enum ash_status add_edge(struct building *b, ash_value value, int32_t to)
{
    const struct ash_graph_value *from = ash_graph_value_at(b->graph, value);
    struct ash_tensor tensor = from->tensor;
    if (b->options->batch)
        ash_tensor_bind(&tensor, b->options->batch);
    ASH_TRY(ASH_GROW(b->edge, b->edge_capacity, b->edges));
    b->edge[b->edges++] = (struct ash_schedule_edge){
        .from = from->producer, .to = to, .bytes = (double)ash_tensor_bytes(&tensor)
    };
    return ASH_OK;
}

/* A node has touched states of two groups: they are one from here on, also for nodes to come. */
static void join_groups(struct building *b, int32_t from, int32_t to)
{
    for (int32_t i = 0; i < ash_graph_nodes(b->graph); i++)
        if (b->together[i] == from)
            b->together[i] = to;
    for (ash_value value = 0; value < ash_graph_values(b->graph); value++)
        if (b->state_group[value] == from)
            b->state_group[value] = to;
}

/* A weight or state is held by every device that uses it; nodes of one state make one group, but for
 * scratch, which each device may have for itself. */
static enum ash_status add_use(struct building *b, ash_value value, int32_t node, bool scratch)
{
    ASH_TRY(ASH_GROW(b->use, b->use_capacity, b->uses));
    b->use[b->uses++] = (struct ash_schedule_use){ node, value };
    const struct ash_graph_value *held = ash_graph_value_at(b->graph, value);
    b->object[value].bytes = (double)ash_tensor_bytes(&held->tensor);
    if (held->kind != ASH_VALUE_STATE || scratch)
        return ASH_OK;
    int32_t before = b->together[node], group = b->state_group[value];
    if (group < 0)
        group = before >= 0 ? before : node;
    b->state_group[value] = b->together[node] = group;
    if (before >= 0 && before != group)
        join_groups(b, before, group);
    return ASH_OK;
}

static enum ash_status add_node(struct building *b, int32_t index)
{
    const struct ash_graph_node *node = ash_graph_node_at(b->graph, index);
    struct ash_args args = args_of(b, node);
    for (int32_t device = 0; device < b->machine->devices; device++)
        b->seconds[(size_t)index * (size_t)b->machine->devices + (size_t)device] =
            seconds_on(b, node, &args, device);
    for (int i = 0; i < ASH_MAX_INPUTS; i++) {
        if (node->in[i] == ASH_NO_VALUE)
            continue;
        if (ash_graph_value_at(b->graph, node->in[i])->kind == ASH_VALUE_RESULT)
            ASH_TRY(add_edge(b, node->in[i], index));
        else
            ASH_TRY(add_use(b, node->in[i], index, node->op->scratch >> i & 1));
    }
    return ASH_OK;
}

/* Outputs return to the host: a task that takes no time, and only the host can run. */
static enum ash_status add_return(struct building *b)
{
    int32_t task = ash_graph_nodes(b->graph);
    for (int32_t device = 0; device < b->machine->devices; device++)
        b->seconds[(size_t)task * (size_t)b->machine->devices + (size_t)device] =
            device == b->machine->home ? 0 : HUGE_VAL;
    for (ash_value value = 0; value < ash_graph_values(b->graph); value++)
        if (ash_graph_value_at(b->graph, value)->output)
            ASH_TRY(add_edge(b, value, task));
    return ASH_OK;
}

static enum ash_status allocate(struct building *b)
{
    size_t tasks = (size_t)ash_graph_nodes(b->graph) + 1, devices = (size_t)b->machine->devices;
    size_t values = (size_t)ash_graph_values(b->graph);
    b->seconds = ash_alloc_array(tasks, devices * sizeof *b->seconds);
    b->memory_bytes = ash_alloc_array(devices, sizeof *b->memory_bytes);
    b->together = ash_alloc_array(tasks, sizeof *b->together);
    b->state_group = ash_alloc_array(values, sizeof *b->state_group);
    b->object = ash_alloc_array(values, sizeof *b->object);
    if (!b->seconds || !b->memory_bytes || !b->together || !b->state_group || !b->object)
        return ash_fail_memory(tasks * devices * sizeof *b->seconds, "a placement");
    memset(b->together, -1, tasks * sizeof *b->together);
    memset(b->state_group, -1, values * sizeof *b->state_group);
    return ASH_OK;
}

static enum ash_status build(struct building *b)
{
    ASH_TRY(ash_graph_status(b->graph));
    ASH_TRY(allocate(b));
    for (int32_t device = 0; device < b->machine->devices; device++)
        b->memory_bytes[device] = b->options->unlimited
                                      ? HUGE_VAL
                                      : b->machine->device[device].memory_bytes * (1 - kept_part);
    for (int32_t node = 0; node < ash_graph_nodes(b->graph); node++)
        ASH_TRY(add_node(b, node));
    ASH_TRY(add_return(b));
    b->problem = (struct ash_schedule_problem){ .tasks = ash_graph_nodes(b->graph) + 1,
        .devices = b->machine->devices,
        .seconds = b->seconds,
        .together = b->together,
        .edge = b->edge,
        .edges = (int32_t)b->edges,
        .object = b->object,
        .objects = ash_graph_values(b->graph),
        .use = b->use,
        .uses = (int32_t)b->uses,
        .memory_bytes = b->memory_bytes,
        .link = b->machine->link,
        .links = b->machine->links,
        .way = b->machine->way };
    return ASH_OK;
}

/* ---- The solution ---- */

static enum ash_status add_up(const struct building *b, struct ash_placement *out)
{
    size_t devices = (size_t)b->machine->devices, values = (size_t)ash_graph_values(b->graph);
    bool *held = ash_alloc_array(devices, values * sizeof *held);
    if (!held)
        return ash_fail_memory(devices * values, "a placement");
    for (int32_t task = 0; task < b->problem.tasks; task++) {
        const struct ash_schedule_slot *slot = &out->schedule.slot[task];
        out->busy_s[slot->device] += slot->end_s - slot->start_s;
        out->device[task] = slot->device;
    }
    for (size_t i = 0; i < b->uses; i++) {
        int32_t device = out->device[b->use[i].task];
        bool *holds = &held[(size_t)device * values + (size_t)b->use[i].object];
        out->used_bytes[device] += *holds ? 0 : b->object[b->use[i].object].bytes;
        *holds = true;
    }
    ash_free(held);
    return ASH_OK;
}

/* On the devices given, in the order of the tasks; the last one is the return to the host. */
static enum ash_status simulate(
    const struct building *b, const int32_t *device, struct ash_schedule *out)
{
    int32_t nodes = b->problem.tasks - 1;
    int32_t *on = ash_alloc_array((size_t)b->problem.tasks, sizeof *on);
    int32_t *order = ash_alloc_array((size_t)b->problem.tasks, sizeof *order);
    enum ash_status status = ASH_OK;
    if (!on || !order)
        status = ash_fail_memory((size_t)b->problem.tasks * sizeof *order, "a placement");
    for (int32_t i = 0; i <= nodes && status == ASH_OK; i++) {
        on[i] = i < nodes ? device[i] : b->machine->home;
        order[i] = i;
    }
    if (status == ASH_OK)
        status = ash_schedule_simulate(&b->problem, on, order, out);
    ash_free(on);
    ash_free(order);
    return status;
}

static enum ash_status solve(struct building *b, const int32_t *device, struct ash_schedule *out)
{
    if (device)
        return simulate(b, device, out);
    return b->options->heft ? ash_schedule_heft(&b->problem, out)
                            : ash_schedule_find(&b->problem, b->options->effort, out);
}

/* The schedule that is found, or that of `device`. */
static enum ash_status schedule(
    struct building *b, const int32_t *device, struct ash_placement *out)
{
    struct ash_placement placement = {
        .device = ash_alloc_array((size_t)b->problem.tasks, sizeof *placement.device),
        .used_bytes = ash_alloc_array((size_t)b->machine->devices, sizeof *placement.used_bytes),
        .busy_s = ash_alloc_array((size_t)b->machine->devices, sizeof *placement.busy_s),
    };
    enum ash_status status = ASH_OK;
    if (!placement.device || !placement.used_bytes || !placement.busy_s)
        status = ash_fail_memory((size_t)b->problem.tasks * sizeof(int32_t), "a placement");
    if (status == ASH_OK)
        status = solve(b, device, &placement.schedule);
    if (status == ASH_OK)
        status = add_up(b, &placement);
    if (status == ASH_OK)
        *out = placement;
    else
        ash_placement_finish(&placement);
    return status;
}

/* Bytes of all weights and states, for messages. */
static double total_bytes(const struct building *b)
{
    double sum = 0;
    for (int32_t i = 0; b->object && i < b->problem.objects; i++)
        sum += b->object[i].bytes;
    return sum;
}

static enum ash_status place(const struct ash_graph *graph, const struct ash_machine *machine,
    const struct ash_place_options *options, const int32_t *device, struct ash_placement *out)
{
    struct building b = { .graph = graph, .machine = machine, .options = options };
    enum ash_status status = build(&b);
    if (status == ASH_OK) {
        status = schedule(&b, device, out);
        if (status == ASH_ERR_NO_MEMORY)
            status = ash_fail_in(status, "weights and caches of %.2f GB", total_bytes(&b) / 1e9);
    }
    building_finish(&b);
    return status;
}

enum ash_status ash_place_find(const struct ash_graph *graph, const struct ash_machine *machine,
    const struct ash_place_options *options, struct ash_placement *out)
{
    return place(graph, machine, options, NULL, out);
}

enum ash_status ash_place_given(const struct ash_graph *graph, const struct ash_machine *machine,
    const struct ash_place_options *options, const int32_t *device, struct ash_placement *out)
{
    return place(graph, machine, options, device, out);
}

enum ash_status ash_place_stream(const struct ash_graph *graph, const struct ash_machine *machine,
    const struct ash_place_options *options, const int32_t *device, int32_t parts,
    double *seconds_out)
{
    struct ash_placement one;
    ASH_TRY(place(graph, machine, options, device, &one));
    double slowest_s = parts > 1 ? one.schedule.transfer_s : 0;
    for (int32_t i = 0; i < machine->devices; i++)
        slowest_s = fmax(slowest_s, one.busy_s[i]);
    *seconds_out = one.schedule.makespan_s + (parts - 1) * slowest_s;
    ash_placement_finish(&one);
    return ASH_OK;
}

void ash_placement_finish(struct ash_placement *placement)
{
    ash_free(placement->device);
    ash_free(placement->used_bytes);
    ash_free(placement->busy_s);
    ash_schedule_finish(&placement->schedule);
    *placement = (struct ash_placement){ 0 };
}

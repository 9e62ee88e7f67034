/* SPDX-License-Identifier: Apache-2.0 */
#include "models/devices.h"

#include "runtime/memory.h"
#include "scheduler/cost_file.h"
#include "scheduler/devices.h"
#include "scheduler/place.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Trials a task in the search for a placement; some 50 ms for a model of 30 layers. */
enum { EFFORT = 16, MOST_TRIES = 24 };

/* The position at which a token's time counts: deep enough for attention to have its part. */
enum { TYPICAL_DEPTH = 512 };

void ash_devices_begin(const struct ash_runtime *runtime, struct ash_model_devices *out)
{
    *out = (struct ash_model_devices){ .count = runtime->device_count,
        .split = strcmp(runtime->config.split, "auto") != 0 };
    for (int32_t i = 0; i < out->count; i++) {
        out->device[i] = runtime->device[i];
        out->memory_bytes[i] = (double)runtime->device[i]->info.memory_bytes;
    }
}

/* ---- By layers, as the user says ---- */

/* How many layers each device takes: "10,20". */
static enum ash_status read_split(
    const char *text, int64_t layers, int32_t devices, int64_t count[ASH_MAX_DEVICES])
{
    char names[256], *rest = names;
    int32_t parts = 0;
    int64_t sum = 0;
    if (snprintf(names, sizeof names, "%s", text) >= (int)sizeof names)
        return ash_fail(ASH_ERR_ARGUMENT, "--split: more than %zu bytes", sizeof names - 1);
    while (rest && parts < devices) {
        ASH_TRY(ash_fail_in(
            ash_text_to_integer(strsep(&rest, ","), 0, layers, &count[parts]), "--split"));
        sum += count[parts++];
    }
    if (rest || parts < devices || sum != layers)
        return ash_fail(ASH_ERR_ARGUMENT,
            "--split %s: expected %d numbers, one for each device, that together are the model's %lld "
            "layers",
            text, devices, (long long)layers);
    return ASH_OK;
}

static int32_t device_of_layer(const int64_t *count, int32_t devices, int64_t layer)
{
    int32_t device = 0;
    while (device + 1 < devices && layer >= count[device])
        layer -= count[device++];
    return device;
}

/* Of "blk.N.what"; -1 = of no layer. */
static int64_t layer_of(const char *name)
{
    char *end;
    if (strncmp(name, "blk.", 4) != 0)
        return -1;
    long long layer = strtoll(name + 4, &end, 10);
    return end > name + 4 && *end == '.' ? layer : -1;
}

/* What comes before the first layer goes with it, and what comes after the last with that. */
static enum ash_status split(const struct ash_placing *placing, int32_t devices, int32_t *placement)
{
    int64_t count[ASH_MAX_DEVICES];
    ASH_TRY(read_split(placing->config->split, placing->layers, devices, count));
    int32_t device = device_of_layer(count, devices, 0);
    for (int32_t n = 0; n < ash_graph_nodes(placing->graph); n++) {
        int64_t layer = layer_of(ash_graph_node_at(placing->graph, n)->name);
        device = layer >= 0 ? device_of_layer(count, devices, layer) : device;
        placement[n] = device;
    }
    return ASH_OK;
}

/* ---- As should be fastest ---- */

/* Which devices have a kernel for a kind of node: asked once for all nodes that are alike. */
struct asked {
    const struct ash_op *op;
    struct ash_args args; /* params as of the first such node */
    int32_t device;
    bool runs;
};

struct asking {
    const struct ash_model_devices *devices;
    const struct ash_graph *graph;
    struct asked *item;
    size_t count, capacity;
};

static bool is_same(const struct ash_tensor *a, const struct ash_tensor *b)
{
    return a->type == b->type && a->extent == b->extent && a->rank == b->rank &&
           memcmp(a->dim, b->dim, sizeof a->dim) == 0;
}

static bool is_alike(const struct asked *a, const struct asked *b)
{
    size_t bytes = a->op->params_bytes;
    if (a->op != b->op || a->device != b->device ||
        (bytes && memcmp(a->args.params, b->args.params, bytes) != 0))
        return false;
    for (int i = 0; i < ASH_MAX_INPUTS; i++)
        if (!is_same(&a->args.in[i], &b->args.in[i]))
            return false;
    return is_same(&a->args.out, &b->args.out);
}

static bool runs(void *context, const struct ash_graph_node *node, int32_t index)
{
    struct asking *asking = context;
    struct ash_device *device = asking->devices->device[index];
    struct asked item = { .op = node->op, .args = { .params = node->params }, .device = index };
    for (int i = 0; i < ASH_MAX_INPUTS; i++)
        if (node->in[i] != ASH_NO_VALUE) {
            item.args.in[i] = ash_graph_value_at(asking->graph, node->in[i])->tensor;
            item.args.in[i].data = NULL;
        }
    if (node->out != ASH_NO_VALUE)
        item.args.out = ash_graph_value_at(asking->graph, node->out)->tensor;
    for (size_t i = 0; i < asking->count; i++)
        if (is_alike(&asking->item[i], &item))
            return asking->item[i].runs;
    struct ash_loaded *loaded = NULL;
    item.runs = device->driver->load(device, node->op, &item.args, &loaded) == ASH_OK;
    device->driver->unload(device, loaded);
    if (ASH_GROW(asking->item, asking->capacity, asking->count) == ASH_OK)
        asking->item[asking->count++] = item;
    return item.runs;
}

/* A placement must promise a tenth over the best device alone, if one can hold all: the clock knows nothing
 * of what else devices that share a processor or a bus do to each other. */
static const double worth = 0.9;

/* The best device alone, and what it takes: HUGE_VAL where none can. */
static enum ash_status find_alone(const struct ash_graph *graph, const struct ash_machine *machine,
    const struct ash_place_options *options, int32_t *best, double *best_s)
{
    int32_t nodes = ash_graph_nodes(graph);
    int32_t *device = ash_alloc_array((size_t)nodes + 1, sizeof *device);
    int32_t *order = ash_alloc_array((size_t)nodes + 1, sizeof *order);
    enum ash_status status =
        device && order ? ASH_OK
                        : ash_fail_memory(2 * (size_t)nodes * sizeof *order, "a placement");
    *best_s = HUGE_VAL;
    for (int32_t d = 0; d < machine->devices && status == ASH_OK; d++) {
        double seconds;
        for (int32_t i = 0; i <= nodes; i++) {
            device[i] = i < nodes ? d : machine->home; /* the last is the return of the outputs */
            order[i] = i;
        }
        const struct ash_placement alone = { .device = device, .schedule = { .order = order } };
        if (ash_place_predict(graph, machine, options, &alone, &seconds) == ASH_OK &&
            seconds < *best_s) {
            *best_s = seconds;
            *best = d;
        }
    }
    ash_free(device);
    ash_free(order);
    return status;
}

static enum ash_status find_best(const struct ash_graph *graph, const struct ash_machine *machine,
    const struct ash_place_options *options, int32_t *placement)
{
    struct ash_placement found;
    double alone_s;
    int32_t alone = 0, nodes = ash_graph_nodes(graph);
    ASH_TRY(find_alone(graph, machine, options, &alone, &alone_s));
    ASH_TRY(ash_place_find(graph, machine, options, &found));
    bool pays = found.schedule.makespan_s < worth * alone_s;
    for (int32_t i = 0; i < nodes; i++)
        placement[i] = pays ? found.device[i] : alone;
    ash_placement_finish(&found);
    return ASH_OK;
}

/* The placement that is best for one token, decoded at a typical depth. */
static enum ash_status find(const struct ash_model_devices *devices,
    const struct ash_placing *placing, const struct ash_machine *machine,
    struct ash_cost_model *const *models, int32_t *placement)
{
    int32_t depth = placing->context > TYPICAL_DEPTH ? TYPICAL_DEPTH : placing->context - 1;
    int32_t *zeros = ash_alloc_array((size_t)depth + 1, sizeof *zeros);
    if (!zeros)
        return ash_fail_memory((size_t)depth * sizeof *zeros, "a batch");
    struct ash_span span = { 0, 1, depth, zeros };
    struct ash_batch batch = { 1, 1, 1, zeros, zeros, zeros, &span };
    struct asking asking = { .devices = devices, .graph = placing->graph };
    enum ash_status status = find_best(placing->graph, machine,
        &(struct ash_place_options){
            .batch = &batch,
            .cost_model = (const struct ash_cost_model *const *)models,
            .runs = runs,
            .context = &asking,
            .effort = EFFORT,
        },
        placement);
    ash_free(asking.item);
    ash_free(zeros);
    return status;
}

/* What was measured of each device; NULL where nothing was: its kind's figures then. */
static enum ash_status open_models(const struct ash_model_devices *devices, const char *directory,
    struct ash_cost_model *out[ASH_MAX_DEVICES])
{
    for (int32_t i = 0; i < devices->count && directory; i++) {
        bool measured;
        ASH_TRY(ash_costs_open(directory, devices->device[i], &out[i], &measured));
        if (measured)
            continue;
        ash_cost_model_destroy(out[i]);
        out[i] = NULL;
    }
    return ASH_OK;
}

static enum ash_status choose(
    const struct ash_model_devices *devices, const struct ash_placing *placing, int32_t *placement)
{
    struct ash_machine machine = { 0 };
    struct ash_cost_model *models[ASH_MAX_DEVICES] = { NULL };
    enum ash_status status = open_models(devices, placing->config->cache_dir, models);
    if (status == ASH_OK)
        status = ash_machine_of(
            devices->device, devices->count, models, devices->memory_bytes, &machine);
    if (status == ASH_OK)
        status = find(devices, placing, &machine, models, placement);
    for (int32_t i = 0; i < devices->count; i++)
        ash_cost_model_destroy(models[i]);
    ash_machine_finish(&machine);
    return status;
}

enum ash_status ash_devices_place(
    const struct ash_model_devices *devices, const struct ash_placing *placing, int32_t **out)
{
    *out = NULL;
    if (devices->count == 1 && !devices->split)
        return ASH_OK;
    size_t nodes = (size_t)ash_graph_nodes(placing->graph);
    int32_t *placement = ash_alloc_array(nodes, sizeof *placement);
    if (!placement)
        return ash_fail_memory(nodes * sizeof *placement, "a placement");
    enum ash_status status = devices->split ? split(placing, devices->count, placement)
                                            : choose(devices, placing, placement);
    if (status == ASH_OK)
        *out = placement;
    else
        ash_free(placement);
    return status;
}

/* ---- When one fails ---- */

/* A lost device fails whatever it is asked. */
static bool is_lost(struct ash_device *device)
{
    struct ash_buffer *buffer = NULL;
    enum ash_status status = device->driver->alloc(device, 64, ASH_MEMORY_WEIGHTS, &buffer);
    device->driver->free(buffer);
    return status == ASH_ERR_DEVICE;
}

static void drop(struct ash_model_devices *devices, int32_t index, const char *why)
{
    const struct ash_device *device = devices->device[index];
    snprintf(devices->lost, sizeof devices->lost,
        "%s:%d was lost, the model went on without it: %s", device->driver->name,
        device->info.index, why);
    devices->count--;
    devices->split = false;
    for (int32_t i = index; i < devices->count; i++) {
        devices->device[i] = devices->device[i + 1];
        devices->memory_bytes[i] = devices->memory_bytes[i + 1];
    }
}

/* The one that the call went to may only have waited for the one that is lost. */
static bool drop_lost(struct ash_model_devices *devices, int32_t failed)
{
    int32_t before = devices->count;
    char why[256];
    snprintf(why, sizeof why, "%s", ash_error());
    for (int32_t i = devices->count - 1; i >= 0 && devices->count > 1; i--)
        if (is_lost(devices->device[i]))
            drop(devices, i, why);
    if (devices->count == before && devices->count > 1 && failed >= 0)
        drop(devices, failed, why);
    return devices->count < before;
}

bool ash_devices_give_way(struct ash_model_devices *devices, enum ash_status status, int32_t failed)
{
    if (status == ASH_ERR_DEVICE)
        return drop_lost(devices, failed);
    if (status != ASH_ERR_NO_MEMORY || failed < 0 || devices->count == 1 || devices->split ||
        devices->tries++ >= MOST_TRIES)
        return false;
    devices->memory_bytes[failed] *= 0.85;
    return true;
}

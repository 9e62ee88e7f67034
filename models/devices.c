/* SPDX-License-Identifier: Apache-2.0 */
#include "models/devices.h"

#include "models/micro_batch.h"
#include "runtime/memory.h"
#include "scheduler/cost_file.h"
#include "scheduler/devices.h"

#include <stdio.h>
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

/* ---- Where there are several ---- */

/* Which devices have a kernel for a kind of node: asked once for all nodes that are alike, in any graph. */
struct asked {
    const struct ash_op *op;
    struct ash_args args;
    void *params; /* a copy; owned */
    int32_t device;
    bool runs;
};

struct asking {
    const struct ash_model_devices *devices;
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

/* Where there is no memory for an answer, it will be asked for again. */
static void remember(struct asking *asking, struct asked item)
{
    size_t bytes = item.op->params_bytes;
    item.params = bytes ? ash_alloc(bytes) : NULL;
    if ((bytes && !item.params) ||
        ASH_GROW(asking->item, asking->capacity, asking->count) != ASH_OK) {
        ash_free(item.params);
        return;
    }
    if (bytes)
        item.args.params = memcpy(item.params, item.args.params, bytes);
    asking->item[asking->count++] = item;
}

static bool runs(
    void *context, const struct ash_graph *graph, const struct ash_graph_node *node, int32_t index)
{
    struct asking *asking = context;
    struct ash_device *device = asking->devices->device[index];
    struct asked item = { .op = node->op, .args = { .params = node->params }, .device = index };
    for (int i = 0; i < ASH_MAX_INPUTS; i++)
        if (node->in[i] != ASH_NO_VALUE) {
            item.args.in[i] = ash_graph_value_at(graph, node->in[i])->tensor;
            item.args.in[i].data = NULL;
        }
    if (node->out != ASH_NO_VALUE)
        item.args.out = ash_graph_value_at(graph, node->out)->tensor;
    for (size_t i = 0; i < asking->count; i++)
        if (is_alike(&asking->item[i], &item))
            return asking->item[i].runs;
    struct ash_loaded *loaded = NULL;
    item.runs = device->driver->load(device, node->op, &item.args, &loaded) == ASH_OK;
    device->driver->unload(device, loaded);
    remember(asking, item);
    return item.runs;
}

/* The placement that is best for one token, decoded at a typical depth. */
static enum ash_status find(const struct ash_model_devices *devices,
    const struct ash_placing *placing, enum ash_split_how how, int32_t context,
    const struct ash_machine *machine, struct ash_cost_model *const *models, struct ash_placed *out)
{
    int32_t depth = context > TYPICAL_DEPTH ? TYPICAL_DEPTH : context - 1;
    int32_t *zeros = ash_alloc_array((size_t)depth + 1, sizeof *zeros);
    if (!zeros)
        return ash_fail_memory((size_t)depth * sizeof *zeros, "a batch");
    struct ash_span span = { 0, 1, depth, zeros };
    struct ash_batch batch = { 1, 1, 1, zeros, zeros, zeros, &span };
    struct asking asking = { .devices = devices };
    enum ash_status status = ash_placing_choose(placing, how, machine,
        &(struct ash_place_options){
            .batch = &batch,
            .cost_model = (const struct ash_cost_model *const *)models,
            .devices = devices->device,
            .runs = runs,
            .context = &asking,
            .effort = EFFORT,
        },
        out);
    for (size_t i = 0; i < asking.count; i++)
        ash_free(asking.item[i].params);
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

/* The first that computes in the host's memory, where tokens come from and logits go. */
static int32_t find_home(const struct ash_model_devices *devices)
{
    for (int32_t i = 0; i < devices->count; i++)
        if (devices->device[i]->info.host_memory)
            return i;
    return 0;
}

/* What is asked of devices. */
struct wish {
    struct ash_split_setting setting;
    const struct ash_device_limits *limits;
    int32_t micro_tokens; /* 0 = as is fastest */
};

/* By the numbers of --split, or as is fastest; and how prompts are cut. */
static enum ash_status place(const struct ash_model_devices *devices,
    const struct ash_placing *placing, const struct wish *wish, const struct ash_machine *machine,
    struct ash_cost_model *const *models, struct ash_placed *out)
{
    const struct ash_split_setting *setting = &wish->setting;
    if (setting->numbers > 0)
        ASH_TRY(ash_placing_follow(placing, setting, find_home(devices), out));
    else
        ASH_TRY(find(devices, placing, setting->how, wish->limits->context, machine, models, out));
    out->micro_tokens = wish->micro_tokens;
    if (wish->micro_tokens > 0)
        return ASH_OK;
    const struct ash_place_options known = {
        .cost_model = (const struct ash_cost_model *const *)models, .devices = devices->device
    };
    enum ash_status status = ash_micro_batch_choose(
        out, machine, &known, wish->limits->batch_tokens, &out->micro_tokens, NULL);
    if (status != ASH_OK)
        ash_placed_finish(out);
    return status;
}

static enum ash_status place_over(const struct ash_model_devices *devices,
    const struct ash_placing *placing, const struct wish *wish, const char *cache_dir,
    struct ash_placed *out)
{
    struct ash_machine machine = { 0 };
    struct ash_cost_model *models[ASH_MAX_DEVICES] = { NULL };
    enum ash_status status = open_models(devices, cache_dir, models);
    if (status == ASH_OK)
        status = ash_machine_of(
            devices->device, devices->count, models, devices->memory_bytes, &machine);
    if (status == ASH_OK)
        status = place(devices, placing, wish, &machine, models, out);
    for (int32_t i = 0; i < devices->count; i++)
        ash_cost_model_destroy(models[i]);
    ash_machine_finish(&machine);
    return status;
}

enum ash_status ash_devices_place(const struct ash_model_devices *devices,
    const struct ash_placing *placing, const struct ash_config *config,
    const struct ash_device_limits *limits, struct ash_placed *out)
{
    struct wish wish = { .setting = { .how = ASH_SPLIT_AUTO },
        .limits = limits,
        .micro_tokens = (int32_t)config->micro_batch };
    if (devices->split)
        ASH_TRY(
            ash_split_read(config->split, devices->count, placing->shape->layers, &wish.setting));
    if (devices->count > 1 || wish.setting.numbers > 0)
        return place_over(devices, placing, &wish, config->cache_dir, out);
    *out = (struct ash_placed){ 0 };
    return placing->build(placing->context, &ash_split_whole, &out->graph);
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

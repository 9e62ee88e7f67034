/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/scheduler/rig.h"

#include "runtime/config.h"
#include "runtime/memory.h"

#include <string.h>

struct ash_device *rig_open(const char *name, int threads)
{
    struct ash_device_info infos[8];
    const struct ash_device_info *info;
    struct ash_device *device;
    int count;
    /* Only the settings that drivers read. */
    struct ash_config config = { .threads = threads };
    rig_must(ash_devices_probe_for(NULL, name, infos, 8, &count) == ASH_OK);
    rig_must(ash_device_find(infos, count, name, &info) == ASH_OK);
    rig_must(info->driver->open(info, &config, &device) == ASH_OK);
    return device;
}

struct ash_graph *rig_graph(void)
{
    struct ash_graph *graph;
    rig_must(ash_graph_create(RIG_TOKENS, RIG_OUTPUTS, &graph) == ASH_OK);
    return graph;
}

ash_value rig_weight(struct ash_graph *graph, int64_t rows, uint32_t seed)
{
    static float numbers[64][RIG_COLUMNS * RIG_COLUMNS];
    struct ash_tensor weight;
    int64_t dim[2] = { rows, RIG_COLUMNS };
    rig_must(ash_tensor_init(ASH_F32, rows ? 2 : 1, rows ? dim : dim + 1, &weight) == ASH_OK);
    weight.data = numbers[seed % 64];
    tiny_fill(weight.data, ash_tensor_elements(&weight), seed);
    return ash_graph_weight(graph, "weight", &weight);
}

ash_value rig_state(struct ash_graph *graph)
{
    struct ash_tensor state;
    rig_must(ash_tensor_init(ASH_F32, 2, (int64_t[]){ 5, RIG_COLUMNS }, &state) == ASH_OK);
    return ash_graph_state(graph, "state", &state);
}

ash_value rig_source(struct ash_graph *graph, const char *name)
{
    struct tiny_source_params params = { RIG_COLUMNS };
    return ash_graph_add(graph, name, &tiny_source, NULL, 0, &params);
}

ash_value rig_add(struct ash_graph *graph, const char *name, const struct ash_op *op, ash_value a,
    ash_value b, ash_value c)
{
    return ash_graph_add(graph, name, op, (ash_value[]){ a, b, c }, 3, NULL);
}

/* ---- Random graphs ---- */

struct drawing {
    struct ash_graph *graph;
    uint32_t random;
    ash_value value[256], state[2], gain, matrix[3];
    int values;
    bool a8;
};

static int draw(struct drawing *d, int below)
{
    d->random = d->random * 1664525u + 1013904223u;
    return (int)((d->random >> 8) % (uint32_t)below);
}

/* Mostly a recent value, so that others die. */
static ash_value draw_value(struct drawing *d)
{
    int recent = d->values < 5 ? d->values : 5;
    return d->value[draw(d, 4) ? d->values - 1 - draw(d, recent) : draw(d, d->values)];
}

static ash_value draw_node(struct drawing *d, const char *name)
{
    ash_value x = draw_value(d), y = draw_value(d), state = d->state[draw(d, 2)];
    ash_value matrix = d->matrix[draw(d, 3)], none = ASH_NO_VALUE;
    switch (draw(d, 8)) {
    case 0:
        return rig_add(d->graph, name, &tiny_scale, x, d->gain, none);
    case 1:
    case 2:
        return rig_add(d->graph, name, &tiny_add, x, y, none);
    case 3:
        return rig_add(d->graph, name, &tiny_reverse, x, none, none);
    case 4:
        rig_add(d->graph, name, &tiny_write, x, state, none);
        return none;
    case 5:
        return rig_add(d->graph, name, &tiny_sum, state, x, none);
    case 6:
        return rig_add(d->graph, name, d->a8 ? &tiny_mix_a8 : &tiny_mix, x, matrix, none);
    default:
        return rig_add(d->graph, name, &tiny_mix, x, matrix, draw(d, 3) ? none : y);
    }
}

int rig_random(
    struct ash_graph *graph, uint32_t seed, int nodes, bool a8, ash_value *outputs, int capacity)
{
    struct drawing d = { .graph = graph,
        .random = seed * 2654435761u + 1,
        .a8 = a8,
        .state = { rig_state(graph), rig_state(graph) },
        .gain = rig_weight(graph, 0, 1),
        .matrix = { rig_weight(graph, RIG_COLUMNS, 2), rig_weight(graph, RIG_COLUMNS, 3),
            rig_weight(graph, RIG_COLUMNS, 4) } };
    int count = 0;
    d.value[d.values++] = rig_source(graph, "source");
    for (int i = 1; i < nodes; i++) {
        char name[16];
        snprintf(name, sizeof name, "n%d", i);
        ash_value value = draw_node(&d, name);
        if (value == ASH_NO_VALUE)
            continue;
        d.value[d.values++] = value;
        bool wanted = count < capacity && (i == nodes - 1 || draw(&d, 12) == 0);
        if (wanted)
            ash_graph_mark_output(graph, outputs[count++] = value);
    }
    if (count == 0)
        ash_graph_mark_output(graph, outputs[count++] = d.value[d.values - 1]);
    rig_must(ash_graph_status(graph) == ASH_OK);
    return count;
}

/* ---- Plans ---- */

struct ash_plan *rig_plan(const struct ash_graph *graph, struct ash_device *device,
    const struct ash_plan_options *options)
{
    struct ash_plan_options given = options ? *options : (struct ash_plan_options){ 0 };
    struct ash_plan *plan;
    given.devices = &device;
    given.device_count = 1;
    rig_must(ash_plan_create(graph, &given, &plan) == ASH_OK);
    return plan;
}

void rig_plan_with_failing_memory(
    const struct ash_graph *graph, const struct ash_plan_options *options)
{
    enum ash_status status = ASH_ERR_NO_MEMORY;
    for (int64_t nth = 0; status != ASH_OK; nth++) {
        struct ash_plan *plan = NULL;
        ash_memory_fail_from(nth);
        status = ash_plan_create(graph, options, &plan);
        ash_memory_fail_from(-1);
        rig_must(status == ASH_OK ? plan != NULL : status == ASH_ERR_NO_MEMORY && !plan);
        ash_plan_destroy(plan);
    }
}

int32_t rig_step(const struct ash_plan *plan, const char *name, struct ash_plan_step *out)
{
    struct ash_plan_summary summary;
    ash_plan_summary(plan, &summary);
    for (int32_t i = 0; i < summary.steps; i++) {
        rig_must(ash_plan_step_at(plan, i, NULL, out) == ASH_OK);
        if (strcmp(out->name, name) == 0)
            return i;
    }
    return -1;
}

struct ash_plan_summary rig_summary(const struct ash_plan *plan)
{
    struct ash_plan_summary summary;
    ash_plan_summary(plan, &summary);
    return summary;
}

void rig_read(struct ash_plan *plan, ash_value value, int32_t tokens, float *out)
{
    struct tiny_batch batch;
    tiny_batch_init(&batch, tokens, 1);
    rig_must(ash_plan_run(plan, &batch.batch) == ASH_OK);
    const struct ash_tensor *found = ash_plan_output(plan, value);
    rig_must(found && found->dim[0] == tokens);
    memcpy(out, found->data, ash_tensor_bytes(found));
}

void rig_place(const struct ash_graph *graph, uint32_t seed, int devices, int32_t *out)
{
    for (int32_t n = 0; n < ash_graph_nodes(graph); n++) {
        const struct ash_graph_node *node = ash_graph_node_at(graph, n);
        seed = seed * 1664525u + 1013904223u;
        out[n] = (int32_t)((seed >> 16) % (uint32_t)devices);
        for (int i = 0; i < 2; i++)
            if (node->in[i] != ASH_NO_VALUE &&
                ash_graph_value_at(graph, node->in[i])->kind == ASH_VALUE_STATE)
                out[n] = node->in[i] % devices;
    }
}

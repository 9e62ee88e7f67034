/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/ashlar/plan_machine.h"

#include "models/micro_batch.h"
#include "runtime/json.h"
#include "runtime/memory.h"
#include "tools/ashlar/load.h"
#include "tools/ashlar/plan_batch.h"
#include "tools/ashlar/table.h"

#include <string.h>

/* Trials a task in the search for a placement; some 50 ms for a model of 30 layers. */
enum { EFFORT = 16 };

struct prediction {
    const char *name;
    struct ash_model *model;
    const struct ash_machine *machine;
    struct ash_placed placed;
    int32_t prefill_tokens, micro_tokens, depth;
    double prefill_s;
};

/* As --split says, else as the program would there: on several devices only if that gains a tenth. */
static enum ash_status place(struct prediction *p, const struct ash_place_options *options)
{
    struct ash_placing placing = ash_model_placing(p->model);
    struct ash_split_setting setting;
    struct ash_placement *placement = &p->placed.placement;
    ASH_TRY(ash_split_read(
        p->model->runtime->config.split, p->machine->devices, placing.shape->layers, &setting));
    if (setting.numbers == 0)
        return ash_placing_choose(&placing, setting.how, p->machine, options, &p->placed);
    ASH_TRY(ash_placing_follow(&placing, &setting, p->machine->home, &p->placed));
    int32_t *device = placement->device;
    placement->device = NULL;
    enum ash_status status =
        ash_place_given(p->placed.graph, p->machine, options, device, placement);
    ash_free(device);
    return status;
}

/* Placed for decoding one token; the prefill runs where that is, in micro-batches where those are faster. */
static enum ash_status predict(struct prediction *p, const struct ash_batch *decode)
{
    ASH_TRY(place(p, &(struct ash_place_options){ .batch = decode, .effort = EFFORT }));
    return ash_micro_batch_choose(&p->placed, p->machine, &(struct ash_place_options){ 0 },
        p->prefill_tokens, &p->micro_tokens, &p->prefill_s);
}

/* ---- Showing ---- */

static const struct ash_column columns[] = {
    { "DEVICE", "device", ASH_ALIGN_LEFT },
    { "PCI", "pci", ASH_ALIGN_LEFT },
    { "NUMA", "numa_node", ASH_ALIGN_RIGHT },
    { "OPERATORS", "operators", ASH_ALIGN_RIGHT },
    { "FIRST", "first", ASH_ALIGN_LEFT },
    { "LAST", "last", ASH_ALIGN_LEFT },
    { "WEIGHTS", "weight_bytes", ASH_ALIGN_RIGHT },
    { "CACHES", "state_bytes", ASH_ALIGN_RIGHT },
    { "OF", "memory_bytes", ASH_ALIGN_RIGHT },
    { "BUSY MS A TOKEN", "busy_ms", ASH_ALIGN_RIGHT },
};

/* What of a kind the operators of a device read; each value once, by `seen` [value]. */
static uint64_t held_bytes(
    const struct prediction *p, int32_t index, enum ash_value_kind kind, bool *seen)
{
    const struct ash_graph *graph = p->placed.graph;
    uint64_t sum = 0;
    memset(seen, 0, (size_t)ash_graph_values(graph) * sizeof *seen);
    for (int32_t n = 0; n < ash_graph_nodes(graph); n++) {
        const struct ash_graph_node *node = ash_graph_node_at(graph, n);
        for (int i = 0; i < ASH_MAX_INPUTS && p->placed.placement.device[n] == index; i++) {
            ash_value in = node->in[i];
            if (in == ASH_NO_VALUE || seen[in] || ash_graph_value_at(graph, in)->kind != kind)
                continue;
            sum += ash_tensor_bytes(&ash_graph_value_at(graph, in)->tensor);
            seen[in] = true;
        }
    }
    return sum;
}

static void add_row(struct ash_table *table, const struct prediction *p, int32_t index, bool *seen)
{
    const struct ash_machine_device *device = &p->machine->device[index];
    const char *first = NULL, *last = NULL;
    int64_t operators = 0;
    for (int32_t node = 0; node < ash_graph_nodes(p->placed.graph); node++) {
        if (p->placed.placement.device[node] != index)
            continue;
        last = ash_graph_node_at(p->placed.graph, node)->name;
        first = first ? first : last;
        operators++;
    }
    ash_table_text(table, device->name);
    ash_table_text(table, device->pci[0] ? device->pci : NULL);
    if (device->numa_node >= 0)
        ash_table_integer(table, device->numa_node);
    else
        ash_table_text(table, NULL);
    ash_table_integer(table, operators);
    ash_table_text(table, first);
    ash_table_text(table, last);
    ash_table_bytes(table, held_bytes(p, index, ASH_VALUE_WEIGHT, seen));
    ash_table_bytes(table, held_bytes(p, index, ASH_VALUE_STATE, seen));
    ash_table_bytes(table, (uint64_t)device->memory_bytes);
    ash_table_real(table, p->placed.placement.busy_s[index] * 1e3, 3);
}

static enum ash_status print(const struct prediction *p, const struct ash_table *table)
{
    const struct ash_schedule *schedule = &p->placed.placement.schedule;
    int32_t used = 0;
    for (int32_t i = 0; i < p->machine->devices; i++)
        used += p->placed.placement.used_bytes[i] > 0;
    printf("%s on %d of %d device%s", p->name, used, p->machine->devices,
        p->machine->devices == 1 ? "" : "s");
    if (used > 1)
        printf(", by %s", schedule->strategy);
    printf("\n\n");
    ASH_TRY(ash_table_print(table, stdout));
    printf("\ndecoding after %d positions: %.1f tokens/s (%.3f ms, of them %.3f transfers that "
           "nothing hides)\n",
        p->depth, 1 / schedule->makespan_s, schedule->makespan_s * 1e3, schedule->exposed_s * 1e3);
    printf("prefill of %d tokens: %.0f tokens/s (%.2f ms", p->prefill_tokens,
        p->prefill_tokens / p->prefill_s, p->prefill_s * 1e3);
    if (p->micro_tokens)
        printf(", in micro-batches of %d", p->micro_tokens);
    printf(")\n");
    return ASH_OK;
}

static enum ash_status print_json(const struct prediction *p, const struct ash_table *table)
{
    const struct ash_schedule *schedule = &p->placed.placement.schedule;
    json_t *json = json_pack("{s:o, s:s, s:i, s:f, s:f, s:f, s:i, s:i, s:f, s:o}", "model",
        ash_json_text(p->name, strlen(p->name)), "strategy", schedule->strategy, "depth",
        (int)p->depth, "decode_s", schedule->makespan_s, "transfer_s", schedule->transfer_s,
        "exposed_s", schedule->exposed_s, "prefill_tokens", (int)p->prefill_tokens, "micro_tokens",
        (int)p->micro_tokens, "prefill_s", p->prefill_s, "devices", ash_table_json(table));
    enum ash_status status = ash_json_print(json, stdout);
    json_decref(json);
    return status;
}

static enum ash_status show(const struct prediction *p, bool json)
{
    struct ash_table *table;
    size_t values = (size_t)ash_graph_values(p->placed.graph);
    bool *seen = ash_alloc_array(values, sizeof *seen);
    if (!seen)
        return ash_fail_memory(values * sizeof *seen, "a table of devices");
    enum ash_status status = ash_table_create(columns, sizeof columns / sizeof *columns, &table);
    if (status == ASH_OK) {
        for (int32_t i = 0; i < p->machine->devices; i++)
            add_row(table, p, i, seen);
        status = json ? print_json(p, table) : print(p, table);
        ash_table_destroy(table);
    }
    ash_free(seen);
    return status;
}

/* ---- The command ---- */

static enum ash_status place_model(const struct ash_machine_view *view,
    const struct ash_loaded_model *loaded, const struct ash_machine *machine)
{
    const struct ash_model *model = loaded->model;
    struct prediction p = { .name = loaded->name,
        .model = loaded->model,
        .machine = machine,
        .prefill_tokens = view->tokens ? (int32_t)view->tokens : model->batch_tokens,
        .depth = (int32_t)view->depth };
    struct ash_plan_batch decode = { 0 };
    enum ash_status status =
        ash_plan_batch_create(model, &(struct ash_plan_shape){ 1, 1, p.depth }, &decode);
    if (status == ASH_OK)
        status = ash_plan_batch_check(model, &(struct ash_plan_shape){ 1, p.prefill_tokens, 0 });
    if (status == ASH_OK)
        status = predict(&p, &decode.batch);
    if (status == ASH_OK)
        status = show(&p, view->json);
    ash_placed_finish(&p.placed);
    ash_plan_batch_finish(&decode);
    return status;
}

enum ash_status ash_plan_show_machine(struct ash_cli *cli, const struct ash_machine_view *view)
{
    struct ash_topology *topology = NULL;
    struct ash_machine machine = { 0 };
    struct ash_loaded_model loaded = { 0 };
    if (!view->table)
        return ash_fail(ASH_ERR_ARGUMENT,
            "--machine needs --device-table FILE.json: what its devices are and how fast");
    ASH_TRY(ash_topology_load(view->topology, 0, &topology));
    enum ash_status status = ash_machine_read(view->table, topology, &machine);
    if (status == ASH_OK)
        status = ash_load(cli, &(struct ash_model_options){ .shape_only = true }, &loaded);
    if (status == ASH_OK)
        status = place_model(view, &loaded, &machine);
    ash_unload(&loaded);
    ash_machine_finish(&machine);
    ash_topology_destroy(topology);
    return status;
}

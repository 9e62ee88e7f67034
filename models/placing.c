/* SPDX-License-Identifier: Apache-2.0 */
#include "models/placing.h"

#include "runtime/memory.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

void ash_placed_finish(struct ash_placed *placed)
{
    ash_placement_finish(&placed->placement);
    ash_graph_destroy(placed->graph);
    *placed = (struct ash_placed){ 0 };
}

/* ---- As the user says ---- */

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
static void place_layers(
    const struct ash_graph *graph, const struct ash_split_setting *setting, int32_t *device)
{
    int32_t at = device_of_layer(setting->number, setting->numbers, 0);
    for (int32_t n = 0; n < ash_graph_nodes(graph); n++) {
        int64_t layer = layer_of(ash_graph_node_at(graph, n)->name);
        at = layer >= 0 ? device_of_layer(setting->number, setting->numbers, layer) : at;
        device[n] = at;
    }
}

/* Parts go to their devices, what is of none home. */
static void place_rows(
    const struct ash_graph *graph, const struct ash_split *split, int32_t *device)
{
    for (int32_t n = 0; n < ash_graph_nodes(graph); n++) {
        int32_t part = ash_graph_node_at(graph, n)->part;
        device[n] = part < 0 ? split->home : split->device[part];
    }
}

static enum ash_status make_device_list(const struct ash_graph *graph, int32_t **out)
{
    size_t count = (size_t)ash_graph_nodes(graph) + 1;
    *out = ash_alloc_array(count, sizeof **out);
    return *out ? ASH_OK : ash_fail_memory(count * sizeof **out, "a placement");
}

enum ash_status ash_placing_follow(const struct ash_placing *placing,
    const struct ash_split_setting *setting, int32_t home, struct ash_placed *out)
{
    bool rows = setting->how == ASH_SPLIT_ROWS;
    struct ash_split split = ash_split_whole;
    struct ash_placed placed = { 0 };
    for (int32_t i = 0; i < setting->numbers && rows; i++) {
        split.share[i] = (double)setting->number[i];
        split.device[i] = i;
        split.parts = i + 1;
    }
    split.home = home;
    ASH_TRY(ash_split_check(&split, placing->shape));
    enum ash_status status = placing->build(placing->context, &split, &placed.graph);
    if (status == ASH_OK)
        status = make_device_list(placed.graph, &placed.placement.device);
    if (status != ASH_OK) {
        ash_placed_finish(&placed);
        return status;
    }
    if (rows)
        place_rows(placed.graph, &split, placed.placement.device);
    else
        place_layers(placed.graph, setting, placed.placement.device);
    *out = placed;
    return ASH_OK;
}

/* ---- As should be fastest ---- */

struct search {
    const struct ash_placing *placing;
    const struct ash_machine *machine;
    const struct ash_place_options *options;
    const struct ash_graph *whole;
    double *alone_s;  /* [device]: the whole model on it, as if its memory held that */
    double bytes;     /* of weights and states */
    int32_t *fastest; /* devices by that time */
    double best_s;    /* of what is kept */
    struct ash_placed best;
};

/* Takes over `graph` (NULL: the whole model) and `placement`, if they are faster than the best so far. */
static void keep(struct search *search, struct ash_graph *graph, struct ash_placement *placement)
{
    bool better = placement->schedule.makespan_s < search->best_s;
    if (better) {
        search->best_s = placement->schedule.makespan_s;
        ash_placed_finish(&search->best);
        search->best = (struct ash_placed){ graph, *placement };
        *placement = (struct ash_placement){ 0 };
        return;
    }
    ash_graph_destroy(graph);
    ash_placement_finish(placement);
}

/* Errors that only say that this is no way. */
static bool is_no_way(enum ash_status status)
{
    return status == ASH_ERR_ARGUMENT || status == ASH_ERR_UNSUPPORTED;
}

/* The whole model on one device: its time there, and whether it has the memory. */
static enum ash_status try_alone(struct search *search, int32_t *on, int32_t device)
{
    struct ash_placement placement;
    struct ash_place_options unlimited = *search->options;
    unlimited.unlimited = true;
    for (int32_t n = 0; n < ash_graph_nodes(search->whole); n++)
        on[n] = device;
    search->alone_s[device] = HUGE_VAL;
    enum ash_status status =
        ash_place_given(search->whole, search->machine, &unlimited, on, &placement);
    if (status != ASH_OK)
        return is_no_way(status) ? ASH_OK : status;
    search->alone_s[device] = placement.schedule.makespan_s;
    search->bytes = placement.used_bytes[device];
    ash_placement_finish(&placement);
    status = ash_place_given(search->whole, search->machine, search->options, on, &placement);
    if (status == ASH_OK)
        keep(search, NULL, &placement);
    return status == ASH_ERR_NO_MEMORY ? ASH_OK : status;
}

/* Each device by itself; what shares the model out must then be worth it. */
static enum ash_status try_each_alone(struct search *search)
{
    int32_t *on;
    ASH_TRY(make_device_list(search->whole, &on));
    enum ash_status status = ASH_OK;
    for (int32_t d = 0; d < search->machine->devices && status == ASH_OK; d++)
        status = try_alone(search, on, d);
    ash_free(on);
    search->best_s *= search->placing->worth;
    return status;
}

/* Operators of the whole model anywhere, those of a cache together. */
static enum ash_status try_layers(struct search *search)
{
    struct ash_placement placement;
    enum ash_status status =
        ash_place_find(search->whole, search->machine, search->options, &placement);
    if (status == ASH_OK)
        keep(search, NULL, &placement);
    return search->best.placement.device ? ASH_OK : status;
}

/* ---- By rows ---- */

/* Devices that can run the model, the fastest first; returns how many. */
static int32_t sort_devices(struct search *search)
{
    int32_t count = 0;
    for (int32_t d = 0; d < search->machine->devices; d++) {
        int32_t at = count;
        if (!isfinite(search->alone_s[d]))
            continue;
        for (; at > 0 && search->alone_s[search->fastest[at - 1]] > search->alone_s[d]; at--)
            search->fastest[at] = search->fastest[at - 1];
        search->fastest[at] = d;
        count++;
    }
    return count;
}

/* Of a device's memory, what its rows may take: the rest is for what is not cut, and for activations. */
static const double rows_part = 0.9;

/* Shares by speed; what does not fit a device goes to the others. False where all are full. */
static bool share_out(const struct search *search, struct ash_split *split)
{
    bool full[ASH_MAX_DEVICES] = { false }, again = true;
    double left = 1;
    while (again) {
        double speed = 0, given = 0;
        again = false;
        for (int32_t i = 0; i < split->parts; i++)
            speed += full[i] ? 0 : 1 / search->alone_s[split->device[i]];
        for (int32_t i = 0; i < split->parts; i++) {
            double most =
                search->machine->device[split->device[i]].memory_bytes * rows_part / search->bytes;
            if (full[i])
                continue;
            split->share[i] = left / search->alone_s[split->device[i]] / speed;
            full[i] = split->share[i] > most;
            if (!full[i])
                continue;
            split->share[i] = most;
            given += most;
            again = true;
        }
        left -= given;
    }
    double sum = 0;
    for (int32_t i = 0; i < split->parts; i++)
        sum += split->share[i];
    return sum > 1 - 1e-9;
}

/* The fastest `parts` devices together. */
static enum ash_status try_rows(struct search *search, int32_t parts)
{
    struct ash_split split = { .parts = parts, .home = search->fastest[0] };
    struct ash_placement placement;
    struct ash_graph *graph;
    int32_t *device = NULL;
    for (int32_t i = 0; i < parts; i++) {
        split.device[i] = search->fastest[i];
        if (split.device[i] == search->machine->home)
            split.home = split.device[i];
    }
    ASH_TRY(ash_split_check(&split, search->placing->shape));
    if (!share_out(search, &split))
        return ash_fail(ASH_ERR_NO_MEMORY,
            "--split rows: weights and caches of %.2f GB are more than %d devices hold",
            search->bytes / 1e9, parts);
    ASH_TRY(search->placing->build(search->placing->context, &split, &graph));
    enum ash_status status = make_device_list(graph, &device);
    if (status == ASH_OK) {
        place_rows(graph, &split, device);
        status = ash_place_given(graph, search->machine, search->options, device, &placement);
    }
    ash_free(device);
    if (status != ASH_OK) {
        ash_graph_destroy(graph);
        return status;
    }
    placement.schedule.strategy = "rows";
    keep(search, graph, &placement);
    return ASH_OK;
}

/* Two, four, eight ... devices, and all of them; that some are too few or too many is no error. */
static enum ash_status try_all_rows(struct search *search)
{
    int32_t count = sort_devices(search);
    count = count < ASH_MAX_DEVICES ? count : ASH_MAX_DEVICES;
    for (int32_t parts = 2; parts <= count;
         parts = parts < count && 2 * parts > count ? count : 2 * parts) {
        enum ash_status status = try_rows(search, parts);
        if (status != ASH_OK && !is_no_way(status) && status != ASH_ERR_NO_MEMORY)
            return status;
    }
    return ASH_OK;
}

/* All devices of the list, as the user wants it; whatever else is faster. */
static enum ash_status force_rows(struct search *search)
{
    ash_placed_finish(&search->best);
    search->best_s = HUGE_VAL;
    int32_t count = sort_devices(search);
    if (count < search->machine->devices || count > ASH_MAX_DEVICES)
        return ash_fail(ASH_ERR_UNSUPPORTED,
            "--split rows: %d of %d devices have all operators of the model", count,
            search->machine->devices);
    return try_rows(search, count);
}

static enum ash_status find(struct search *search, enum ash_split_how how)
{
    ASH_TRY(try_each_alone(search));
    if (how == ASH_SPLIT_ROWS)
        return force_rows(search);
    ASH_TRY(try_all_rows(search));
    return try_layers(search);
}

enum ash_status ash_placing_choose(const struct ash_placing *placing, enum ash_split_how how,
    const struct ash_machine *machine, const struct ash_place_options *options,
    struct ash_placed *out)
{
    size_t devices = (size_t)machine->devices;
    struct ash_graph *whole;
    ASH_TRY(placing->build(placing->context, &ash_split_whole, &whole));
    struct search search = { .placing = placing,
        .machine = machine,
        .options = options,
        .whole = whole,
        .alone_s = ash_alloc_array(devices, sizeof(double)),
        .fastest = ash_alloc_array(devices, sizeof(int32_t)),
        .best_s = HUGE_VAL };
    enum ash_status status = search.alone_s && search.fastest
                                 ? find(&search, how)
                                 : ash_fail_memory(devices * sizeof(double), "a placement");
    if (status == ASH_OK && !search.best.graph) {
        search.best.graph = whole;
        whole = NULL;
    }
    if (status == ASH_OK)
        *out = search.best;
    else
        ash_placed_finish(&search.best);
    ash_graph_destroy(whole);
    ash_free(search.alone_s);
    ash_free(search.fastest);
    return status;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/ashlar/info_devices.h"

#include "drivers/cards.h"
#include "drivers/costs.h"
#include "drivers/drivers.h"
#include "runtime/memory.h"
#include "scheduler/devices.h"
#include "scheduler/measure.h"

#include <stdio.h>

enum { MOST_DEVICES = 64 };

enum ash_status ash_info_find_devices(
    const struct ash_topology *topology, struct ash_info_devices *out)
{
    struct ash_device_info *info = ash_alloc_array(MOST_DEVICES, sizeof *info);
    if (!info)
        return ash_fail_memory(MOST_DEVICES * sizeof *info, "the list of devices");
    enum ash_status status = ash_devices_probe(topology, info, MOST_DEVICES, &out->count);
    if (status == ASH_OK)
        out->info = info;
    else
        ash_free(info);
    return status;
}

/* ---- What they are ---- */

static const struct ash_column device_columns[] = {
    { "DEVICE", "device", ASH_ALIGN_LEFT },
    { "NAME", "name", ASH_ALIGN_LEFT },
    { "MEMORY", "memory_bytes", ASH_ALIGN_RIGHT },
    { "NODE", "numa_node", ASH_ALIGN_RIGHT },
    { "PCI", "pci", ASH_ALIGN_LEFT },
    { "LINK GB/S", "link_gbps", ASH_ALIGN_RIGHT },
    { "USABLE", "usable", ASH_ALIGN_LEFT },
    { "REASON", "reason", ASH_ALIGN_LEFT },
};

static void add_text(struct ash_table *table, const char *text)
{
    ash_table_text(table, *text ? text : NULL);
}

static void add_name(struct ash_table *table, const struct ash_device_info *info)
{
    char device[64];
    snprintf(device, sizeof device, "%s:%d", info->driver->name, info->index);
    ash_table_text(table, device);
}

/* What else there is to know of a device that can be used: which other one is the same card, and that auto
 * leaves it alone. */
static void add_note(struct ash_table *table, const struct ash_info_devices *devices,
    const struct ash_device_info *info, const char *cache_dir)
{
    char note[192] = "";
    const struct ash_device_info *same = ash_card_find(devices->info, devices->count, info);
    bool known = cache_dir && ash_costs_has(cache_dir, info);
    bool other_known = same && cache_dir && ash_costs_has(cache_dir, same);
    bool other_first = same && same < info;
    size_t used = 0;
    if (same)
        used = (size_t)snprintf(note, sizeof note, "same card as %s:%d%s", same->driver->name,
            same->index, other_known && (other_first || !known) ? ", which auto takes" : "");
    if (info->is_card && !known && !other_known && !other_first)
        snprintf(note + used, sizeof note - used,
            "%sauto takes it once it has been measured: ashlar plan --measure --device %s,%s:%d",
            same ? "; " : "", devices->info[0].driver->name, info->driver->name, info->index);
    add_text(table, note);
}

static void add_device(struct ash_table *table, const struct ash_info_devices *devices,
    const struct ash_device_info *info, const struct ash_topology *topology, const char *cache_dir)
{
    int at = ash_topology_find_pci(topology, info->pci);
    int numa_node = info->numa_node < 0 ? ash_topology_near_memory(topology, at) : info->numa_node;
    add_name(table, info);
    add_text(table, info->name);
    ash_table_bytes(table, info->memory_bytes);
    if (numa_node >= 0)
        ash_table_integer(table, numa_node);
    else
        ash_table_text(table, NULL);
    add_text(table, info->pci);
    if (at >= 0 && topology->node[at].link_gbps > 0)
        ash_table_real(table, topology->node[at].link_gbps, 1);
    else
        ash_table_text(table, NULL);
    ash_table_boolean(table, info->usable);
    if (info->usable)
        add_note(table, devices, info, cache_dir);
    else
        ash_table_text(table, info->reason);
}

enum ash_status ash_info_devices(const struct ash_info_devices *devices,
    const struct ash_topology *topology, const char *cache_dir, struct ash_table **out)
{
    ASH_TRY(ash_table_create(device_columns, sizeof device_columns / sizeof *device_columns, out));
    for (int i = 0; i < devices->count; i++)
        add_device(*out, devices, &devices->info[i], topology, cache_dir);
    return ASH_OK;
}

/* ---- How far they are ---- */

static const struct ash_column transfer_columns[] = {
    { "DEVICE", "device", ASH_ALIGN_LEFT },
    { "LATENCY us", "latency_us", ASH_ALIGN_RIGHT },
    { "GB/S", "gbps", ASH_ALIGN_RIGHT },
    { "REASON", "reason", ASH_ALIGN_LEFT },
};

/* As placement takes it: from a machine of this device alone. */
static enum ash_status measure_link(
    struct ash_device *device, double *latency_s, double *bytes_per_s)
{
    const struct ash_rates rates = ash_device_rates(&device->info);
    const double memory_bytes = (double)device->info.memory_bytes;
    struct ash_machine machine = { 0 };
    struct ash_cost_model *model;
    ASH_TRY(ash_cost_model_create(&rates, &model));
    enum ash_status status = ash_device_learn_copies(device, model);
    if (status == ASH_OK)
        status = ash_machine_of(&device, 1, &model, &memory_bytes, &machine);
    if (status == ASH_OK) {
        *latency_s = machine.device[0].link_latency_s;
        *bytes_per_s = machine.device[0].link_bytes_per_s;
    }
    ash_machine_finish(&machine);
    ash_cost_model_destroy(model);
    return status;
}

static void add_link(
    struct ash_table *table, const struct ash_device_info *info, const struct ash_config *config)
{
    double latency_s = 0, bytes_per_s = 0;
    struct ash_device *device = NULL;
    enum ash_status status = info->driver->open(info, config, &device);
    if (status == ASH_OK)
        status = measure_link(device, &latency_s, &bytes_per_s);
    info->driver->close(device);
    add_name(table, info);
    if (status == ASH_OK) {
        ash_table_real(table, latency_s * 1e6, 2);
        ash_table_real(table, bytes_per_s * 1e-9, 2);
    } else {
        ash_table_text(table, NULL);
        ash_table_text(table, NULL);
    }
    ash_table_text(table, status == ASH_OK ? NULL : ash_error());
}

enum ash_status ash_info_transfers(
    const struct ash_info_devices *devices, const struct ash_config *config, struct ash_table **out)
{
    ASH_TRY(ash_table_create(
        transfer_columns, sizeof transfer_columns / sizeof *transfer_columns, out));
    for (int i = 0; i < devices->count; i++)
        if (devices->info[i].usable)
            add_link(*out, &devices->info[i], config);
    return ASH_OK;
}

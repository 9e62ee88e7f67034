/* SPDX-License-Identifier: Apache-2.0 */
#include "drivers/device/device_probe.h"
#include "drivers/pjrt/pjrt_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- Chips ---- */

/* Text of a plugin's, cut to printable characters. */
static void take_text(const char *text, size_t length, char *out, size_t capacity)
{
    size_t at = 0;
    for (size_t i = 0; text && i < length && at + 1 < capacity; i++)
        if (text[i] >= ' ' && text[i] <= '~')
            out[at++] = text[i];
    out[at] = '\0';
}

static struct pjrt_chip_text *description_of(const struct pjrt_api *api, struct pjrt_chip *chip)
{
    struct pjrt_describe call = { PJRT_ARGS(pjrt_describe), .chip = chip };
    if (pjrt_check(api, api->describe(&call), "a device", "be described") != ASH_OK)
        return NULL;
    return call.description;
}

int pjrt_chip_number(const struct pjrt_api *api, struct pjrt_chip *chip)
{
    struct pjrt_chip_id call = { PJRT_ARGS(pjrt_chip_id),
        .description = description_of(api, chip) };
    if (!call.description ||
        pjrt_check(api, api->chip_id(&call), "a device", "tell its number") != ASH_OK)
        return 0;
    return call.id;
}

/* Plugins for the processor know no limit: it is the machine's memory then. */
static uint64_t memory_of(const struct pjrt_api *api, struct pjrt_chip *chip)
{
    struct pjrt_memory_stats call = { PJRT_ARGS(pjrt_memory_stats), .chip = chip };
    if (api->memory_stats &&
        pjrt_check(api, api->memory_stats(&call), "a device", "tell its memory") == ASH_OK &&
        call.limit.is_set && call.limit.value > 0)
        return (uint64_t)call.limit.value;
    return (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
}

void pjrt_describe_chip(const struct pjrt_plugin *plugin, size_t index, struct ash_device_info *out)
{
    const struct pjrt_api *api = &plugin->api;
    struct pjrt_chip *chip = plugin->chip[index];
    struct pjrt_client_text platform = { PJRT_ARGS(pjrt_client_text), .client = plugin->client };
    struct pjrt_chip_kind kind = { PJRT_ARGS(pjrt_chip_kind),
        .description = description_of(api, chip) };
    char name[32] = "", model[48] = "";
    if (pjrt_check(api, api->client_platform_name(&platform), "a plugin", "tell its name") ==
        ASH_OK)
        take_text(platform.text, platform.text_size, name, sizeof name);
    if (kind.description &&
        pjrt_check(api, api->chip_kind(&kind), "a device", "tell its kind") == ASH_OK)
        take_text(kind.text, kind.text_size, model, sizeof model);
    *out = (struct ash_device_info){ .numa_node = -1, .memory_bytes = memory_of(api, chip) };
    snprintf(out->name, sizeof out->name, "%s%s%s (PJRT %d.%d)", name,
        model[0] && strcmp(model, name) != 0 ? " " : "", strcmp(model, name) != 0 ? model : "",
        api->major, api->minor);
    out->is_card = !pjrt_is_processor(out);
    out->usable = true;
}

bool pjrt_is_processor(const struct ash_device_info *info)
{
    return strncmp(info->name, "cpu", 3) == 0;
}

/* ---- In a process of its own: half-installed plugins crash, hang and print ---- */

/* How many of a processor's devices are listed: they are the same cores again. */
static size_t most_of_processor(void)
{
    const char *text = getenv("ASHLAR_PJRT_SPLIT");
    int count = text ? atoi(text) : 1;
    return count > 1 ? (size_t)count : 1;
}

static void list_chips(const struct pjrt_plugin *plugin, struct ash_device_report *report)
{
    size_t most =
        plugin->chips < ASH_DEVICE_MOST_REPORTED ? plugin->chips : ASH_DEVICE_MOST_REPORTED;
    for (size_t i = 0; i < most; i++) {
        pjrt_describe_chip(plugin, i, &report->info[report->count++]);
        if (pjrt_is_processor(&report->info[i]) && i + 1 >= most_of_processor())
            break;
    }
}

/* `context` is the path. */
static enum ash_status fill_report(const void *context, struct ash_device_report *report)
{
    struct pjrt_plugin plugin;
    ASH_TRY(pjrt_plugin_start(context, &plugin));
    list_chips(&plugin, report);
    pjrt_plugin_stop(&plugin);
    return ASH_OK;
}

/* One that this process has open already is asked directly, as it might refuse another one. */
static void ask(const char *path, struct ash_device_report *report)
{
    char crashed[192];
    struct pjrt_plugin *open = pjrt_plugin_take_open(path);
    snprintf(crashed, sizeof crashed,
        "the PJRT plugin %.80s crashes or hangs when asked for its devices", path);
    if (open)
        list_chips(open, report);
    else
        ash_device_report_ask(fill_report, path, crashed, report);
    pjrt_plugin_release(open);
}

/* Without a plugin there is nothing that could crash, nor a process to start. Plugins do not tell where a
 * chip is, but for a number. */
enum ash_status pjrt_probe(
    const struct ash_topology *topology, struct ash_device_info *out, int capacity, int *count)
{
    char path[PJRT_MOST_PATH];
    struct ash_device_report report = { .count = 0 };
    if (pjrt_find_plugin(path) == ASH_OK)
        ask(path, &report);
    else
        snprintf(report.reason, sizeof report.reason, "%s", ash_error());
    return ash_device_report_list(&report, &ash_driver_pjrt, topology, out, capacity, count);
}

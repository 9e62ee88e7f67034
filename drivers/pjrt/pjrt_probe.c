/* SPDX-License-Identifier: Apache-2.0 */
#include "drivers/device/device_probe.h"
#include "drivers/pjrt/pjrt_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- The plugin ---- */

static enum ash_status take_path(const char *path, char *out, size_t capacity)
{
    int length = snprintf(out, capacity, "%s", path);
    if (length < 0 || (size_t)length >= capacity)
        return ash_fail(
            ASH_ERR_ARGUMENT, "the PJRT plugin's path has more than %zu bytes", capacity);
    return ASH_OK;
}

/* A name without a folder: where libraries usually are. */
static bool search(const char *name, char *out, size_t capacity)
{
    static const char *const folders[] = { "/usr/local/lib", "/usr/lib", "/usr/lib64", "/lib" };
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        int length = snprintf(out, capacity, "%s/%s", folders[i], name);
        if (length > 0 && (size_t)length < capacity && access(out, R_OK) == 0)
            return true;
    }
    return false;
}

enum ash_status pjrt_find_plugin(char *out, size_t capacity)
{
    const char *set = getenv("ASHLAR_PJRT_PLUGIN"), *tpu = getenv("TPU_LIBRARY_PATH");
    const char *name = set && *set ? set : "libtpu.so";
    if (strchr(name, '/') && access(name, R_OK) != 0)
        return ash_fail(ASH_ERR_NOT_FOUND,
            "pjrt_plugin is %s, which cannot be read: give the path of a plugin's .so", name);
    if (strchr(name, '/'))
        return take_path(name, out, capacity);
    if (strcmp(name, "libtpu.so") == 0 && tpu && *tpu && access(tpu, R_OK) == 0)
        return take_path(tpu, out, capacity); /* where the maker's own programs look for it */
    if (search(name, out, capacity))
        return ASH_OK;
    return ash_fail(ASH_ERR_NOT_FOUND,
        "%s not found: install the PJRT plugin of the device's maker and give its path as pjrt_plugin",
        name);
}

/* ---- Clients and chips ---- */

void pjrt_client_close(const struct pjrt_api *api, struct pjrt_client *client)
{
    struct pjrt_client_destroy call = { PJRT_ARGS(pjrt_client_destroy), .client = client };
    if (client)
        (void)pjrt_check(api, api->client_destroy(&call), "a PJRT plugin", "be closed");
}

enum ash_status pjrt_client_open(const struct pjrt_api *api, const char *who,
    struct pjrt_client **out, struct pjrt_chip *const **chips, size_t *count)
{
    struct pjrt_client_create create = { PJRT_ARGS(pjrt_client_create) };
    ASH_TRY(pjrt_check(api, api->client_create(&create), who, "be opened"));
    struct pjrt_client_devices list = { PJRT_ARGS(pjrt_client_devices), .client = create.client };
    enum ash_status status = pjrt_check(api, api->client_devices(&list), who, "list its devices");
    if (status != ASH_OK) {
        pjrt_client_close(api, create.client);
        return status;
    }
    *out = create.client;
    *chips = list.chip;
    *count = list.count;
    return ASH_OK;
}

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
    if (pjrt_check(api, api->memory_stats(&call), "a device", "tell its memory") == ASH_OK &&
        call.limit.is_set && call.limit.value > 0)
        return (uint64_t)call.limit.value;
    return (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
}

void pjrt_describe_chip(const struct pjrt_api *api, struct pjrt_client *client,
    struct pjrt_chip *chip, struct ash_device_info *out)
{
    struct pjrt_client_text platform = { PJRT_ARGS(pjrt_client_text), .client = client };
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
    out->usable = true;
    snprintf(out->name, sizeof out->name, "%s%s%s (PJRT %d.%d)", name,
        model[0] && strcmp(model, name) != 0 ? " " : "", strcmp(model, name) != 0 ? model : "",
        api->major, api->minor);
}

bool pjrt_is_processor(const struct ash_device_info *info)
{
    return strncmp(info->name, "cpu", 3) == 0;
}

/* ---- In a process of its own: half-installed plugins crash, hang and print ---- */

struct report {
    enum ash_status status;
    int count;
    char reason[192];
    struct ash_device_info info[PJRT_MOST_DEVICES];
};

static enum ash_status list_chips(const char *path, struct report *report)
{
    struct pjrt_api api;
    struct pjrt_client *client;
    struct pjrt_chip *const *chips;
    size_t count;
    ASH_TRY(pjrt_api_open(path, &api));
    ASH_TRY(pjrt_client_open(&api, path, &client, &chips, &count));
    for (size_t i = 0; i < count && i < PJRT_MOST_DEVICES; i++) {
        pjrt_describe_chip(&api, client, chips[i], &report->info[report->count++]);
        if (pjrt_is_processor(&report->info[i]))
            break; /* its others are the same cores again */
    }
    pjrt_client_close(&api, client);
    if (count == 0)
        return ash_fail(ASH_ERR_NOT_FOUND, "%s knows no device on this machine", path);
    return ASH_OK;
}

static void fill_report(void *out)
{
    struct report *report = out;
    char path[PJRT_MOST_PATH];
    report->status = pjrt_find_plugin(path, sizeof path);
    if (report->status == ASH_OK)
        report->status = list_chips(path, report);
    if (report->status != ASH_OK)
        snprintf(report->reason, sizeof report->reason, "%s", ash_error());
}

/* Without a plugin there is nothing that could crash, nor a process to start. */
static void ask(struct report *report)
{
    char path[PJRT_MOST_PATH];
    report->status = pjrt_find_plugin(path, sizeof path);
    if (report->status != ASH_OK) {
        snprintf(report->reason, sizeof report->reason, "%s", ash_error());
        return;
    }
    if (ash_device_ask(fill_report, report, sizeof *report) && report->count >= 0 &&
        report->count <= PJRT_MOST_DEVICES)
        return;
    report->status = ASH_ERR_DEVICE;
    snprintf(report->reason, sizeof report->reason,
        "the PJRT plugin %.80s crashes or hangs when asked for its devices", path);
}

enum ash_status pjrt_probe(
    const struct ash_topology *topology, struct ash_device_info *out, int capacity, int *count)
{
    struct report report = { 0 };
    (void)topology; /* plugins do not tell where a chip is */
    ask(&report);
    if (report.status != ASH_OK) {
        report.count = 1;
        report.info[0] = (struct ash_device_info){ .numa_node = -1 };
        snprintf(report.info[0].reason, sizeof report.info[0].reason, "%s", report.reason);
    }
    *count = report.count;
    for (int i = 0; i < report.count && i < capacity; i++) {
        out[i] = report.info[i];
        out[i].index = i;
        out[i].driver = &ash_driver_pjrt;
    }
    return ASH_OK;
}

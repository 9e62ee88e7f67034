/* SPDX-License-Identifier: Apache-2.0 */
#include "drivers/runtime.h"

#include "drivers/cards.h"
#include "drivers/costs.h"
#include "runtime/cpu.h"
#include "runtime/json.h"
#include "runtime/memory.h"
#include "runtime/topology.h"

#include <string.h>

/* Where there is no such device, the message lists all there are: those of every driver. */
static enum ash_status find_device(
    struct ash_runtime *runtime, const char *name, const struct ash_device_info **out)
{
    enum ash_status status = ash_device_find(runtime->found, runtime->found_count, name, out);
    if (status != ASH_ERR_NOT_FOUND)
        return status;
    ASH_TRY(ash_devices_probe(
        runtime->topology, runtime->found, ASH_MAX_DEVICES, &runtime->found_count));
    return ash_device_find(runtime->found, runtime->found_count, name, out);
}

static enum ash_status refuse(const struct ash_runtime *runtime, const char *name,
    const struct ash_device_info *info, const struct ash_device_info *other)
{
    if (other->driver == info->driver && other->index == info->index)
        return ash_fail(ASH_ERR_ARGUMENT, "--device %s: %s is %s:%d, which the list has already",
            runtime->config.device, name, info->driver->name, info->index);
    return ash_fail(ASH_ERR_ARGUMENT,
        "--device %s: %s:%d and %s:%d are one card (PCI %s), and would take its memory twice: name one "
        "of them",
        runtime->config.device, other->driver->name, other->index, info->driver->name, info->index,
        info->pci);
}

static enum ash_status open_device(struct ash_runtime *runtime, const char *name)
{
    const struct ash_device_info *info;
    ASH_TRY(find_device(runtime, name, &info));
    const struct ash_device_info *other = ash_card_in_use(runtime, info);
    if (other)
        return refuse(runtime, name, info, other);
    if (runtime->device_count == ASH_MAX_DEVICES)
        return ash_fail(ASH_ERR_LIMIT, "more than %d devices", ASH_MAX_DEVICES);
    ASH_TRY(info->driver->open(info, &runtime->config, &runtime->device[runtime->device_count]));
    runtime->device_count++;
    return ASH_OK;
}

/* A list of the settings, to be cut into its parts by strsep(). */
enum { LIST_BYTES = 256 };
static enum ash_status copy_list(const char *text, const char *flag, char out[LIST_BYTES])
{
    size_t length = strlen(text);
    if (length >= LIST_BYTES)
        return ash_fail(ASH_ERR_ARGUMENT, "%s: a list of %zu bytes; at most %d are read", flag,
            length, LIST_BYTES - 1);
    memcpy(out, text, length + 1);
    return ASH_OK;
}

/* One that does not open is left out: nobody asked for it by name. */
static enum ash_status open_measured(struct ash_runtime *runtime, const struct ash_driver *driver)
{
    const char *directory = runtime->config.cache_dir;
    struct ash_device_info found[ASH_MAX_DEVICES];
    int count = 0;
    ASH_TRY(driver->probe(runtime->topology, found, ASH_MAX_DEVICES, &count));
    for (int i = 0; i < count && i < ASH_MAX_DEVICES; i++) {
        found[i].index = i;
        if (!found[i].usable || ash_card_in_use(runtime, &found[i]) ||
            !ash_costs_has(directory, &found[i]) || runtime->device_count == ASH_MAX_DEVICES)
            continue;
        struct ash_device **device = &runtime->device[runtime->device_count];
        enum ash_status status = driver->open(&found[i], &runtime->config, device);
        runtime->device_count += status == ASH_OK;
        if (status == ASH_ERR_NO_MEMORY)
            return status;
    }
    return ASH_OK;
}

/* The first usable device, and all that have been measured here (drivers/costs.h), a card by the first driver
 * that lists it; a driver none of whose devices ever was measured is not even asked. */
static enum ash_status open_auto(struct ash_runtime *runtime)
{
    const char *directory = runtime->config.cache_dir;
    ASH_TRY(open_device(runtime, "auto"));
    for (const struct ash_driver *const *driver = ash_drivers; *driver && directory; driver++)
        if (*driver != runtime->device[0]->driver && strcmp((*driver)->name, "null") != 0 &&
            ash_costs_has_driver(directory, (*driver)->name))
            ASH_TRY(open_measured(runtime, *driver));
    return ASH_OK;
}

/* "cpu,opencl:0" or "auto": each name once, in the order given. */
static enum ash_status open_devices(struct ash_runtime *runtime)
{
    char names[LIST_BYTES], *rest = names;
    if (strcmp(runtime->config.device, "auto") == 0)
        return open_auto(runtime);
    ASH_TRY(copy_list(runtime->config.device, "--device", names));
    for (char *name; (name = strsep(&rest, ","));)
        ASH_TRY(open_device(runtime, name));
    return ASH_OK;
}

/* "all,4096": no more of a device than that. */
static enum ash_status limit_memory(struct ash_runtime *runtime)
{
    char limits[LIST_BYTES], *rest = limits;
    ASH_TRY(copy_list(runtime->config.device_memory, "--device-memory", limits));
    for (int i = 0; i < runtime->device_count; i++) {
        int64_t mib;
        const char *limit = strsep(&rest, ",");
        if (!limit || strcmp(limit, "all") == 0)
            continue;
        ASH_TRY(ash_fail_in(ash_text_to_integer(limit, 1, INT32_MAX, &mib), "--device-memory"));
        struct ash_device_info *info = &runtime->device[i]->info;
        if (info->memory_bytes > (uint64_t)mib << 20)
            info->memory_bytes = (uint64_t)mib << 20;
    }
    if (rest)
        return ash_fail(ASH_ERR_ARGUMENT, "--device-memory %s: more numbers than the %d devices",
            runtime->config.device_memory, runtime->device_count);
    return ASH_OK;
}

static enum ash_status open_runtime(struct ash_runtime *runtime)
{
    ASH_TRY(ash_cpu_override_check());
    ASH_TRY(ash_devices_configure(&runtime->config));
    ASH_TRY(ash_topology_load(NULL, 0, &runtime->topology));
    ASH_TRY(ash_devices_probe_for(runtime->topology, runtime->config.device, runtime->found,
        ASH_MAX_DEVICES, &runtime->found_count));
    ASH_TRY(open_devices(runtime));
    return limit_memory(runtime);
}

enum ash_status ash_runtime_open(struct ash_config *config, struct ash_runtime **out)
{
    ash_json_init();
    struct ash_runtime *runtime = ash_alloc_zero(sizeof *runtime);
    if (!runtime)
        return ash_fail_memory(sizeof *runtime, "the runtime");
    runtime->config = *config;
    enum ash_status status = open_runtime(runtime);
    if (status != ASH_OK) {
        runtime->config = (struct ash_config){ 0 }; /* still the caller's */
        ash_runtime_destroy(runtime);
        return status;
    }
    *config = (struct ash_config){ 0 };
    *out = runtime;
    return ASH_OK;
}

static enum ash_status apply(
    struct ash_config *config, const struct ash_setting_value *settings, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct ash_setting *setting = ash_setting_find(settings[i].name);
        if (!setting)
            return ash_fail(ASH_ERR_NOT_FOUND, "no setting is called '%s': see ashlar help config",
                settings[i].name);
        ASH_TRY(ash_config_set(config, setting, settings[i].value, ASH_SOURCE_FLAG));
    }
    return ash_config_load(config, NULL);
}

enum ash_status ash_runtime_create(
    const struct ash_setting_value *settings, size_t count, struct ash_runtime **out)
{
    struct ash_config config;
    ASH_TRY(ash_config_init(&config));
    enum ash_status status = apply(&config, settings, count);
    if (status == ASH_OK)
        status = ash_runtime_open(&config, out);
    ash_config_finish(&config); /* empty if the runtime has taken it over */
    return status;
}

void ash_runtime_destroy(struct ash_runtime *runtime)
{
    if (!runtime)
        return;
    for (int i = runtime->device_count - 1; i >= 0; i--)
        runtime->device[i]->driver->close(runtime->device[i]);
    ash_topology_destroy(runtime->topology);
    ash_config_finish(&runtime->config);
    ash_free(runtime);
}

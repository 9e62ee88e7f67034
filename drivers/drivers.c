/* SPDX-License-Identifier: Apache-2.0 */
#include "drivers/drivers.h"

#include "drivers/cpu/cpu.h"
#include "drivers/hip/hip.h"
#include "drivers/null/null.h"
#include "drivers/opencl/opencl.h"
#include "drivers/pjrt/pjrt.h"
#include "runtime/config.h"
#include "runtime/memory.h"

#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct ash_driver *const ash_drivers[] = {
    &ash_driver_cpu,
    &ash_driver_hip,
    &ash_driver_opencl,
    &ash_driver_pjrt,
    &ash_driver_null,
    NULL,
};

enum ash_status ash_devices_configure(const struct ash_config *config)
{
    if (setenv("ASHLAR_PJRT_PLUGIN", config->pjrt_plugin, true) != 0)
        return ash_fail_memory(strlen(config->pjrt_plugin), "the environment");
    return ASH_OK;
}

/* Devices as they are found, in the order of the drivers. */
struct found {
    const struct ash_topology *topology;
    struct ash_device_info *out;
    int capacity, count;
};

static enum ash_status probe_one(struct found *found, const struct ash_driver *driver)
{
    int room = found->count < found->capacity ? found->capacity - found->count : 0, more = 0;
    struct ash_device_info *out = room ? found->out + found->count : NULL;
    ASH_TRY(driver->probe(found->topology, out, room, &more));
    for (int i = 0; i < more && i < room; i++)
        out[i].index = i;
    found->count += more;
    return ASH_OK;
}

static enum ash_status check_room(const struct found *found, int *count)
{
    if (found->count > found->capacity)
        return ash_fail(ASH_ERR_LIMIT, "this machine has %d devices; there is room for %d",
            found->count, found->capacity);
    *count = found->count;
    return ASH_OK;
}

enum ash_status ash_devices_probe(
    const struct ash_topology *topology, struct ash_device_info *out, int capacity, int *count)
{
    struct found found = { topology, out, capacity, 0 };
    for (const struct ash_driver *const *driver = ash_drivers; *driver; driver++)
        ASH_TRY(probe_one(&found, *driver));
    return check_room(&found, count);
}

/* Whether a list of names has one that begins with `driver`, as "opencl" in "cpu,opencl:1". */
static bool is_in_list(const char *names, const char *driver)
{
    size_t length = strlen(driver);
    for (const char *name = names; name; name = strchr(name, ',')) {
        name += *name == ',';
        if (strncmp(name, driver, length) == 0)
            return true;
    }
    return false;
}

enum ash_status ash_devices_probe_for(const struct ash_topology *topology, const char *names,
    struct ash_device_info *out, int capacity, int *count)
{
    struct found found = { topology, out, capacity, 0 };
    bool automatic = is_in_list(names, "auto");
    for (const struct ash_driver *const *driver = ash_drivers; *driver; driver++) {
        int before = found.count;
        if (!automatic && !is_in_list(names, (*driver)->name))
            continue;
        ASH_TRY(probe_one(&found, *driver));
        for (int i = before; i < found.count && i < capacity; i++)
            automatic = automatic && !out[i].usable;
    }
    return check_room(&found, count);
}

/* What kernel modules make for cards of NVIDIA, of AMD, of either under Windows, and of all that draw. */
static bool may_have_cards(void)
{
    static const char *const files[] = { "/dev/nvidiactl", "/dev/kfd", "/dev/dxg",
        "/dev/dri/renderD*" };
    const char *library = getenv("ASHLAR_HIP_LIBRARY");
    bool found = library && *library;
    for (size_t i = 0; i < sizeof files / sizeof *files && !found; i++) {
        glob_t matches;
        found = glob(files[i], 0, NULL, &matches) == 0;
        globfree(&matches);
    }
    return found;
}

enum ash_status ash_devices_probe_cards(struct ash_device_info *out, int capacity, int *count)
{
    static const struct ash_driver *const drivers[] = { &ash_driver_hip, &ash_driver_opencl };
    struct found found = { NULL, out, capacity, 0 };
    for (size_t i = 0; i < sizeof drivers / sizeof *drivers && may_have_cards(); i++)
        ASH_TRY(probe_one(&found, drivers[i]));
    return check_room(&found, count);
}

/* "cpu", "cpu:0": the driver's name, and which of its devices (the first, unless it says). */
static bool is_named(const struct ash_device_info *info, const char *name)
{
    size_t length = strlen(info->driver->name);
    if (strncmp(name, info->driver->name, length) != 0)
        return false;
    char full[64];
    snprintf(full, sizeof full, ":%d", info->index);
    const char *rest = name + length;
    return (*rest == '\0' && info->index == 0) || strcmp(rest, full) == 0;
}

static bool is_wanted(const struct ash_device_info *info, const char *name)
{
    if (strcmp(name, "auto") == 0)
        return info->usable && info->driver != &ash_driver_null;
    return is_named(info, name);
}

/* "auto, cpu:0, null:0": what a user may write. */
static void list_names(
    const struct ash_device_info *devices, int count, char *text, size_t capacity)
{
    size_t used = (size_t)snprintf(text, capacity, "auto");
    for (int i = 0; i < count && used < capacity; i++)
        used += (size_t)snprintf(
            text + used, capacity - used, ", %s:%d", devices[i].driver->name, devices[i].index);
}

enum ash_status ash_device_find(const struct ash_device_info *devices, int count, const char *name,
    const struct ash_device_info **out)
{
    for (int i = 0; i < count; i++) {
        const struct ash_device_info *info = &devices[i];
        if (!is_wanted(info, name))
            continue;
        if (!info->usable)
            return ash_fail(
                ASH_ERR_UNSUPPORTED, "device %s cannot be used: %s", name, info->reason);
        *out = info;
        return ASH_OK;
    }
    char names[512];
    list_names(devices, count, names, sizeof names);
    return ash_fail(ASH_ERR_NOT_FOUND, "there is no device \"%s\"; there are: %s", name, names);
}

enum ash_status ash_events_wait(const struct ash_event *events, int count)
{
    enum ash_status status = ASH_OK;
    for (int i = 0; i < count; i++) {
        struct ash_device *device = events[i].device;
        enum ash_status one = device ? device->driver->wait(device, events[i]) : ASH_OK;
        status = one == ASH_OK ? status : one;
    }
    return status;
}

bool ash_host_pin(struct ash_device *device, void *host, size_t size_bytes)
{
    return device->driver->pin && device->driver->pin(device, host, size_bytes);
}

void ash_host_unpin(struct ash_device *device, void *host)
{
    device->driver->unpin(device, host);
}

char *ash_step_describe(const struct ash_step *step, char *text, size_t capacity)
{
    const struct ash_args *args = &step->args;
    const char *before = "";
    size_t used = 0;
    text[0] = '\0';
    for (int i = 0; i <= ASH_MAX_INPUTS; i++) {
        const struct ash_tensor *tensor = i < ASH_MAX_INPUTS ? &args->in[i] : &args->out;
        if (tensor->rank == 0)
            continue;
        if (i == ASH_MAX_INPUTS)
            before = used ? " -> " : "-> ";
        char shape[64];
        int length = snprintf(text + used, capacity - used, "%s%s", before,
            ash_tensor_describe(tensor, shape, sizeof shape));
        used += (size_t)length < capacity - used ? (size_t)length : capacity - used - 1;
        before = ", ";
    }
    return text;
}

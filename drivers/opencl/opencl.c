/* SPDX-License-Identifier: Apache-2.0 */
#include "drivers/opencl/opencl.h"

#include "drivers/opencl/opencl_internal.h"
#include "runtime/config.h"
#include "runtime/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Taking a device into use ---- */

/* The place that probe() has listed, found again by its number. */
static enum ash_status find_entry(struct opencl_device *device)
{
    struct opencl_entry entry[OPENCL_MOST_DEVICES];
    char name[sizeof device->queue.base.info.name];
    int count, index = device->queue.base.info.index;
    ASH_TRY(opencl_list(&device->api, entry, &count));
    name[0] = '\0';
    if (index < count)
        opencl_device_text(&device->api, entry[index].id, CL_DEVICE_NAME, name, sizeof name);
    for (int i = 0; i < count; i++)
        if (i == index)
            device->entry = entry[i];
        else
            opencl_list_finish(&device->api, &entry[i], 1);
    if (strcmp(name, device->queue.base.info.name) != 0)
        return ash_fail(ASH_ERR_DEVICE, "opencl:%d was %s and is %s now: start again", index,
            device->queue.base.info.name, name[0] ? name : "gone");
    return ASH_OK;
}

/* What a binary must have been built for. */
static void identify(struct opencl_device *device)
{
    static const cl_device_info facts[] = { CL_DEVICE_NAME, CL_DEVICE_VENDOR, CL_DEVICE_VERSION,
        CL_DRIVER_VERSION };
    size_t at = 0;
    for (size_t i = 0; i < sizeof facts / sizeof *facts; i++) {
        char text[120];
        opencl_device_text(&device->api, device->entry.id, facts[i], text, sizeof text);
        at += (size_t)snprintf(device->identity + at, sizeof device->identity - at, "%s\n", text);
    }
    uint64_t arithmetic =
        opencl_device_number(&device->api, device->entry.id, CL_DEVICE_SINGLE_FP_CONFIG);
    snprintf(device->options, sizeof device->options, "-cl-std=CL1.2%s",
        arithmetic & CL_FP_CORRECTLY_ROUNDED_DIVIDE_SQRT ? " -cl-fp32-correctly-rounded-divide-sqrt"
                                                         : "");
}

/*
 * Whether steps may run beside each other. Not on PoCL: where two commands use a kernel for the first time
 * at once, its cache of loaded kernels (3.1, devices/common.c) holds it twice and aborts the process.
 */
static bool can_reorder(const struct opencl_device *device)
{
    uint64_t properties =
        opencl_device_number(&device->api, device->entry.id, CL_DEVICE_QUEUE_PROPERTIES);
    return properties & CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE &&
           !strcasestr(device->identity, "pocl");
}

/*
 * Whether work may wait for an event that has not happened. Not on PoCL's device that computes in the calling
 * thread, "basic" and later "cpu-minimal": up to version 4 whoever completes the event holds a lock of what
 * waited for it, runs that, and wants the lock once more (devices/basic/basic.c, pocl_basic_notify).
 */
static bool can_follow(const struct opencl_device *device)
{
    const char *name = device->queue.base.info.name;
    return !strcasestr(device->identity, "pocl") ||
           (strncmp(name, "basic", 5) != 0 && strncmp(name, "cpu-minimal", 11) != 0);
}

static enum ash_status make_queues(struct opencl_device *device)
{
    const struct opencl_api *api = &device->api;
    cl_context_properties properties[] = { CL_CONTEXT_PLATFORM,
        (cl_context_properties)device->entry.platform, 0 };
    cl_int code;
    device->out_of_order = can_reorder(device);
    device->follows = can_follow(device);
    device->context = api->CreateContext(properties, 1, &device->entry.id, NULL, NULL, &code);
    ASH_TRY(opencl_check(device, code, "be opened"));
    for (int lane = 0; lane < DEVICE_LANES; lane++) {
        bool in_order = lane != DEVICE_STEPS || !device->out_of_order;
        device->commands[lane] = api->CreateCommandQueue(device->context, device->entry.id,
            in_order ? 0 : CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE, &code);
        ASH_TRY(opencl_check(device, code, "make a queue"));
    }
    return ASH_OK;
}

static bool is_given(const struct ash_config *config, const char *name)
{
    const struct ash_setting *first = ash_settings(), *setting = ash_setting_find(name);
    return setting && config->source[setting - first] != ASH_SOURCE_DEFAULT;
}

/* Where programs come from: a folder of binaries, or source with a cache on disk if there is a folder. */
static enum ash_status find_folders(struct opencl_device *device, const struct ash_config *config)
{
    const struct opencl_api *api = &device->api;
    cl_device_type type = opencl_device_number(api, device->entry.id, CL_DEVICE_TYPE);
    bool accelerator = (type & CL_DEVICE_TYPE_ACCELERATOR) != 0 &&
                       !(type & (CL_DEVICE_TYPE_CPU | CL_DEVICE_TYPE_GPU));
    bool prebuilt = accelerator || is_given(config, "kernel_dir") ||
                    !opencl_device_number(api, device->entry.id, CL_DEVICE_COMPILER_AVAILABLE);
    if (!(prebuilt ? config->kernel_dir : config->cache_dir))
        return ASH_OK;
    if (prebuilt)
        device->kernel_dir = ash_strdup(config->kernel_dir);
    else
        device->cache_dir = ash_format("%s/opencl", config->cache_dir);
    return device->kernel_dir || device->cache_dir ? ASH_OK : ash_fail_memory(256, "a path");
}

enum {
    CL_NVIDIA_CAPABILITY_MAJOR = 0x4000,
    LEAST_CAPABILITY = 8
}; /* of cl_nv_device_attribute_query */

/* The matrix cores that prompts take: NVIDIA's; for tests those that ASHLAR_OPENCL_MATRIX names, emulated. */
static void find_matrix(struct opencl_device *device, const struct ash_config *config)
{
    const char *named = getenv("ASHLAR_OPENCL_MATRIX");
    char vendor[64];
    if (device->kernel_dir || (config && config->kernels == ASH_KERNELS_LISTED))
        return;
    opencl_device_text(&device->api, device->entry.id, CL_DEVICE_VENDOR, vendor, sizeof vendor);
    if (named) {
        device->queue.matrix = ash_device_matrix_find(named);
    } else if (strstr(vendor, "NVIDIA") && opencl_device_number(&device->api, device->entry.id,
                                               CL_NVIDIA_CAPABILITY_MAJOR) >= LEAST_CAPABILITY) {
        device->queue.matrix = MATRIX_MMA;
        strncat(device->options, " -DMATRIX_NATIVE",
            sizeof device->options - strlen(device->options) - 1);
    }
}

static enum ash_status find_sources(struct opencl_device *device, const struct ash_config *config)
{
    if (config)
        return find_folders(device, config);
    struct ash_config defaults;
    ASH_TRY(ash_config_init(&defaults));
    enum ash_status status = find_folders(device, &defaults);
    ash_config_finish(&defaults);
    return status;
}

static enum ash_status open_device(struct opencl_device *device, const struct ash_config *config)
{
    ASH_TRY(opencl_api_open(NULL, &device->api));
    ASH_TRY(find_entry(device));
    identify(device);
    ASH_TRY(opencl_relay_create(&device->api, &device->relay));
    ASH_TRY(make_queues(device));
    ASH_TRY(find_sources(device, config));
    find_matrix(device, config);
    return ASH_OK;
}

static void opencl_close(struct ash_device *device)
{
    struct opencl_device *self = (struct opencl_device *)device;
    if (!self)
        return;
    const struct opencl_api *api = &self->api;
    if (self->commands[DEVICE_LANES - 1]) /* nothing is queued before all are there */
        ash_device_finish(&self->queue);
    opencl_relay_destroy(self->relay);
    opencl_programs_release(self);
    for (int lane = 0; lane < DEVICE_LANES; lane++)
        if (self->commands[lane])
            api->ReleaseCommandQueue(self->commands[lane]);
    if (self->context)
        api->ReleaseContext(self->context);
    /* A part of a device is kept for the process: PoCL's workers look at it after its last event. */
    ash_free(self->cache_dir);
    ash_free(self->kernel_dir);
    ash_free(self);
}

static enum ash_status opencl_open(
    const struct ash_device_info *info, const struct ash_config *config, struct ash_device **out)
{
    struct opencl_device *device = ash_alloc_zero(sizeof *device);
    if (!device)
        return ash_fail_memory(sizeof *device, "a device");
    device->queue.base = (struct ash_device){ .driver = &ash_driver_opencl, .info = *info };
    device->queue.calls = &opencl_calls;
    enum ash_status status = open_device(device, config);
    if (status != ASH_OK) {
        opencl_close(&device->queue.base);
        return status;
    }
    *out = &device->queue.base;
    return ASH_OK;
}

const struct ash_driver ash_driver_opencl = {
    .name = "opencl",
    .probe = opencl_probe,
    .open = opencl_open,
    .close = opencl_close,
    .alloc = ash_device_alloc,
    .free = ash_device_free,
    .load = ash_device_load,
    .unload = ash_device_unload,
    .round_up = ash_device_round_up,
    .upload = ash_device_upload,
    .launch = ash_device_launch,
    .copy = opencl_copy,
    .wait = ash_device_wait,
    .compile = ash_device_compile,
    .run = ash_device_run,
    .discard = ash_device_discard,
};

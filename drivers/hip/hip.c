/* SPDX-License-Identifier: Apache-2.0 */
#include "drivers/hip/hip.h"

#include "drivers/hip/hip_arch.h"
#include "drivers/hip/hip_internal.h"
#include "runtime/config.h"
#include "runtime/memory.h"

#include <stdio.h>
#include <string.h>

/* ---- Taking a device into use ---- */

/* The card that probe() has listed, which must still be there. */
static enum ash_status find_card(struct hip_device *device, const struct hip_object **out)
{
    const struct hip_api *api = &device->api;
    struct ash_device_info now = { 0 };
    char arch[HIP_ARCH_BYTES];
    int count = 0, index = device->queue.base.info.index;
    ASH_TRY(hip_check(device, api->Init(0), "be opened"));
    ASH_TRY(hip_check(device, api->GetDeviceCount(&count), "be opened"));
    if (index < count)
        hip_describe(api, index, &now, arch);
    if (strcmp(now.name, device->queue.base.info.name) != 0 || !now.usable)
        return ash_fail(ASH_ERR_DEVICE, "hip:%d was %s and is %s now: start again", index,
            device->queue.base.info.name, now.name[0] ? now.name : "gone");
    *out = hip_object_find(arch);
    return ASH_OK;
}

static enum ash_status load_module(struct hip_device *device, const struct hip_object *object)
{
    int code = device->api.ModuleLoadData(&device->module, object->bytes);
    return ash_fail_in(hip_check(device, code, "take its kernels"), "kernels for %s", object->arch);
}

/* Which matrix cores the card's kernels were built for: the entry points are there, or they are not. */
static int find_matrix(const struct hip_device *device)
{
    int kind = 1;
    for (const char *name; (name = ash_device_matrix_name(kind)); kind++) {
        struct hip_function *function;
        char entry[96];
        snprintf(entry, sizeof entry, "matmul_%s_q4_0_matmul_matrix", name);
        if (device->api.ModuleGetFunction(&function, device->module, entry) == HIP_SUCCESS)
            return kind;
    }
    return 0;
}

static enum ash_status make_streams(struct hip_device *device)
{
    for (int lane = 0; lane < DEVICE_LANES; lane++)
        ASH_TRY(hip_check(device,
            device->api.StreamCreateWithFlags(&device->stream[lane], HIP_STREAM_NON_BLOCKING),
            "take work"));
    return ASH_OK;
}

static enum ash_status open_device(struct hip_device *device, const struct ash_config *config)
{
    const struct hip_object *object = NULL;
    ASH_TRY(hip_api_open(NULL, &device->api));
    ASH_TRY(find_card(device, &object));
    ASH_TRY(ash_device_begin(&device->queue, DEVICE_STEPS, NULL, 0));
    ASH_TRY(make_streams(device));
    ASH_TRY(load_module(device, object));
    if (!config || config->kernels != ASH_KERNELS_LISTED)
        device->queue.matrix = find_matrix(device);
    return ASH_OK;
}

static void hip_close(struct ash_device *device)
{
    struct hip_device *self = (struct hip_device *)device;
    if (!self)
        return;
    const struct hip_api *api = &self->api;
    if (self->stream[DEVICE_LANES - 1]) /* nothing is queued before all are there */
        ash_device_finish(&self->queue);
    if (self->module)
        (void)api->ModuleUnload(self->module);
    for (int lane = 0; lane < DEVICE_LANES; lane++)
        if (self->stream[lane])
            (void)api->StreamDestroy(self->stream[lane]);
    ash_free(self);
}

static enum ash_status hip_open(
    const struct ash_device_info *info, const struct ash_config *config, struct ash_device **out)
{
    struct hip_device *device = ash_alloc_zero(sizeof *device);
    if (!device)
        return ash_fail_memory(sizeof *device, "a device");
    device->queue.base = (struct ash_device){ .driver = &ash_driver_hip, .info = *info };
    device->queue.calls = &hip_calls;
    enum ash_status status = open_device(device, config);
    if (status != ASH_OK) {
        hip_close(&device->queue.base);
        return status;
    }
    *out = &device->queue.base;
    return ASH_OK;
}

const struct ash_driver ash_driver_hip = {
    .name = "hip",
    .copies_to_peers = true,
    .probe = hip_probe,
    .open = hip_open,
    .close = hip_close,
    .alloc = ash_device_alloc,
    .free = ash_device_free,
    .pin = hip_pin,
    .unpin = hip_unpin,
    .load = ash_device_load,
    .unload = ash_device_unload,
    .round_up = ash_device_round_up,
    .upload = ash_device_upload,
    .launch = ash_device_launch,
    .copy = hip_copy,
    .wait = ash_device_wait,
    .compile = ash_device_compile,
    .run = ash_device_run,
    .discard = ash_device_discard,
};

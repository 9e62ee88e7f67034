/* SPDX-License-Identifier: Apache-2.0 */
#include "drivers/hip/hip.h"

#include "drivers/hip/hip_arch.h"
#include "drivers/hip/hip_internal.h"
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
    int count = 0, index = device->base.info.index;
    ASH_TRY(hip_check(device, api->Init(0), "be opened"));
    ASH_TRY(hip_check(device, api->GetDeviceCount(&count), "be opened"));
    if (index < count)
        hip_describe(api, index, &now, arch);
    if (strcmp(now.name, device->base.info.name) != 0 || !now.usable)
        return ash_fail(ASH_ERR_DEVICE, "hip:%d was %s and is %s now: start again", index,
            device->base.info.name, now.name[0] ? now.name : "gone");
    *out = hip_object_find(arch);
    return ASH_OK;
}

static enum ash_status load_module(struct hip_device *device, const struct hip_object *object)
{
    int code = device->api.ModuleLoadData(&device->module, object->bytes);
    return ash_fail_in(hip_check(device, code, "take its kernels"), "kernels for %s", object->arch);
}

static enum ash_status open_device(struct hip_device *device)
{
    const struct hip_api *api = &device->api;
    const struct hip_object *object = NULL;
    ASH_TRY(hip_api_open(NULL, &device->api));
    ASH_TRY(find_card(device, &object));
    ASH_TRY(hip_begin(device, NULL, 0));
    ASH_TRY(hip_check(
        device, api->StreamCreateWithFlags(&device->stream, HIP_STREAM_NON_BLOCKING), "take work"));
    for (int i = 0; i < HIP_RING; i++)
        ASH_TRY(hip_check(device,
            api->EventCreateWithFlags(&device->ring[i], HIP_EVENT_DISABLE_TIMING), "take work"));
    return load_module(device, object);
}

static void hip_close(struct ash_device *device)
{
    struct hip_device *self = (struct hip_device *)device;
    if (!self)
        return;
    const struct hip_api *api = &self->api;
    if (self->stream) {
        (void)api->SetDevice(device->info.index);
        (void)api->StreamSynchronize(self->stream);
    }
    for (int i = 0; i < 2; i++)
        hip_staging_release(self, &self->staging[i]);
    hip_staging_release(self, &self->batch_staging);
    if (self->batch)
        (void)api->Free(self->batch);
    for (int i = 0; i < HIP_RING; i++)
        if (self->ring[i])
            (void)api->EventDestroy(self->ring[i]);
    if (self->module)
        (void)api->ModuleUnload(self->module);
    if (self->stream)
        (void)api->StreamDestroy(self->stream);
    ash_free(self);
}

static enum ash_status hip_open(
    const struct ash_device_info *info, const struct ash_config *config, struct ash_device **out)
{
    (void)config;
    struct hip_device *device = ash_alloc_zero(sizeof *device);
    if (!device)
        return ash_fail_memory(sizeof *device, "a device");
    device->base = (struct ash_device){ .driver = &ash_driver_hip, .info = *info };
    enum ash_status status = open_device(device);
    if (status != ASH_OK) {
        hip_close(&device->base);
        return status;
    }
    *out = &device->base;
    return ASH_OK;
}

/* ---- Kernels ---- */

static void hip_unload(struct ash_device *device, struct ash_loaded *loaded)
{
    struct hip_loaded *self = (struct hip_loaded *)loaded;
    if (!self)
        return;
    if (self->table)
        (void)((struct hip_device *)device)->api.Free(self->table);
    ash_free(self);
}

/* Entry points are called <program>_<entry>, the program without hyphens: drivers/device/meson.build. */
static void name_entry(const char *program, const char *entry, char *out, size_t capacity)
{
    snprintf(out, capacity, "%s_%s", program, entry);
    for (char *letter = out; *letter; letter++)
        if (*letter == '-')
            *letter = '_';
}

static enum ash_status find_entries(struct hip_device *device, struct hip_loaded *loaded)
{
    const char *const *entry = loaded->base.op->entries;
    for (int i = 0; entry[i]; i++) {
        char name[96];
        name_entry(loaded->base.variant.name, entry[i], name, sizeof name);
        int code = device->api.ModuleGetFunction(&loaded->entry[i], device->module, name);
        ASH_TRY(ash_fail_in(hip_check(device, code, "find an entry point"), "%s", name));
    }
    return ASH_OK;
}

static enum ash_status load(struct hip_device *device, const struct ash_op *op,
    const struct ash_args *args, struct hip_loaded *loaded)
{
    ASH_TRY(ash_device_loaded_init(op, args, &loaded->base));
    ASH_TRY(hip_begin(device, NULL, 0));
    ASH_TRY(find_entries(device, loaded));
    return ash_device_needs_table(&loaded->base) ? hip_table_make(device, loaded) : ASH_OK;
}

static enum ash_status hip_load(struct ash_device *device, const struct ash_op *op,
    const struct ash_args *args, struct ash_loaded **out)
{
    struct hip_loaded *loaded = ash_alloc_zero(sizeof *loaded);
    if (!loaded)
        return ash_fail_memory(sizeof *loaded, "a kernel");
    enum ash_status status = load((struct hip_device *)device, op, args, loaded);
    if (status != ASH_OK) {
        hip_unload(device, &loaded->base.base);
        return status;
    }
    *out = &loaded->base.base;
    return ASH_OK;
}

const struct ash_driver ash_driver_hip = {
    .name = "hip",
    .copies_to_peers = true,
    .probe = hip_probe,
    .open = hip_open,
    .close = hip_close,
    .alloc = hip_alloc,
    .free = hip_free,
    .load = hip_load,
    .unload = hip_unload,
    .upload = hip_upload,
    .launch = hip_launch,
    .copy = hip_copy,
    .wait = hip_wait,
    .compile = ash_device_compile,
    .run = hip_run,
    .discard = ash_device_discard,
};

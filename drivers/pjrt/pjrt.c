/* SPDX-License-Identifier: Apache-2.0 */
#include "drivers/pjrt/pjrt.h"

#include "drivers/pjrt/pjrt_emit.h"
#include "runtime/memory.h"

#include <stdio.h>
#include <string.h>

/* ---- Taking a device into use ---- */

static size_t put_number(char *out, uint64_t number)
{
    size_t length = 0;
    for (; number > 127; number >>= 7)
        out[length++] = (char)(number | 0x80);
    out[length++] = (char)number;
    return length;
}

/*
 * One of env_option_overrides (7), to an empty text. YNNPACK computes with other bits for other numbers of
 * rows, and XLA takes it for what it can since 2025; plugins that do not know the option refuse it.
 */
static void add_override(struct pjrt_device *device, const char *name)
{
    char *out = device->options + device->options_size;
    size_t length = strlen(name);
    const char head[] = { 0x3a, (char)(length + 6), 0x0a, (char)length };
    const char tail[] = { 0x12, 2, 0x0a, 0 };
    memcpy(out, head, sizeof head);
    memcpy(out + sizeof head, name, length);
    memcpy(out + sizeof head + length, tail, sizeof tail);
    device->options_size += sizeof head + length + sizeof tail;
    device->is_plain = false;
}

/*
 * CompileOptionsProto (xla/pjrt/proto/compile_options.proto): field 3, the build's options, with
 * num_replicas (4) and num_partitions (5) of 1, and a device_assignment (9) of one replica of one
 * computation to the chip.
 */
static void write_options(struct pjrt_device *device, int number)
{
    char id[10], *out = device->options;
    size_t digits = put_number(id, (uint64_t)number);
    const char head[] = { 0x1a, (char)(14 + digits), 0x20, 1, 0x28, 1, 0x4a, (char)(8 + digits),
        0x08, 1, 0x10, 1, 0x1a, (char)(2 + digits), 0x0a, (char)digits };
    memcpy(out, head, sizeof head);
    memcpy(out + sizeof head, id, digits);
    device->options_size = device->plain_size = sizeof head + digits;
    device->is_plain = true;
    if (device->is_processor)
        add_override(device, "xla_cpu_experimental_ynn_fusion_type");
}

/* The chip that probe() has listed, found again by its number. */
static enum ash_status find_chip(struct pjrt_device *device)
{
    struct ash_device_info found = { .index = -1 };
    size_t index = (size_t)device->base.info.index;
    if (index < device->plugin->chips)
        pjrt_describe_chip(device->plugin, index, &found);
    if (strcmp(found.name, device->base.info.name) != 0)
        return ash_fail(ASH_ERR_DEVICE, "pjrt:%zu was %s and is %s now: start again", index,
            device->base.info.name, found.name[0] ? found.name : "gone");
    device->api = &device->plugin->api;
    device->client = device->plugin->client;
    device->chip = device->plugin->chip[index];
    device->is_processor = pjrt_is_processor(&found);
    write_options(device, pjrt_chip_number(device->api, device->chip));
    return ASH_OK;
}

static void pjrt_close(struct ash_device *device)
{
    struct pjrt_device *self = (struct pjrt_device *)device;
    if (!self)
        return;
    for (int i = 0; i < PJRT_RING; i++)
        (void)pjrt_finish(self->api, self->ring[i], self->who, "finish its work");
    pjrt_plugin_release(self->plugin);
    ash_free(self->batch);
    ash_free(self->cache_dir);
    ash_free(self->identity);
    ash_free(self);
}

static enum ash_status open_device(struct pjrt_device *device, const struct ash_config *config)
{
    char path[PJRT_MOST_PATH];
    ASH_TRY(pjrt_find_plugin(path));
    ASH_TRY(pjrt_plugin_take(path, &device->plugin));
    ASH_TRY(find_chip(device));
    return pjrt_cache_open(device, config);
}

static enum ash_status pjrt_open(
    const struct ash_device_info *info, const struct ash_config *config, struct ash_device **out)
{
    struct pjrt_device *device = ash_alloc_zero(sizeof *device);
    if (!device)
        return ash_fail_memory(sizeof *device, "a device");
    device->base = (struct ash_device){ .driver = &ash_driver_pjrt, .info = *info };
    snprintf(device->who, sizeof device->who, "pjrt:%d (%s)", info->index, info->name);
    enum ash_status status = open_device(device, config);
    if (status != ASH_OK) {
        pjrt_close(&device->base);
        return status;
    }
    *out = &device->base;
    return ASH_OK;
}

/* ---- Operators ---- */

static void pjrt_unload(struct ash_device *device, struct ash_loaded *loaded)
{
    (void)device;
    struct pjrt_loaded *self = (struct pjrt_loaded *)loaded;
    if (!self)
        return;
    pjrt_runner_finish(&self->runner);
    ash_free(self);
}

static enum ash_status pjrt_load(struct ash_device *device, const struct ash_op *op,
    const struct ash_args *args, struct ash_loaded **out)
{
    struct ash_tensor result;
    ASH_TRY(ash_op_infer(op, args, &result));
    const struct pjrt_op *found = pjrt_op_find(op);
    if (!found || (result.rank && result.type != args->out.type) || !found->accepts(args))
        return ash_fail(ASH_ERR_UNSUPPORTED, "%s: there is no StableHLO for these types", op->name);
    struct pjrt_loaded *loaded = ash_alloc_zero(sizeof *loaded);
    if (!loaded)
        return ash_fail_memory(sizeof *loaded, "a kernel");
    const struct ash_step step = { .op = op, .args = *args };
    loaded->base = (struct ash_loaded){ .kernel = "stablehlo", .activation = args->in[0].type };
    pjrt_runner_init(&loaded->runner, (struct pjrt_device *)device, &step, 1);
    *out = &loaded->base;
    return ASH_OK;
}

const struct ash_driver ash_driver_pjrt = {
    .name = "pjrt",
    .copies_to_peers = true,
    .probe = pjrt_probe,
    .open = pjrt_open,
    .close = pjrt_close,
    .alloc = pjrt_alloc,
    .free = pjrt_free,
    .load = pjrt_load,
    .unload = pjrt_unload,
    .upload = pjrt_upload,
    .launch = pjrt_launch,
    .copy = pjrt_copy,
    .wait = pjrt_wait,
    .compile = pjrt_compile,
    .run = pjrt_run,
    .discard = pjrt_discard,
};

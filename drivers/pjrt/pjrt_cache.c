/* SPDX-License-Identifier: Apache-2.0 */
#include "drivers/device/program_cache.h"
#include "drivers/pjrt/pjrt_internal.h"
#include "runtime/config.h"
#include "runtime/hash.h"
#include "runtime/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* ---- What a program on disk is for ---- */

static bool is_listed(const char *line)
{
    static const char *const names[] = { "model name", "flags", "CPU implementer", "CPU part",
        "Features", "isa" };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strncmp(line, names[i], strlen(names[i])) == 0)
            return true;
    return false;
}

/* A compiler for the processor makes code for this one: its model, and all that it can execute. */
static uint64_t hash_processor(void)
{
    char line[8192];
    uint64_t hash = ASH_HASH_BEGIN;
    FILE *file = fopen("/proc/cpuinfo", "re");
    while (file && fgets(line, sizeof line, file) && line[0] != '\n')
        if (is_listed(line))
            hash = ash_hash(hash, line, strlen(line));
    if (file)
        fclose(file);
    return hash;
}

static const char *setting(const char *name)
{
    const char *text = getenv(name);
    return text ? text : "";
}

/* The plugin (a new one has another size or date), the chip, and what else its compiler goes by. */
static char *identify(const struct pjrt_device *device)
{
    const struct pjrt_plugin *plugin = device->plugin;
    struct pjrt_client_text version = { PJRT_ARGS(pjrt_client_text), .client = plugin->client };
    struct stat about;
    if (stat(plugin->path, &about) != 0 ||
        pjrt_check(&plugin->api, plugin->api.client_platform_version(&version), device->who,
            "tell its version") != ASH_OK)
        return NULL;
    return ash_format("%s\n%.*s\n%lld %lld.%09ld\n%016llx\n%s\n%s\n", device->base.info.name,
        version.text && version.text_size < 4096 ? (int)version.text_size : 0,
        version.text ? version.text : "", (long long)about.st_size, (long long)about.st_mtim.tv_sec,
        about.st_mtim.tv_nsec, (unsigned long long)hash_processor(), setting("XLA_FLAGS"),
        setting("LIBTPU_INIT_ARGS"));
}

static enum ash_status find_folder(struct pjrt_device *device, const struct ash_config *config)
{
    if (!config->cache_dir)
        return ASH_OK;
    device->cache_dir = ash_format("%s/pjrt", config->cache_dir);
    return device->cache_dir ? ASH_OK : ash_fail_memory(strlen(config->cache_dir), "a path");
}

enum ash_status pjrt_cache_open(struct pjrt_device *device, const struct ash_config *config)
{
    struct ash_config defaults;
    const struct pjrt_api *api = device->api;
    if (!api->get_built || !api->built_destroy || !api->serialize || !api->deserialize ||
        !(device->identity = identify(device)))
        return ASH_OK;
    if (config)
        return find_folder(device, config);
    ASH_TRY(ash_config_init(&defaults));
    enum ash_status status = find_folder(device, &defaults);
    ash_config_finish(&defaults);
    return status;
}

/* ---- Programs ---- */

static char *make_key(const struct pjrt_device *device, const struct pjrt_text *text)
{
    return ash_format("%s%016llx %zu\n%016llx\n", device->identity,
        (unsigned long long)ash_hash(ASH_HASH_BEGIN, text->text, text->length), text->length,
        (unsigned long long)ash_hash(ASH_HASH_BEGIN, device->options, device->options_size));
}

static enum ash_status read_kept(
    struct pjrt_device *device, const char *key, struct pjrt_executable **out)
{
    unsigned char *bytes;
    struct pjrt_deserialize call = { PJRT_ARGS(pjrt_deserialize), .client = device->client };
    ASH_TRY(ash_program_cache_read(device->cache_dir, "program", key, &bytes, &call.size_bytes));
    call.bytes = (const char *)bytes;
    enum ash_status status = pjrt_check(
        device->api, device->api->deserialize(&call), device->who, "take a program from disk");
    ash_free(bytes);
    ASH_TRY(status);
    *out = call.executable;
    return *out ? ASH_OK : ash_fail(ASH_ERR_DEVICE, "%s takes no program from disk", device->who);
}

static enum ash_status write_kept(
    const struct pjrt_device *device, const char *key, const struct pjrt_built *built)
{
    struct pjrt_serialize call = { PJRT_ARGS(pjrt_serialize), .built = built };
    ASH_TRY(pjrt_check(device->api, device->api->serialize(&call), device->who, "write a program"));
    enum ash_status status = ASH_ERR_UNSUPPORTED;
    if (call.bytes && call.size_bytes > 0)
        status = ash_program_cache_write(
            device->cache_dir, "program", key, (const unsigned char *)call.bytes, call.size_bytes);
    if (call.destroy)
        call.destroy(call.kept);
    return status;
}

/* What cannot be kept only costs the next start. */
static void keep(
    const struct pjrt_device *device, const char *key, struct pjrt_executable *executable)
{
    const struct pjrt_api *api = device->api;
    struct pjrt_get_built get = { PJRT_ARGS(pjrt_get_built), .executable = executable };
    if (pjrt_check(api, api->get_built(&get), device->who, "write a program") != ASH_OK)
        return;
    struct pjrt_built_destroy destroy = { PJRT_ARGS(pjrt_built_destroy), .built = get.built };
    if (get.built) {
        (void)write_kept(device, key, get.built);
        pjrt_drop(api, api->built_destroy(&destroy));
    }
}

static enum ash_status compile_with(struct pjrt_device *device, size_t options_size,
    const struct pjrt_text *text, struct pjrt_executable **out)
{
    struct pjrt_code code = { PJRT_ARGS(pjrt_code), .text = text->text, .text_size = text->length,
        .format = "mlir", .format_size = 4 };
    struct pjrt_client_compile call = { PJRT_ARGS(pjrt_client_compile), .client = device->client,
        .code = &code, .options = device->options, .options_size = options_size };
    ASH_TRY(pjrt_check(
        device->api, device->api->client_compile(&call), device->who, "compile a program"));
    *out = call.executable;
    return *out ? ASH_OK : pjrt_device_fail(device, "compile a program");
}

static enum ash_status compile(
    struct pjrt_device *device, const struct pjrt_text *text, struct pjrt_executable **out)
{
    if (!device->is_plain && compile_with(device, device->options_size, text, out) == ASH_OK)
        return ASH_OK;
    ASH_TRY(compile_with(device, device->plain_size, text, out));
    device->is_plain = true;
    return ASH_OK;
}

enum ash_status pjrt_compile_text(
    struct pjrt_device *device, const struct pjrt_text *text, struct pjrt_executable **out)
{
    ASH_TRY(text->status);
    if (!device->cache_dir)
        return compile(device, text, out);
    char *key = make_key(device, text);
    if (!key)
        return ash_fail_memory(text->length, "a program's key");
    enum ash_status status = read_kept(device, key, out);
    if (status != ASH_OK) {
        status = compile(device, text, out);
        if (status == ASH_OK)
            keep(device, key, *out);
    }
    ash_free(key);
    return status;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "drivers/pjrt/pjrt_internal.h"
#include "runtime/memory.h"

#include <assert.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static_assert(PJRT_MOST_PATH >= PATH_MAX, "realpath() writes up to PATH_MAX");

/* ---- Where it is ---- */

/* By its one name, however it was called: a library that is loaded twice is one all the same. */
static enum ash_status take_path(const char *path, char out[PJRT_MOST_PATH])
{
    if (!realpath(path, out))
        return ash_fail(ASH_ERR_NOT_FOUND,
            "pjrt_plugin is %s, which cannot be read: give the path of a plugin's .so", path);
    return ASH_OK;
}

/* A name without a folder: where libraries usually are. */
static bool search(const char *name, char out[PJRT_MOST_PATH])
{
    static const char *const folders[] = { "/usr/local/lib", "/usr/lib", "/usr/lib64", "/lib" };
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        int length = snprintf(out, PJRT_MOST_PATH, "%s/%s", folders[i], name);
        if (length > 0 && length < PJRT_MOST_PATH && access(out, R_OK) == 0)
            return true;
    }
    return false;
}

enum ash_status pjrt_find_plugin(char out[PJRT_MOST_PATH])
{
    char found[PJRT_MOST_PATH];
    const char *set = getenv("ASHLAR_PJRT_PLUGIN"), *tpu = getenv("TPU_LIBRARY_PATH");
    const char *name = set && *set ? set : "libtpu.so";
    if (strchr(name, '/'))
        return take_path(name, out);
    if (strcmp(name, "libtpu.so") == 0 && tpu && *tpu && access(tpu, R_OK) == 0)
        return take_path(tpu, out); /* where the maker's own programs look for it */
    if (search(name, found))
        return take_path(found, out);
    return ash_fail(ASH_ERR_NOT_FOUND,
        "%s not found: install the PJRT plugin of the device's maker and give its path as pjrt_plugin",
        name);
}

/* ---- Its client ---- */

static void client_close(struct pjrt_plugin *plugin)
{
    struct pjrt_client_destroy call = { PJRT_ARGS(pjrt_client_destroy), .client = plugin->client };
    if (plugin->client)
        (void)pjrt_check(
            &plugin->api, plugin->api.client_destroy(&call), plugin->path, "be closed");
    plugin->client = NULL;
    plugin->chips = 0;
}

static enum ash_status client_open(struct pjrt_plugin *plugin)
{
    struct pjrt_client_create create = { PJRT_ARGS(pjrt_client_create) };
    ASH_TRY(
        pjrt_check(&plugin->api, plugin->api.client_create(&create), plugin->path, "be opened"));
    plugin->client = create.client;
    if (!plugin->client)
        return ash_fail(ASH_ERR_DEVICE, "%s gives no client", plugin->path);
    struct pjrt_client_devices list = { PJRT_ARGS(pjrt_client_devices), .client = create.client };
    enum ash_status status = pjrt_check(
        &plugin->api, plugin->api.client_devices(&list), plugin->path, "list its devices");
    if (status == ASH_OK && (list.count == 0 || !list.chip))
        status = ash_fail(ASH_ERR_NOT_FOUND, "%s knows no device on this machine", plugin->path);
    if (status != ASH_OK) {
        client_close(plugin);
        return status;
    }
    plugin->chip = list.chip;
    plugin->chips = list.count;
    return ASH_OK;
}

enum ash_status pjrt_plugin_start(const char *path, struct pjrt_plugin *out)
{
    *out = (struct pjrt_plugin){ .next = NULL };
    snprintf(out->path, sizeof out->path, "%s", path);
    ASH_TRY(pjrt_api_open(path, &out->api));
    return client_open(out);
}

void pjrt_plugin_stop(struct pjrt_plugin *plugin)
{
    client_close(plugin);
}

/* ---- Shared by its devices ---- */

/*
 * The plugins that this process has opened. They are the process's own, not ours: none can be unloaded, each
 * is to be initialized once, and libtpu gives one client, so that devices, whoever opens them, have to
 * find what others have opened.
 */
static struct {
    pthread_mutex_t lock;
    struct pjrt_plugin *first;
} opened = { .lock = PTHREAD_MUTEX_INITIALIZER };

static struct pjrt_plugin *find(const char *path)
{
    struct pjrt_plugin *plugin = opened.first;
    while (plugin && strcmp(plugin->path, path) != 0)
        plugin = plugin->next;
    return plugin;
}

static enum ash_status add(const char *path, struct pjrt_plugin **out)
{
    struct pjrt_plugin *plugin = ash_alloc(sizeof *plugin);
    if (!plugin)
        return ash_fail_memory(sizeof *plugin, "a plugin");
    enum ash_status status = pjrt_plugin_start(path, plugin);
    if (status != ASH_OK) {
        ash_free(plugin);
        return status;
    }
    plugin->next = opened.first;
    opened.first = *out = plugin;
    return ASH_OK;
}

static enum ash_status take(const char *path, struct pjrt_plugin **out)
{
    struct pjrt_plugin *plugin = find(path);
    if (!plugin)
        ASH_TRY(add(path, &plugin));
    else if (plugin->users == 0)
        ASH_TRY(client_open(plugin));
    plugin->users++;
    *out = plugin;
    return ASH_OK;
}

enum ash_status pjrt_plugin_take(const char *path, struct pjrt_plugin **out)
{
    pthread_mutex_lock(&opened.lock);
    enum ash_status status = take(path, out);
    pthread_mutex_unlock(&opened.lock);
    return status;
}

struct pjrt_plugin *pjrt_plugin_take_open(const char *path)
{
    pthread_mutex_lock(&opened.lock);
    struct pjrt_plugin *plugin = find(path);
    if (plugin && plugin->users > 0)
        plugin->users++;
    else
        plugin = NULL;
    pthread_mutex_unlock(&opened.lock);
    return plugin;
}

void pjrt_plugin_release(struct pjrt_plugin *plugin)
{
    if (!plugin)
        return;
    pthread_mutex_lock(&opened.lock);
    if (--plugin->users == 0)
        client_close(plugin);
    pthread_mutex_unlock(&opened.lock);
}

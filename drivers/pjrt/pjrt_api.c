/* SPDX-License-Identifier: Apache-2.0 */
#include "drivers/pjrt/pjrt_api.h"

#include <dlfcn.h>
#include <string.h>

/* The head of PJRT_Api, and behind it a table of functions. */
struct table {
    PJRT_HEAD;
    struct {
        PJRT_HEAD;
        int major, minor;
    } version;
    void *call[];
};

enum { LEAST_MINOR = 40 }; /* the calls' arguments were as here by then */

static enum ash_status check_table(const char *path, const struct table *table)
{
    if (!table || table->struct_size < sizeof *table)
        return ash_fail(ASH_ERR_UNSUPPORTED, "%s: GetPjrtApi gives no table of functions", path);
    if (table->version.major != 0 || table->version.minor < LEAST_MINOR ||
        table->struct_size < sizeof *table + PJRT_TABLE * sizeof(void *))
        return ash_fail(ASH_ERR_UNSUPPORTED,
            "%s has the PJRT interface %d.%d; 0.%d or a later 0.x is needed: install another version",
            path, table->version.major, table->version.minor, LEAST_MINOR);
    return ASH_OK;
}

static enum ash_status take_calls(const char *path, const struct table *table, struct pjrt_api *out)
{
    ASH_TRY(check_table(path, table));
    out->major = table->version.major;
    out->minor = table->version.minor;
    /* ISO C has no cast from data to function. */
#define PJRT_TAKE(name, place, args)                                                               \
    memcpy(&out->name, &table->call[place], sizeof out->name);                                     \
    if (!out->name)                                                                                \
        return ash_fail(ASH_ERR_UNSUPPORTED, "%s lacks the call " #name, path);
    PJRT_CALLS(PJRT_TAKE)
#undef PJRT_TAKE
    size_t places = (table->struct_size - sizeof *table) / sizeof(void *);
#define PJRT_TAKE(name, place, args)                                                               \
    if (place < places)                                                                            \
        memcpy(&out->name, &table->call[place], sizeof out->name);
    PJRT_MORE_CALLS(PJRT_TAKE)
#undef PJRT_TAKE
    return ASH_OK;
}

void pjrt_drop(const struct pjrt_api *api, struct pjrt_error *error)
{
    struct pjrt_error_destroy destroy = { PJRT_ARGS(pjrt_error_destroy), .error = error };
    if (error)
        api->error_destroy(&destroy);
}

enum ash_status pjrt_check(
    const struct pjrt_api *api, struct pjrt_error *error, const char *who, const char *what)
{
    if (!error)
        return ASH_OK;
    struct pjrt_error_message message = { PJRT_ARGS(pjrt_error_message), .error = error };
    struct pjrt_error_get_code code = { PJRT_ARGS(pjrt_error_get_code), .error = error };
    api->error_message(&message);
    pjrt_drop(api, api->error_get_code(&code));
    bool exhausted = code.code == PJRT_RESOURCE_EXHAUSTED;
    int length = message.message && message.message_size < 4096 ? (int)message.message_size : 4096;
    enum ash_status status =
        ash_fail(exhausted ? ASH_ERR_NO_MEMORY : ASH_ERR_DEVICE, "%s cannot %s: %.*s", who, what,
            message.message ? length : 0, message.message ? message.message : "");
    pjrt_drop(api, error);
    return status;
}

enum ash_status pjrt_finish(
    const struct pjrt_api *api, struct pjrt_event *event, const char *who, const char *what)
{
    if (!event)
        return ASH_OK;
    struct pjrt_event_await await = { PJRT_ARGS(pjrt_event_await), .event = event };
    struct pjrt_event_destroy destroy = { PJRT_ARGS(pjrt_event_destroy), .event = event };
    enum ash_status status = pjrt_check(api, api->event_await(&await), who, what);
    pjrt_drop(api, api->event_destroy(&destroy));
    return status;
}

enum ash_status pjrt_api_open(const char *path, struct pjrt_api *out)
{
    struct pjrt_api api = { 0 };
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (!library)
        return ash_fail(ASH_ERR_NOT_FOUND, "the PJRT plugin cannot be loaded: %s", dlerror());
    const struct table *(*get)(void);
    void *symbol = dlsym(library, "GetPjrtApi");
    if (!symbol)
        return ash_fail(ASH_ERR_UNSUPPORTED, "%s is no PJRT plugin: it has no GetPjrtApi", path);
    memcpy(&get, &symbol, sizeof get);
    ASH_TRY(take_calls(path, get(), &api));
    struct pjrt_plugin_initialize initialize = { PJRT_ARGS(pjrt_plugin_initialize) };
    ASH_TRY(pjrt_check(&api, api.plugin_initialize(&initialize), path, "be initialized"));
    *out = api;
    return ASH_OK;
}

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "runtime/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * The calls of a PJRT plugin that this driver makes (openxla.org, pjrt_c_api.h), in the project's own
 * prototypes. Every struct begins with its own size, and fields were only ever added at the end: with
 * PJRT_LATER behind what is known here, zero as every optional field may be, a plugin of any version
 * finds a struct that is large enough for it. Tried with 0.81 and 0.115.
 */
#define PJRT_HEAD                                                                                  \
    size_t struct_size;                                                                            \
    void *extensions
#define PJRT_LATER     void *later[12]
#define PJRT_ARGS(...) .struct_size = sizeof(struct __VA_ARGS__)

struct pjrt_error;
struct pjrt_event;
struct pjrt_client;
struct pjrt_chip; /* PJRT_Device */
struct pjrt_chip_text;
struct pjrt_executable; /* PJRT_LoadedExecutable */
struct pjrt_built;      /* PJRT_Executable: what can be kept */
struct pjrt_kept;       /* PJRT_SerializedExecutable */
struct pjrt_array;      /* PJRT_Buffer */

/* PJRT_Buffer_Type's numbers. */
enum pjrt_type {
    PJRT_PRED = 1,
    PJRT_S8 = 2,
    PJRT_S32 = 4,
    PJRT_U8 = 6,
    PJRT_U32 = 8,
    PJRT_F16 = 10,
    PJRT_F32 = 11,
    PJRT_BF16 = 13,
};

enum { PJRT_RESOURCE_EXHAUSTED = 8 };       /* of PJRT_Error_Code */
enum { PJRT_UNTIL_TRANSFER_COMPLETES = 1 }; /* of PJRT_HostBufferSemantics */

struct pjrt_error_destroy {
    PJRT_HEAD;
    struct pjrt_error *error;
    PJRT_LATER;
};
struct pjrt_error_message {
    PJRT_HEAD;
    const struct pjrt_error *error;
    const char *message;
    size_t message_size;
    PJRT_LATER;
};
struct pjrt_error_get_code {
    PJRT_HEAD;
    const struct pjrt_error *error;
    int code;
    PJRT_LATER;
};
struct pjrt_plugin_initialize {
    PJRT_HEAD;
    PJRT_LATER;
};
struct pjrt_event_destroy {
    PJRT_HEAD;
    struct pjrt_event *event;
    PJRT_LATER;
};
struct pjrt_event_await {
    PJRT_HEAD;
    struct pjrt_event *event;
    PJRT_LATER;
};
struct pjrt_client_create {
    PJRT_HEAD;
    const void *options;
    size_t option_count;
    void *key_value[4];
    struct pjrt_client *client;
    PJRT_LATER;
};
struct pjrt_client_destroy {
    PJRT_HEAD;
    struct pjrt_client *client;
    PJRT_LATER;
};
struct pjrt_client_text { /* of its platform: name or version */
    PJRT_HEAD;
    struct pjrt_client *client;
    const char *text;
    size_t text_size;
    PJRT_LATER;
};
struct pjrt_client_devices {
    PJRT_HEAD;
    struct pjrt_client *client;
    struct pjrt_chip *const *chip;
    size_t count;
    PJRT_LATER;
};
struct pjrt_code { /* PJRT_Program */
    PJRT_HEAD;
    const char *text;
    size_t text_size;
    const char *format;
    size_t format_size;
    PJRT_LATER;
};
struct pjrt_client_compile {
    PJRT_HEAD;
    struct pjrt_client *client;
    const struct pjrt_code *code;
    const char *options;
    size_t options_size;
    struct pjrt_executable *executable;
    PJRT_LATER;
};
struct pjrt_from_host {
    PJRT_HEAD;
    struct pjrt_client *client;
    const void *data;
    enum pjrt_type type;
    const int64_t *dim;
    size_t rank;
    const int64_t *stride;
    size_t stride_count;
    int semantics;
    struct pjrt_chip *chip;
    void *memory;
    void *layout;
    struct pjrt_event *done;
    struct pjrt_array *array;
    PJRT_LATER;
};
struct pjrt_describe { /* PJRT_Device_GetDescription */
    PJRT_HEAD;
    struct pjrt_chip *chip;
    struct pjrt_chip_text *description;
    PJRT_LATER;
};
struct pjrt_chip_id {
    PJRT_HEAD;
    struct pjrt_chip_text *description;
    int id;
    PJRT_LATER;
};
struct pjrt_chip_kind {
    PJRT_HEAD;
    struct pjrt_chip_text *description;
    const char *text;
    size_t text_size;
    PJRT_LATER;
};
struct pjrt_memory_stats {
    PJRT_HEAD;
    struct pjrt_chip *chip;
    int64_t in_use;
    struct {
        int64_t value;
        bool is_set;
    } peak, allocations, largest, limit, reserved, peak_reserved, reservable, largest_free, pool,
        peak_pool;
    PJRT_LATER;
};
struct pjrt_executable_destroy {
    PJRT_HEAD;
    struct pjrt_executable *executable;
    PJRT_LATER;
};
struct pjrt_get_built {
    PJRT_HEAD;
    struct pjrt_executable *executable;
    struct pjrt_built *built;
    PJRT_LATER;
};
struct pjrt_built_destroy {
    PJRT_HEAD;
    struct pjrt_built *built;
    PJRT_LATER;
};
struct pjrt_serialize {
    PJRT_HEAD;
    const struct pjrt_built *built;
    const char *bytes; /* as long as `kept` */
    size_t size_bytes;
    struct pjrt_kept *kept;
    void (*destroy)(struct pjrt_kept *kept);
    PJRT_LATER;
};
struct pjrt_deserialize {
    PJRT_HEAD;
    struct pjrt_client *client;
    const char *bytes;
    size_t size_bytes;
    struct pjrt_executable *executable;
    PJRT_LATER; /* (other compile options than those that were kept with it) */
};
struct pjrt_execute_options {
    PJRT_HEAD;
    void *callbacks[2];
    size_t callback_count[2];
    int launch_id;
    const int64_t *not_donated;
    size_t not_donated_count;
    PJRT_LATER;
};
struct pjrt_execute {
    PJRT_HEAD;
    struct pjrt_executable *executable;
    struct pjrt_execute_options *options;
    struct pjrt_array *const *const *in; /* by device */
    size_t devices, in_count;
    struct pjrt_array **const *out;
    struct pjrt_event **done;
    struct pjrt_chip *chip;
    PJRT_LATER;
};
struct pjrt_array_destroy {
    PJRT_HEAD;
    struct pjrt_array *array;
    PJRT_LATER;
};
struct pjrt_array_is_deleted {
    PJRT_HEAD;
    struct pjrt_array *array;
    bool deleted;
    PJRT_LATER;
};
struct pjrt_array_copy {
    PJRT_HEAD;
    struct pjrt_array *array;
    struct pjrt_chip *chip; /* another of the client's */
    struct pjrt_array *copy;
    PJRT_LATER;
};
struct pjrt_array_ready {
    PJRT_HEAD;
    struct pjrt_array *array;
    struct pjrt_event *ready;
    PJRT_LATER;
};
struct pjrt_tiled {
    PJRT_HEAD;
    const int64_t *minor_to_major;
    size_t rank;
    const int64_t *tile;
    const size_t *tile_rank;
    size_t tiles;
};
struct pjrt_layout { /* PJRT_Buffer_MemoryLayout; no PJRT_LATER: it is 0.81's size that counts */
    PJRT_HEAD;
    struct pjrt_tiled tiled;
    int kind; /* 0 = tiled */
};
struct pjrt_to_host {
    PJRT_HEAD;
    struct pjrt_array *array;
    struct pjrt_layout *layout;
    void *to;
    size_t to_size;
    struct pjrt_event *done;
    PJRT_LATER;
};

/* The calls: name, place in the table of PJRT_Api, arguments. */
#define PJRT_CALLS(X)                                                                              \
    X(error_destroy, 0, pjrt_error_destroy)                                                        \
    X(error_message, 1, pjrt_error_message)                                                        \
    X(error_get_code, 2, pjrt_error_get_code)                                                      \
    X(plugin_initialize, 3, pjrt_plugin_initialize)                                                \
    X(event_destroy, 5, pjrt_event_destroy)                                                        \
    X(event_await, 8, pjrt_event_await)                                                            \
    X(client_create, 10, pjrt_client_create)                                                       \
    X(client_destroy, 11, pjrt_client_destroy)                                                     \
    X(client_platform_name, 12, pjrt_client_text)                                                  \
    X(client_platform_version, 14, pjrt_client_text)                                               \
    X(client_devices, 16, pjrt_client_devices)                                                     \
    X(client_compile, 20, pjrt_client_compile)                                                     \
    X(from_host, 22, pjrt_from_host)                                                               \
    X(chip_id, 23, pjrt_chip_id)                                                                   \
    X(chip_kind, 26, pjrt_chip_kind)                                                               \
    X(describe, 29, pjrt_describe)                                                                 \
    X(executable_destroy, 50, pjrt_executable_destroy)                                             \
    X(execute, 55, pjrt_execute)                                                                   \
    X(array_destroy, 58, pjrt_array_destroy)                                                       \
    X(to_host, 70, pjrt_to_host)

/* Those that a plugin may lack: NULL then. */
#define PJRT_MORE_CALLS(X)                                                                         \
    X(memory_stats, 34, pjrt_memory_stats)                                                         \
    X(built_destroy, 40, pjrt_built_destroy)                                                       \
    X(serialize, 49, pjrt_serialize)                                                               \
    X(get_built, 51, pjrt_get_built)                                                               \
    X(deserialize, 56, pjrt_deserialize)                                                           \
    X(array_is_deleted, 68, pjrt_array_is_deleted)                                                 \
    X(array_copy, 69, pjrt_array_copy)                                                             \
    X(array_ready, 72, pjrt_array_ready)

enum { PJRT_TABLE = 71 }; /* places that every plugin's table has */

struct pjrt_api {
    int major, minor;
#define PJRT_MEMBER(name, place, args) struct pjrt_error *(*name)(struct args *);
    PJRT_CALLS(PJRT_MEMBER)
    PJRT_MORE_CALLS(PJRT_MEMBER)
#undef PJRT_MEMBER
};

/*
 * Opens a plugin for the rest of the process: it has threads, and cannot be unloaded.
 * ASH_ERR_NOT_FOUND     there is no such library, or it cannot be loaded; the message has the loader's words
 * ASH_ERR_UNSUPPORTED   it is no PJRT plugin, or older than what this driver calls
 */
enum ash_status pjrt_api_open(const char *path, struct pjrt_api *out);

/*
 * Fails with the plugin's own words and frees `error`; ASH_OK where it is NULL. ASH_ERR_NO_MEMORY where
 * the plugin says that a resource is exhausted, else ASH_ERR_DEVICE. `who` cannot do `what`.
 */
enum ash_status pjrt_check(
    const struct pjrt_api *api, struct pjrt_error *error, const char *who, const char *what);

/* Frees an error that nobody wants to hear of; takes NULL. */
void pjrt_drop(const struct pjrt_api *api, struct pjrt_error *error);

/* Waits for an event, destroys it, and tells its error likewise; takes NULL. */
enum ash_status pjrt_finish(
    const struct pjrt_api *api, struct pjrt_event *event, const char *who, const char *what);

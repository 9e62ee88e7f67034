/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "drivers/device/device_probe.h"
#include "drivers/device/device_queue.h"
#include "drivers/opencl/opencl_api.h"
#include "drivers/opencl/opencl_relay.h"

#include <stdbool.h>

/* ---- Discovery: opencl_probe.c ---- */

enum { OPENCL_MOST_DEVICES = ASH_DEVICE_MOST_REPORTED };

/* A device, or a part of one, where the loader has it. */
struct opencl_entry {
    cl_platform_id platform;
    cl_device_id id;
    bool is_part; /* to be released */
};

/* Lists every device of every platform, parts instead of their wholes where ASHLAR_OPENCL_SPLIT says so.
 * ASH_ERR_NOT_FOUND if the loader knows no platform; then and without devices *count is 0. */
enum ash_status opencl_list(
    const struct opencl_api *api, struct opencl_entry out[OPENCL_MOST_DEVICES], int *count);
void opencl_list_finish(const struct opencl_api *api, struct opencl_entry *entry, int count);

/* Text of a device, "" where there is none; printable ASCII, cut to `capacity`. */
void opencl_device_text(
    const struct opencl_api *api, cl_device_id id, cl_device_info what, char *out, size_t capacity);
uint64_t opencl_device_number(const struct opencl_api *api, cl_device_id id, cl_device_info what);

enum ash_status opencl_probe(
    const struct ash_topology *topology, struct ash_device_info *out, int capacity, int *count);

/* ---- A device in use ---- */

/* A variant of an operator's source, built. */
struct opencl_program {
    struct opencl_program *next;
    char name[40];
    cl_program program;
};

struct opencl_device {
    struct ash_device_queue queue;
    struct opencl_api api;
    struct opencl_entry entry;
    cl_context context;
    cl_command_queue commands[DEVICE_LANES]; /* copies in order */
    bool out_of_order;                       /* steps are not */
    bool follows;                            /* queues can wait for events that have not happened */
    bool unordered;                          /* steps were queued that the next must wait for */
    struct opencl_relay *relay;              /* owned */
    struct opencl_program *programs;         /* owned */
    char *cache_dir;                         /* owned; NULL = none */
    char *kernel_dir;                        /* owned; NULL = programs are built from source */
    char identity[512]; /* platform, device and driver with their versions: what a binary is for */
    char options[96];   /* for every build */
};

/* ASH_ERR_NO_MEMORY or ASH_ERR_DEVICE with what to do, by the code of a call that failed; notes a lost
 * device. `what` completes "cannot ...". ASH_OK for CL_SUCCESS. */
enum ash_status opencl_check(struct opencl_device *device, cl_int code, const char *what);

/* opencl_program.c: the program of a variant, built, read from the cache or from the kernel folder;
 * the device keeps it. */
enum ash_status opencl_program_get(struct opencl_device *device, const struct ash_device_op *op,
    const struct ash_device_variant *variant, cl_program *out);
/* The binary of a built program; *out is the
 * caller's to ash_free(). */
enum ash_status opencl_program_binary(
    struct opencl_device *device, cl_program program, unsigned char **out, size_t *out_bytes);
void opencl_programs_release(struct opencl_device *device);

/* opencl_queue.c */
enum ash_status opencl_copy(struct ash_device *device, struct ash_place to, struct ash_place from,
    size_t size_bytes, const struct ash_event *after, int after_count, struct ash_event *done);
extern const struct ash_device_calls opencl_calls;

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "drivers/device/device_queue.h"
#include "drivers/hip/hip_api.h"

struct hip_device {
    struct ash_device_queue queue;
    struct hip_api api;
    struct hip_stream *stream[DEVICE_LANES]; /* each in order */
    struct hip_module *module;               /* every kernel there is */
    uint64_t peers;                          /* bit i: device i's memory was asked for */
};

/* hip_probe.c: what a device is; *out is usable or says why not. `arch` as hip_arch.h has it, or "". */
void hip_describe(
    const struct hip_api *api, int index, struct ash_device_info *out, char arch[static 16]);
enum ash_status hip_probe(
    const struct ash_topology *topology, struct ash_device_info *out, int capacity, int *count);

/* hip_queue.c. ASH_ERR_NO_MEMORY or ASH_ERR_DEVICE with what to do, by the code of a call that failed;
 * notes a lost device. `what` completes "cannot ...". */
enum ash_status hip_check(struct hip_device *device, int code, const char *what);
enum ash_status hip_copy(struct ash_device *device, struct ash_place to, struct ash_place from,
    size_t size_bytes, const struct ash_event *after, int after_count, struct ash_event *done);
bool hip_pin(struct ash_device *device, void *host, size_t size_bytes);
void hip_unpin(struct ash_device *device, void *host);
extern const struct ash_device_calls hip_calls;

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "runtime/config.h"
#include "runtime/driver.h"
#include "runtime/topology.h"
#include "tools/ashlar/table.h"

/* The devices of every driver, for `ashlar info`; the caller frees `info` (ash_free()). */
struct ash_info_devices {
    struct ash_device_info *info;
    int count;
};

enum ash_status ash_info_find_devices(
    const struct ash_topology *topology, struct ash_info_devices *out);

/* What each is: memory, nearest NUMA node, and its link, found in the topology by its PCI address; why it
 * cannot be used or, by what `cache_dir` (NULL = none) has of measurements, why auto leaves it alone. The
 * caller destroys the tables, here and below. */
enum ash_status ash_info_devices(const struct ash_info_devices *devices,
    const struct ash_topology *topology, const char *cache_dir, struct ash_table **out);

/* Opens each usable device and times copies to it and back: latency of a small one, bytes a second of a
 * large one. A device that fails has the reason in its row. */
enum ash_status ash_info_transfers(const struct ash_info_devices *devices,
    const struct ash_config *config, struct ash_table **out);

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "ashlar.h"
#include "drivers/drivers.h"
#include "runtime/config.h"

/*
 * A machine in use: its topology, the devices found on it and the ones taken into use; the opaque
 * struct ash_runtime of ashlar.h. Fields are read-only outside runtime.c.
 */
enum { ASH_MAX_DEVICES = 64 };

struct ash_runtime {
    struct ash_config config; /* owned */
    struct ash_topology *topology;
    struct ash_device_info found[ASH_MAX_DEVICES]; /* that config.device can mean, usable or not */
    int found_count;
    struct ash_device *device[ASH_MAX_DEVICES]; /* in the order of config.device */
    int device_count;
};

/*
 * Discovers the machine and opens the devices that config->device names ("auto": the first usable one, and
 * those that have been measured here; no card twice: drivers/cards.h).
 * Takes over `config`'s contents: on success *config is left empty, on failure unchanged.
 */
enum ash_status ash_runtime_open(struct ash_config *config, struct ash_runtime **out);

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "tools/ashlar/cli.h"

#include <stdbool.h>

/* `ashlar plan --machine`: places a model on a machine that is not here, and predicts what it does. */
struct ash_machine_view {
    const char *topology; /* hwloc XML, or "synthetic:..."; as ash_topology_load() */
    const char *table;    /* the device table */
    int64_t tokens;       /* of a prefill step; 0 = the largest batch */
    int64_t depth;        /* positions in the cache at the token that is decoded */
    bool json;
};
enum ash_status ash_plan_show_machine(struct ash_cli *cli, const struct ash_machine_view *view);

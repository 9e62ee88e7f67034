/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "models/model.h"
#include "tools/ashlar/cli.h"

/*
 * What every command that runs a model begins with: finds the model that the settings name, opens the
 * runtime, and loads; with a progress bar on a terminal when it takes longer than a moment, and a line on cards
 * that auto leaves unused, unless --quiet is given.
 * `options` as for ash_model_open(), but for load.progress, which is taken; NULL = the defaults.
 * The runtime takes over cli->config. End *out with ash_unload().
 */
struct ash_loaded_model {
    char *name; /* as the user calls it */
    struct ash_runtime *runtime;
    struct ash_model *model;
};

/* What all of that reads, for the commands' lists of settings. */
#define ASH_LOAD_SETTINGS                                                                          \
    "model", "device", "split", "device_memory", "threads", "kernels", "kernel_dir",               \
        "pjrt_plugin", "batch_tokens", "micro_batch", "kv_type", "models_dir", "registry",         \
        "cache_dir"

enum ash_status ash_load(
    struct ash_cli *cli, const struct ash_model_options *options, struct ash_loaded_model *out);
void ash_unload(struct ash_loaded_model *loaded); /* a zeroed one is fine */

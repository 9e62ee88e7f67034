/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "models/registry.h"
#include "runtime/config.h"

/* `ashlar models show`: what is in the file at `path`, or, where it is NULL, what is known of `entry`. */
enum ash_status ash_models_show(const char *path, const struct ash_model_entry *entry,
    const struct ash_config *config, bool json);

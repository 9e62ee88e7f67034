/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "models/registry.h"

#include <jansson.h>

/*
 * One entry out of its JSON object, every field checked. On failure, too, *entry is to be ended with
 * ash_registry_entry_finish(); it must be zeroed before.
 */
enum ash_status ash_registry_entry_read(const json_t *json, struct ash_model_entry *entry);

void ash_registry_entry_finish(struct ash_model_entry *entry);

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "runtime/driver.h"

/*
 * Where what was measured of a device is kept (scheduler/cost_file.h writes it): by driver, device, threads
 * and build, as none of these says anything about another. Also tells "auto" which devices are known.
 */

/* What a file of measurements must have been made for: a line of text; NULL = no memory. */
char *ash_costs_identity(const struct ash_device_info *info);

/* `directory`/costs-<driver>-<hash of the identity>, fresh; NULL = no memory. */
char *ash_costs_path(const char *directory, const struct ash_device_info *info);

/* Whether anything was ever measured with a driver: a look into the folder, no driver is asked. */
bool ash_costs_has_driver(const char *directory, const char *driver);

/* Whether this device was, by this build. */
bool ash_costs_has(const char *directory, const struct ash_device_info *info);

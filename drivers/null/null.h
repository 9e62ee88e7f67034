/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "runtime/driver.h"

/*
 * The smallest complete driver, and the template for the next: host memory, and each operator's own
 * definition, run by the caller. Slow and exact: what tests compare the others with.
 */
extern const struct ash_driver ash_driver_null;

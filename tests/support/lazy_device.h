/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "runtime/driver.h"

#include <stdbool.h>

/*
 * A device for tests: the reference operators in memory that the host cannot reach, where nothing runs
 * before somebody waits for it (an event that was forgotten shows as a wrong result), and whose calls
 * fail when told to.
 */
struct lazy_device;

/* `index` as in "lazy:1". The caller ends it as any device; aborts where there is no memory. */
struct ash_device *lazy_open(int index, uint64_t memory_bytes);

/*
 * The `nth` call from now (0 = the next) of those that can fail fails with `status`; as ASH_ERR_DEVICE
 * does, every one after it too. -1 = none does any more.
 */
void lazy_fail(struct ash_device *device, int64_t nth, enum ash_status status);

/* How many copies were queued. */
int64_t lazy_copies(const struct ash_device *device);

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

/* When copies run that have queues of their own, to the device and from it, as they may have: whatever events do not forbid must do. */
enum lazy_copying {
    LAZY_COPIES_IN_ORDER, /* they have none: with the steps, as lazy_open() has it */
    LAZY_COPIES_LATE,     /* when somebody waits for them */
    LAZY_COPIES_EARLY,    /* in the call, once what they wait for has been done */
};
void lazy_set_copying(struct ash_device *device, enum lazy_copying copying);

/*
 * The `nth` call from now (0 = the next) of those that can fail fails with `status`; as ASH_ERR_DEVICE
 * does, every one after it too. -1 = none does any more.
 */
void lazy_fail(struct ash_device *device, int64_t nth, enum ash_status status);

/* How many copies were queued. */
int64_t lazy_copies(const struct ash_device *device);

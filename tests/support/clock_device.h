/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "runtime/driver.h"

#include <stdbool.h>

/*
 * Devices on one virtual clock, for tests of what runs beside what: a stand-in for cards that are not here. Work
 * is done in the call that queues it, by the reference operators; when it would have been done on a card,
 * with queues for steps, for copies to it and for copies from it, the clock says. Nothing hangs on how fast this machine is.
 */
struct clock_time;

struct clock_device_options {
    bool host; /* computes in host memory, in the call; else a card, whose calls take no time */
    bool copies_in_line; /* a card with one queue for steps and copies */
    double row_s;        /* of a step's result */
    double bytes_per_s;  /* of a copy to or from a card */
};

struct clock_time *clock_create(void);
void clock_destroy(struct clock_time *clock); /* after its devices */

/* `index` as in "clock:1". Aborts where there is no memory. The caller ends it as any device. */
struct ash_device *clock_open(
    struct clock_time *clock, int index, const struct clock_device_options *options);

/* What was done since the clock was created or this last asked, in seconds. */
struct clock_report {
    double total_s;    /* from the first work to the last */
    double transfer_s; /* with a copy under way */
    double exposed_s;  /* of that, with no device at work */
};
struct clock_report clock_read(struct clock_time *clock);

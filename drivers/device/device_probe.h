/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "runtime/driver.h"
#include "runtime/topology.h"

/* For drivers of makers' libraries: asking those for their devices without trusting them. */

/* What a library said of its devices. */
enum { ASH_DEVICE_MOST_REPORTED = 32 };
struct ash_device_report {
    int count;
    char reason[192]; /* "" = there are `count` devices */
    struct ash_device_info info[ASH_DEVICE_MOST_REPORTED];
};

/* Writes the devices down; what it fails with is the reason why there are none. `context` is the caller's. */
typedef enum ash_status ash_device_fill(const void *context, struct ash_device_report *report);

/*
 * Has `fill` report in a process of its own, as half-installed drivers crash, hang and print: what arrives
 * holds no pointers that mean anything here, but has a count and texts that end. Where the child dies, or
 * takes longer than ten seconds, `crashed` is the reason.
 */
void ash_device_report_ask(
    ash_device_fill *fill, const void *context, const char *crashed, struct ash_device_report *out);

/* Has it report in this one. */
void ash_device_report_fill(
    ash_device_fill *fill, const void *context, struct ash_device_report *out);

/* What probe() gives for a report: its devices, or one that cannot be used, with the reason. `topology` (NULL =
 * none) tells where they are. */
enum ash_status ash_device_report_list(const struct ash_device_report *report,
    const struct ash_driver *driver, const struct ash_topology *topology,
    struct ash_device_info *out, int capacity, int *count);

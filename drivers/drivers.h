/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "runtime/driver.h"

/* Every driver of this build, the one that "auto" should prefer first; ends with NULL. drivers.c is the
 * only file that names concrete ones. */
extern const struct ash_driver *const ash_drivers[];

/* Tells probe(), which is given no settings, those that name libraries: by the environment, which is where
 * they come from if nothing else says. To be called before other threads begin. */
enum ash_status ash_devices_configure(const struct ash_config *config);

/* All devices of all drivers, usable or not. ASH_ERR_LIMIT when there are more than `capacity`. */
enum ash_status ash_devices_probe(
    const struct ash_topology *topology, struct ash_device_info *out, int capacity, int *count);

/*
 * The devices that a list of names as a user writes it ("cpu,opencl:0", "auto") can mean, and no others:
 * asking every driver would load the makers' libraries for nothing. "auto" asks drivers in their order
 * until one has a usable device. ASH_ERR_LIMIT likewise.
 */
enum ash_status ash_devices_probe_for(const struct ash_topology *topology, const char *names,
    struct ash_device_info *out, int capacity, int *count);

/* The devices of those drivers that have cards, but for accelerators behind a PJRT plugin, which may take long to
 * start: none, without asking, where the system has no device file of a card and ASHLAR_HIP_LIBRARY names
 * nothing. ASH_ERR_LIMIT likewise. */
enum ash_status ash_devices_probe_cards(struct ash_device_info *out, int capacity, int *count);

/* The device that "cpu", "opencl:1" or "auto" (the first usable one that computes in earnest) names. ASH_ERR_NOT_FOUND lists those there are;
 * ASH_ERR_UNSUPPORTED gives the reason why it cannot be used. */
enum ash_status ash_device_find(const struct ash_device_info *devices, int count, const char *name,
    const struct ash_device_info **out);

/* "A8 (64, 576), Q4_1 (1536, 576) -> F32 (64, 1536)" into `text`, cut to `capacity` bytes; returns
 * text. For traces and drawings. */
char *ash_step_describe(const struct ash_step *step, char *text, size_t capacity);

/* Pins host memory (driver.h) for copies of a device's driver, where that can: whether it has, and the caller unpins. */
bool ash_host_pin(struct ash_device *device, void *host, size_t size_bytes);
void ash_host_unpin(struct ash_device *device, void *host);

/* For drivers: returns once each of `events`, of any device, has happened, also after an error; the last
 * error of any. */
enum ash_status ash_events_wait(const struct ash_event *events, int count);

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "drivers/runtime.h"

/*
 * Cards: devices with processors of their own. Several drivers may list one card, each as a device of its
 * own, and whoever takes both takes its memory twice.
 */

/* Whether two devices are one card by two ways: they have one address on the PCI bus. Devices of one driver
 * and one name are parts of a card, which do not stand for each other. */
bool ash_card_is_same(const struct ash_device_info *a, const struct ash_device_info *b);

/* The first of `devices` that is the card of `info` by another way; NULL = there is none. */
const struct ash_device_info *ash_card_find(
    const struct ash_device_info *devices, int count, const struct ash_device_info *info);

/* The device that the runtime uses and that is this one, or its card by another way; NULL = none. */
const struct ash_device_info *ash_card_in_use(
    const struct ash_runtime *runtime, const struct ash_device_info *info);

/*
 * The cards that "auto" has left unused, as nobody has measured them here: "hip:0,hip:1" into `names`, cut to
 * `capacity` bytes; "" = none, or the user has named the devices. Drivers are only asked where the system
 * has the device files of a card (ash_devices_probe_cards).
 */
enum ash_status ash_cards_unused(const struct ash_runtime *runtime, char *names, size_t capacity);

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "drivers/opencl/opencl_api.h"

#include <stdbool.h>

/*
 * Has a device's work wait for work of another context, and not the host: contexts share no events. A user
 * event stands for the other's, whose callback, in whatever thread of the driver, wakes the relay's own thread, which
 * completes the user event. The callback does not do so itself, as what waited may run inside that call.
 * Callbacks that do not come cost time: after 20 ms the thread looks for itself.
 *
 * The thread starts with the first wait. Nothing here allocates after opencl_relay_create(), but the driver.
 * Threads: one at a time per relay, its device's.
 */
struct opencl_relay;

/* `api` is borrowed until opencl_relay_destroy(), with which it ends. ASH_ERR_NO_MEMORY. */
enum ash_status opencl_relay_create(const struct opencl_api *api, struct opencl_relay **out);

/*
 * What is queued on `commands`, of `context`, from here on waits for `event`, of another context, which has
 * been flushed. It goes on also where that work failed, whose own wait tells so. False = it does not wait, as the
 * driver refuses or too many waits are under way: the host must.
 */
bool opencl_relay_follow(
    struct opencl_relay *relay, cl_context context, cl_command_queue commands, cl_event event);

/* Once nothing is queued any more that waits. Takes NULL. */
void opencl_relay_destroy(struct opencl_relay *relay);

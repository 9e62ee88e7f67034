/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "runtime/driver.h"

/*
 * What devices that stand in for others in tests have in common (lazy_device.h, clock_device.h): memory, and
 * steps by the reference operators. When anything happens, and what fails, is each one's own. All abort where there
 * is no memory.
 */

/* Zeroed; on pages of its own if the host is to reach it. */
struct ash_buffer *double_alloc(struct ash_device *device, size_t size_bytes, bool host);
void double_free(struct ash_buffer *buffer); /* takes NULL */

/* Of such a buffer, or of one in host memory. */
char *double_at(struct ash_place place);

/* Any operator, in the types that infer() gives. */
enum ash_status double_load(struct ash_device *device, const struct ash_op *op,
    const struct ash_args *args, struct ash_loaded **out);
void double_unload(struct ash_device *device, struct ash_loaded *loaded);

/* Runs a step now; returns the rows of its result, of the batch where it has none. */
int64_t double_run(const struct ash_step *step, const struct ash_batch *batch);

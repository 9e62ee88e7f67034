/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "runtime/driver.h"

/*
 * What the conformance tests stand on: every usable device in turn, its memory, and one operator made
 * ready on it. Whatever fails, fails the test.
 */
enum { MAX_DEVICES = 16, TOKENS = 64, OUTPUTS = 3, COLUMNS = 64, ROWS = 40 };

/* Opens every usable device of this machine in turn, at least one, and closes it after check(). */
void rig_for_each_device(void (*check)(struct ash_device *device));

/* One unusable entry with a reason that has `word` in it is all that the driver finds. */
void rig_expect_reason(const struct ash_driver *driver, const char *word);

/* And that within 150 ms, the fastest of a few times; sanitized builds are not held to it. */
void rig_expect_reason_in_no_time(const struct ash_driver *driver, const char *word);

/* Whatever is asked of a device that was lost, the message says so. `buffer`: its own, of 64 bytes. */
void rig_expect_lost(struct ash_device *device, struct ash_buffer *buffer);

/* Host memory as a copy's other end; *buffer must live as long as the place. */
struct ash_place rig_host_place(void *memory, size_t size_bytes, struct ash_buffer *buffer);

struct ash_buffer *rig_allocate(
    struct ash_device *device, size_t size_bytes, enum ash_memory_use use);

void rig_wait(struct ash_event event);

/* Copies between device and host, and waits. */
void rig_copy(
    struct ash_device *device, struct ash_place to, struct ash_place from, size_t size_bytes);

/* Reads from a device's memory into the host's, and waits. */
void rig_read(struct ash_place from, size_t size_bytes, void *out);

/* The shape of an F32 tensor; rows 0 = a vector of `columns`. */
struct ash_tensor rig_shape(enum ash_extent extent, int64_t rows, int64_t columns);

/* A step on memory of its own, and the same arguments in host memory for the reference. */
struct rig {
    struct ash_device *device;
    struct ash_step step;
    struct ash_buffer *in[ASH_MAX_INPUTS], *out;
    void *host[ASH_MAX_INPUTS]; /* the inputs as the reference sees them */
};

/* False where the device cannot run the operator; then there is nothing to finish. */
bool rig_init(struct ash_device *device, const struct ash_op *op, const struct ash_tensor *inputs,
    const void *params, struct rig *rig);
void rig_finish(struct rig *rig);

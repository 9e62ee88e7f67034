/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "runtime/driver.h"
#include "runtime/trace.h"

/* A run of steps for drivers that queue them one by one: what compile() and discard() are made of. */
struct ash_program {
    const struct ash_step *step; /* borrowed */
    int32_t steps;
    bool needs_batch;
    struct ash_trace_lane *lane; /* NULL = no tracing */
    char (*shapes)[96];          /* for the trace */
};

/* struct ash_driver's compile and discard. */
enum ash_status ash_device_compile(struct ash_device *device, const struct ash_step *steps,
    int32_t count, struct ash_trace *trace, struct ash_program **out);
void ash_device_discard(struct ash_device *device, struct ash_program *program);

/* Records that step `index` ran from `start_ns` until now. */
void ash_device_trace(struct ash_program *program, int32_t index, int64_t start_ns);

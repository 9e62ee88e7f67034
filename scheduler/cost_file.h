/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "runtime/driver.h"
#include "scheduler/cost_model.h"

/*
 * What was measured of a device, on disk: one JSON object a device and build, under drivers/costs.h's name.
 * Whatever is not whole, not of this device or not such a file is as good as not there. A text from anyone:
 * checked by a fuzzer.
 */

enum { ASH_COST_KEY_BYTES = 64 };

/* A call as cost models know it: what its time belongs to, and the work that the device does for it. */
struct ash_cost_call {
    char key[ASH_COST_KEY_BYTES];
    struct ash_cost cost;
};

/*
 * Of an operator on a device with a batch's numbers; `batch` NULL: as `args` has them. The key is the operator and
 * the type of its second input, "matmul/Q4_1", then the device's way with it where it has several,
 * "matmul/Q4_1/matmul_tile", else "matmul/Q4_1/prompts" in a plan for prompts, which may have another kernel.
 * Kernels follow from that, device and build. The cost is that of what the device computes (round_up of struct
 * ash_driver). `device` NULL, where it is not here: of what is asked for.
 */
void ash_cost_call_of(const struct ash_device *device, const struct ash_op *op,
    const struct ash_args *args, const struct ash_batch *batch, struct ash_cost_call *out);

/* Copies of activations between devices: the key that the above gives for them, and their cost. */
#define ASH_COPY_KEY "copy/F32"
static inline struct ash_cost ash_copy_cost(double bytes)
{
    return (struct ash_cost){ .bytes_read = bytes, .bytes_written = bytes };
}

/* The model of a device: with its samples where there are some (*measured), else with none. The caller
 * destroys *out. ASH_ERR_NO_MEMORY. */
enum ash_status ash_costs_open(const char *directory, const struct ash_device *device,
    struct ash_cost_model **out, bool *measured);

/* ASH_ERR_IO, ASH_ERR_NO_MEMORY. */
enum ash_status ash_costs_save(
    const char *directory, const struct ash_device *device, const struct ash_cost_model *model);

/* The file's text, for tests and fuzzing: into a model without samples. ASH_ERR_FORMAT: it is as it was. */
enum ash_status ash_costs_parse(
    const char *text, size_t length, const char *identity, struct ash_cost_model *model);

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "runtime/driver.h"
#include "scheduler/cost_model.h"

/*
 * What was measured of a device, on disk: one JSON object a device and build, under drivers/costs.h's name.
 * Whatever is not whole, not of this device or not such a file is as good as not there. A text from anyone:
 * checked by a fuzzer.
 */

/* What a step's times belong to: "matmul/Q4_1" by its operator and the type of its second input, and
 * "matmul/Q4_1/prompts" in a plan for prompts, which may have other kernels. Kernels follow from that, device
 * and build. Returns text. */
enum { ASH_COST_KEY_BYTES = 64 };
const char *ash_cost_key(
    const struct ash_op *op, const struct ash_args *args, char text[ASH_COST_KEY_BYTES]);

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

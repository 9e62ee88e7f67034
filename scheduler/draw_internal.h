/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "scheduler/draw.h"

/* Shared by the ways to draw a plan. */

struct ash_plan_step draw_step(const struct ash_plan_view *view, int32_t index);

/* "1.5 GiB" into `text`, which it returns. */
char *draw_bytes(double bytes, char *text, size_t capacity);

/* "#88ccee": the same for an operator wherever it appears in a plan. */
const char *draw_color(const struct ash_plan_view *view, const struct ash_op *op);

/* Flushes; ASH_ERR_IO if anything could not be written. */
enum ash_status draw_finish(FILE *out);

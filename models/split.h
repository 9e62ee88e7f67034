/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "drivers/runtime.h"
#include "scheduler/graph.h"

struct ash_model_shape;

/*
 * A model shared out by rows: every part computes some rows of each matrix, and the heads that are among
 * them with their own keys and values, on a device of its own; what they have computed is put side by side
 * before the next matrix, which reads all of it. No sum is cut, so the bits are those of one device. Norms
 * and additions, which take no time, each part does for itself.
 */
struct ash_split {
    int32_t parts;                   /* 1 = the whole model */
    double share[ASH_MAX_DEVICES];   /* [part]: of the rows, more than 0; any unit */
    int32_t device[ASH_MAX_DEVICES]; /* [part]: in the list of devices */
    int32_t home;                    /* the device of what no part does: embedding, logits */
};

/* One part, on the first device. */
extern const struct ash_split ash_split_whole;

/* Rows, or heads, one part after the other. */
struct ash_rows {
    int64_t first, count;
};

/* Those of part `part`: as many of `count` as its share says, at least one (count >= parts). */
struct ash_rows ash_split_heads(const struct ash_split *split, int32_t part, int64_t count);

/* The same of a matrix's rows: by 32 where that works out, as kernels take 16 or 32 at a time. */
struct ash_rows ash_split_rows(const struct ash_split *split, int32_t part, int64_t count);

/* ASH_ERR_ARGUMENT  more parts than the model has heads of keys or values, or rows of some matrix */
enum ash_status ash_split_check(const struct ash_split *split, const struct ash_model_shape *shape);

/* What the setting `split` asks for. */
enum ash_split_how {
    ASH_SPLIT_AUTO,   /* whatever takes the least time: one device, layers or rows */
    ASH_SPLIT_LAYERS, /* "layers:10,20" or "10,20": so many on each device of the list */
    ASH_SPLIT_ROWS,   /* "rows:60,40": such shares; "rows": as fast as the devices are */
};

struct ash_split_setting {
    enum ash_split_how how;
    int32_t numbers; /* 0 = none given, else one a device */
    int64_t number[ASH_MAX_DEVICES];
};

/* ASH_ERR_ARGUMENT  not of these forms, or not for so many devices and layers */
enum ash_status ash_split_read(
    const char *text, int32_t devices, int64_t layers, struct ash_split_setting *out);

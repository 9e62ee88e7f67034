/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "models/arch.h"
#include "scheduler/place.h"

/*
 * Which device of a machine, here or elsewhere, computes what of a model: all of it on one, operators
 * wherever they are fastest (layers, mostly), or rows of every matrix on each (split.h).
 */
struct ash_placing {
    const struct ash_model_shape *shape;
    /* Makes the graph of the model, shared out so; the caller destroys *out. Operators of layer N are
     * called "blk.N. ...". */
    enum ash_status (*build)(void *context, const struct ash_split *split, struct ash_graph **out);
    void *context;
    /* What shares the model out must take less than this part of the time of the best device alone, if one
     * can hold all; 1 = any gain will do. */
    double worth;
};

struct ash_placed {
    struct ash_graph *graph;        /* owned */
    struct ash_placement placement; /* of its nodes; owned */
    int32_t micro_tokens; /* of a micro-batch (micro_batch.h); 0 = batches are run whole */
};

/* As the setting says, which has numbers; `home` does what is of no part. Of the placement only the
 * devices: no time is predicted. ASH_ERR_ARGUMENT  as ash_split_check() */
enum ash_status ash_placing_follow(const struct ash_placing *placing,
    const struct ash_split_setting *setting, int32_t home, struct ash_placed *out);

/*
 * What takes the least time for options->batch; of ASH_SPLIT_ROWS: shares by rows that do. Errors as
 * ash_place_find(). The caller ends *out.
 */
enum ash_status ash_placing_choose(const struct ash_placing *placing, enum ash_split_how how,
    const struct ash_machine *machine, const struct ash_place_options *options,
    struct ash_placed *out);

void ash_placed_finish(struct ash_placed *placed); /* takes an all-zero one */

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "drivers/runtime.h"
#include "models/placing.h"

/*
 * The devices that a model runs on, and which of its operators runs where. Those of the runtime at
 * first; one that is lost leaves the list, and of one whose memory was too small less is taken the next
 * time (ash_devices_give_way).
 */
struct ash_model_devices {
    struct ash_device *device[ASH_MAX_DEVICES]; /* borrowed */
    int32_t count;
    double memory_bytes[ASH_MAX_DEVICES]; /* that placement may fill */
    int32_t tries;                        /* how often it was made smaller */
    bool split;                           /* as --split says; not once a device has been lost */
    char lost[512]; /* why the last one that was lost was, for people; "" = none */
};

void ash_devices_begin(const struct ash_runtime *runtime, struct ash_model_devices *out);

/* What the model is to do on them. */
struct ash_device_limits {
    int32_t context;      /* positions of a sequence */
    int32_t batch_tokens; /* at a time */
};

/*
 * The model's graph, and the device of each of its nodes; as --split says, else as takes the least time for
 * a token decoded somewhere in the context (placing.h). Over several devices, how many tokens of a prompt each takes at
 * a time: as --micro-batch says, else as is fastest for a whole batch (micro_batch.h). The caller ends *out;
 * of one device alone it has no placement.
 * ASH_ERR_ARGUMENT  a split that does not fit the model or the devices
 * ASH_ERR_NO_MEMORY, ASH_ERR_UNSUPPORTED  as ash_place_find()
 */
enum ash_status ash_devices_place(const struct ash_model_devices *devices,
    const struct ash_placing *placing, const struct ash_config *config,
    const struct ash_device_limits *limits, struct ash_placed *out);

/*
 * What to do about a plan that failed with `status` on device `failed` (-1 = on none): whether it is worth
 * planning again. A lost device leaves, if another is left; one without memory is given less.
 */
bool ash_devices_give_way(
    struct ash_model_devices *devices, enum ash_status status, int32_t failed);

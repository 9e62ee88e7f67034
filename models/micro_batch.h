/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "models/placing.h"

/*
 * Into how large micro-batches (ash_plan_add_micro) a prompt of `tokens` tokens is best cut on the devices that
 * `placed` names: more of them keep devices busier, and each is less efficient by itself. Of `known`
 * what it says of devices: `cost_model` and `devices`. *tokens_out = 0: cut, it would not be a twentieth faster, or nothing goes from
 * device to device. *seconds_out, which may be NULL: the prompt's time, cut so. ASH_ERR_NO_MEMORY.
 */
enum ash_status ash_micro_batch_choose(const struct ash_placed *placed,
    const struct ash_machine *machine, const struct ash_place_options *known, int32_t tokens,
    int32_t *tokens_out, double *seconds_out);

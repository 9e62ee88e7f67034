/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "kernels/attention/attention.h"

/* The first position that a token at `position` attends to; the last is its own. */
static inline int32_t ash_attention_first(
    const struct ash_attention_params *params, int32_t position)
{
    return params->window > 0 && position >= params->window ? position - params->window + 1 : 0;
}

void ash_attention_ref(const struct ash_args *args);
void ash_attention_avx2(const struct ash_args *args, int64_t first_row, int64_t last_row);
void ash_attention_avx512(const struct ash_args *args, int64_t first_row, int64_t last_row);

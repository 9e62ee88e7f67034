/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "kernels/attention/attention.h"

/* The first position that a token at `position` attends to; the last is its own. */
static inline int32_t ash_attention_first(
    const struct ash_attention_params *params, int32_t position)
{
    return params->window > 0 && position >= params->window ? position - params->window + 1 : 0;
}

/* Parts [first, last) of ASH_ATTENTION_PART positions each. */
struct ash_attention_parts {
    int32_t first, last;
};

/* Those that tokens at positions `from` to `to` see. */
static inline struct ash_attention_parts ash_attention_parts(
    const struct ash_attention_params *params, int32_t from, int32_t to)
{
    return (struct ash_attention_parts){ ash_attention_first(params, from) / ASH_ATTENTION_PART,
        to / ASH_ATTENTION_PART + 1 };
}

static inline struct ash_attention_parts ash_attention_span_parts(
    const struct ash_attention_params *params, const struct ash_span *span)
{
    return ash_attention_parts(
        params, span->first_position, span->first_position + span->tokens - 1);
}

void ash_attention_ref(const struct ash_args *args);
void ash_attention_avx2(const struct ash_args *args, int64_t first_row, int64_t last_row);
void ash_attention_avx512(const struct ash_args *args, int64_t first_row, int64_t last_row);
void ash_attention_amx(const struct ash_args *args, int64_t first_row, int64_t last_row);

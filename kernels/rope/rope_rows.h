/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "kernels/rope/angles.h"

/* The kernel, in plain C; each file of an instruction set compiles it for its own. */
static inline void rope_rows(const struct ash_args *args, int64_t first_row, int64_t last_row)
{
    const struct ash_rope_params *params = args->params;
    int64_t columns = ash_tensor_columns(&args->in[0]);
    struct ash_rope_table table;
    ash_rope_frequencies(params, args->in[1].rank > 0 ? args->in[1].data : NULL, &table);
    for (int64_t row = first_row; row < last_row; row++) {
        float *out = (float *)args->out.data + row * columns;
        const float *x = (const float *)args->in[0].data + row * columns;
        if (out != x)
            memcpy(out, x, (size_t)columns * sizeof *out);
        ash_rope_angles(&table, ash_batch_position(args->batch, row));
        for (int head = 0; head < params->heads; head++)
            ash_rope_turn(table.pairs, table.cosine, table.sine, params->mode,
                out + (int64_t)head * params->head_size);
    }
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/gather/gather_internal.h"

void ash_gather_ref(const struct ash_args *args)
{
    int64_t columns = ash_tensor_columns(&args->out);
    const float *x = args->in[0].data;
    float *out = args->out.data;
    for (int64_t o = 0; o < args->out.dim[0]; o++)
        for (int64_t c = 0; c < columns; c++)
            out[o * columns + c] = x[args->batch->output[o] * columns + c];
}

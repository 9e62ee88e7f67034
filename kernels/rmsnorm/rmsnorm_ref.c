/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/rmsnorm/rmsnorm_internal.h"

#include <math.h>

void ash_rmsnorm_ref(const struct ash_args *args)
{
    const struct ash_rmsnorm_params *params = args->params;
    const float *weight = args->in[1].data;
    int64_t columns = ash_tensor_columns(&args->in[0]);
    for (int64_t row = 0; row < ash_tensor_rows(&args->in[0]); row++) {
        const float *x = (const float *)args->in[0].data + row * columns;
        float *out = (float *)args->out.data + row * columns;
        double squares = 0;
        for (int64_t c = 0; c < columns; c++)
            squares += (double)x[c] * (double)x[c];
        double scale = 1 / sqrt(squares / (double)columns + (double)params->eps);
        for (int64_t c = 0; c < columns; c++)
            out[c] = (float)((double)x[c] * scale * (double)weight[c]);
    }
}

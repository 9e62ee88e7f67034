/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/argmax/argmax_internal.h"

void ash_argmax_ref(const struct ash_args *args)
{
    int64_t columns = args->in[0].dim[1];
    for (int64_t row = 0; row < args->in[0].dim[0]; row++) {
        const float *x = (const float *)args->in[0].data + row * columns;
        float most = -__builtin_inff();
        int32_t best = 0;
        for (int64_t v = 0; v < columns; v++)
            if (x[v] > most) { /* never true of a NaN */
                most = x[v];
                best = (int32_t)v;
            }
        ((int32_t *)args->out.data)[row] = best;
    }
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/add/add_internal.h"

void ash_add_ref(const struct ash_args *args)
{
    int64_t columns = ash_tensor_columns(&args->in[0]), stride = ash_add_stride(args);
    for (int64_t row = 0; row < ash_tensor_rows(&args->in[0]); row++) {
        const float *a = (const float *)args->in[0].data + row * columns;
        const float *b = (const float *)args->in[1].data + row * stride;
        float *out = (float *)args->out.data + row * columns;
        for (int64_t c = 0; c < columns; c++)
            out[c] = (float)((double)a[c] + (double)b[c]);
    }
}

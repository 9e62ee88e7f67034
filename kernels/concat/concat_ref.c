/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/concat/concat_internal.h"

void ash_concat_ref(const struct ash_args *args)
{
    int64_t left = args->in[0].dim[1], right = args->in[1].dim[1];
    const float *a = args->in[0].data, *b = args->in[1].data;
    float *out = args->out.data;
    for (int64_t t = 0; t < args->out.dim[0]; t++)
        for (int64_t c = 0; c < left + right; c++)
            out[t * (left + right) + c] = c < left ? a[t * left + c] : b[t * right + c - left];
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/topk/topk_internal.h"

#include <math.h>

static float value_of(float x)
{
    return isnan(x) ? -INFINITY : x;
}

/* Whether a comes before b. */
static bool before(const float *x, int64_t a, int64_t b)
{
    float p = value_of(x[a]), q = value_of(x[b]);
    return p > q || (p == q && a < b);
}

/* One after the other: the first of those that come after the one before. */
void ash_topk_ref(const struct ash_args *args)
{
    int64_t columns = args->in[0].dim[1], k = args->out.dim[1];
    for (int64_t row = 0; row < args->in[0].dim[0]; row++) {
        const float *x = (const float *)args->in[0].data + row * columns;
        int32_t *out = (int32_t *)args->out.data + row * k;
        for (int64_t i = 0; i < k; i++) {
            int64_t best = -1;
            for (int64_t v = 0; v < columns; v++)
                if ((i == 0 || before(x, out[i - 1], v)) && (best < 0 || before(x, v, best)))
                    best = v;
            out[i] = (int32_t)best;
        }
    }
}

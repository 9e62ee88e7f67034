/* SPDX-License-Identifier: Apache-2.0 */
#ifndef __OPENCL_VERSION__
#include "kernels/device_math.h"
#endif

/* A group a row: each item sums the squares of every 256th element, then the sums are added in pairs. */
KERNEL(rmsnorm)
{
    LOCAL f32 sum[DEVICE_GROUP];
    GLOBAL const f32 *x = IN(f32, 0) + (i64)GID * a.columns, *weight = IN(f32, 1);
    GLOBAL f32 *out = OUT(f32) + (i64)GID * a.columns;
    f32 squares = 0;
    for (i32 c = LID; c < a.columns; c += DEVICE_GROUP)
        squares = FMA(x[c], x[c], squares);
    sum[LID] = squares;
    BARRIER();
    for (i32 width = DEVICE_GROUP / 2; width > 0; width /= 2) {
        if (LID < width)
            sum[LID] += sum[LID + width];
        BARRIER();
    }
    f32 scale = 1.0f / SQRT(sum[0] / (f32)a.columns + a.eps);
    for (i32 c = LID; c < a.columns; c += DEVICE_GROUP)
        out[c] = x[c] * scale * weight[c];
}

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef __OPENCL_VERSION__
#include "kernels/device.h"
#endif

/* A group a row of a.columns of the first and a.stride of the second. */
KERNEL(concat)
{
    GLOBAL const f32 *left = IN(f32, 0) + (i64)GID * a.columns;
    GLOBAL const f32 *right = IN(f32, 1) + (i64)GID * a.stride;
    GLOBAL f32 *out = OUT(f32) + (i64)GID * ((i64)a.columns + a.stride);
    for (i32 c = LID; c < a.columns; c += DEVICE_GROUP)
        out[c] = left[c];
    for (i32 c = LID; c < a.stride; c += DEVICE_GROUP)
        out[(i64)a.columns + c] = right[c];
}

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef __OPENCL_VERSION__
#include "kernels/device_math.h"
#endif

/* A group a row: each item finds the first of every 256th value, then the first of those is found. */
KERNEL(argmax)
{
    LOCAL f32 most[DEVICE_GROUP];
    LOCAL i32 best[DEVICE_GROUP];
    GLOBAL const f32 *x = IN(f32, 0) + (i64)GID * a.columns;
    f32 value = -DEVICE_INFINITY;
    i32 id = 0x7fffffff;
    for (i32 v = LID; v < a.columns; v += DEVICE_GROUP) {
        f32 other = device_number(x[v]);
        if (device_before(other, v, value, id)) {
            value = other;
            id = v;
        }
    }
    device_first(most, best, value, id);
    if (LID == 0)
        OUT(i32)[GID] = best[0];
}

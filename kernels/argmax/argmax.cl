/* SPDX-License-Identifier: Apache-2.0 */
#ifndef __OPENCL_VERSION__
#include "kernels/device_math.h"
#endif

/* A group a row: each item finds the best of every 256th value, then the better one of two remains. */
KERNEL(argmax)
{
    LOCAL f32 most[DEVICE_GROUP];
    LOCAL i32 best[DEVICE_GROUP];
    GLOBAL const f32 *x = IN(f32, 0) + (i64)GID * a.columns;
    f32 value = -DEVICE_INFINITY;
    i32 id = 0x7fffffff;
    for (i32 v = LID; v < a.columns; v += DEVICE_GROUP) {
        f32 other = device_number(x[v]);
        if (id == 0x7fffffff || other > value) {
            value = other;
            id = v;
        }
    }
    most[LID] = value;
    best[LID] = id;
    BARRIER();
    for (i32 width = DEVICE_GROUP / 2; width > 0; width /= 2) {
        if (LID < width) {
            f32 other = most[LID + width];
            i32 other_id = best[LID + width];
            if (other > most[LID] || (other == most[LID] && other_id < best[LID])) {
                most[LID] = other;
                best[LID] = other_id;
            }
        }
        BARRIER();
    }
    if (LID == 0)
        OUT(i32)[GID] = best[0];
}

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef __OPENCL_VERSION__
#include "kernels/device_math.h"
#endif

/*
 * A group a row: the best, then the best of those that come after it, k times. Plain, as samplers ask
 * for some forty ids of a few rows.
 */
KERNEL(topk)
{
    LOCAL f32 most[DEVICE_GROUP];
    LOCAL i32 best[DEVICE_GROUP];
    GLOBAL const f32 *x = IN(f32, 0) + (i64)GID * a.columns;
    f32 last = DEVICE_INFINITY;
    i32 last_id = -1;
    for (i32 rank = 0; rank < a.k; rank++) {
        f32 value = -DEVICE_INFINITY;
        i32 id = 0x7fffffff;
        for (i32 v = LID; v < a.columns; v += DEVICE_GROUP) {
            f32 other = device_number(x[v]);
            if (device_before(last, last_id, other, v) && device_before(other, v, value, id)) {
                value = other;
                id = v;
            }
        }
        device_first(most, best, value, id);
        last = most[0];
        last_id = best[0];
        if (LID == 0)
            OUT(i32)[(i64)GID * a.k + rank] = last_id;
        BARRIER();
    }
}

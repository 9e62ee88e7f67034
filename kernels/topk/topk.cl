/* SPDX-License-Identifier: Apache-2.0 */
#ifndef __OPENCL_VERSION__
#include "kernels/device_math.h"
#endif

/* Whether value p of id a comes before value q of id b. */
DEV i32 comes_before(f32 p, i32 p_id, f32 q, i32 q_id)
{
    return p > q || (p == q && p_id < q_id);
}

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
            if (comes_before(last, last_id, other, v) && comes_before(other, v, value, id)) {
                value = other;
                id = v;
            }
        }
        most[LID] = value;
        best[LID] = id;
        BARRIER();
        for (i32 width = DEVICE_GROUP / 2; width > 0; width /= 2) {
            if (LID < width &&
                comes_before(most[LID + width], best[LID + width], most[LID], best[LID])) {
                most[LID] = most[LID + width];
                best[LID] = best[LID + width];
            }
            BARRIER();
        }
        last = most[0];
        last_id = best[0];
        if (LID == 0)
            OUT(i32)[(i64)GID * a.k + rank] = last_id;
        BARRIER();
    }
}

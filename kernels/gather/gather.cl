/* SPDX-License-Identifier: Apache-2.0 */
#ifndef __OPENCL_VERSION__
#include "kernels/device.h"
#endif

/* A group a row. */
KERNEL(gather)
{
    GLOBAL const f32 *x = IN(f32, 0) + (i64)BATCH_OUTPUT(GID) * a.columns;
    GLOBAL f32 *out = OUT(f32) + (i64)GID * a.columns;
    for (i32 c = LID; c < a.columns; c += DEVICE_GROUP)
        out[c] = x[c];
}

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef __OPENCL_VERSION__
#include "kernels/device_math.h"
#endif

DEV f32 activate(f32 x, i32 activation) /* enum ash_activation */
{
    if (activation == 0)
        return x / (1.0f + device_exp(-x));
    if (activation == 1)
        return 0.5f * x * (1.0f + device_tanh(0.797884561f * FMA(0.044715f * x * x, x, x)));
    return 0.5f * x * device_erfc(-0.707106781f * x);
}

/* An item an element. */
KERNEL(glu)
{
    i64 at = (i64)GID * DEVICE_GROUP + LID;
    if (at < (i64)a.rows * a.columns)
        OUT(f32)[at] = activate(IN(f32, 0)[at], a.mode) * IN(f32, 1)[at];
}

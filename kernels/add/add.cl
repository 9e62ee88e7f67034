/* SPDX-License-Identifier: Apache-2.0 */
#ifndef __OPENCL_VERSION__
#include "kernels/device.h"
#endif

/* An item an element; groups are laid over rows one after the other. */
KERNEL(add)
{
    i64 at = (i64)GID * DEVICE_GROUP + LID;
    if (at < (i64)a.rows * a.columns) {
        i64 other = a.stride ? at : at % a.columns;
        OUT(f32)[at] = IN(f32, 0)[at] + IN(f32, 1)[other];
    }
}

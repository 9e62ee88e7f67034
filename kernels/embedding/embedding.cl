/* SPDX-License-Identifier: Apache-2.0 */
#ifndef __OPENCL_VERSION__
#include "kernels/device_weight.h"
#endif

/* A group a token; out of a table as a file has it, or in the matmul's layout. */
KERNEL(embedding)
{
    i32 id = BATCH_TOKEN(GID);
    GLOBAL f32 *out = OUT(f32) + (i64)GID * a.columns;
    if (!a.packed) {
        GLOBAL const u8 *row = IN(u8, 0) + id * weight_plain_bytes(a.columns);
        for (i32 c = LID; c < a.columns; c += DEVICE_GROUP)
            out[c] = weight_plain(row, c);
        return;
    }
    i32 steps = WEIGHT_STEPS(a.columns);
    GLOBAL const u8 *group = IN(u8, 0) + id / WEIGHT_GROUP * WEIGHT_GROUP_BYTES(WEIGHT, a.columns);
    for (i32 part = LID; part < 4 * steps; part += DEVICE_GROUP) {
        f32 eight[8];
        weight_eight(group, steps, part / 4, id % WEIGHT_GROUP, part % 4, eight);
        for (i32 i = 0; i < 8 && 8 * part + i < a.columns; i++)
            out[8 * part + i] = eight[i];
    }
}

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef __OPENCL_VERSION__
#include "kernels/device_math.h"
#endif

/*
 * A group a token; in[1] is a table of angles, one a pair, of a position in 2^-64 turns (made by the
 * host out of base, scale and factors). An item turns a pair, so out may lie where x does.
 */
KERNEL(rope)
{
    GLOBAL const u64 *angle = IN(u64, 1);
    GLOBAL const f32 *x = IN(f32, 0) + (i64)GID * a.columns;
    GLOBAL f32 *out = OUT(f32) + (i64)GID * a.columns;
    i32 position = BATCH_POSITION(GID);
    for (i32 i = LID; i < a.heads * a.pairs; i += DEVICE_GROUP) {
        i32 pair = i % a.pairs, base = i / a.pairs * a.head_size;
        i32 first = base + (a.mode ? pair : 2 * pair);
        i32 second = first + (a.mode ? a.pairs : 1);
        f32 cosine, sine, p = x[first], q = x[second];
        device_turn(angle[pair] * (u64)position, &cosine, &sine);
        out[first] = p * cosine - q * sine;
        out[second] = p * sine + q * cosine;
    }
    for (i32 c = LID; c < a.columns; c += DEVICE_GROUP)
        if (c % a.head_size >= 2 * a.pairs)
            out[c] = x[c];
}

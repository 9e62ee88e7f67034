/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The portable device source as text, with a 0 behind it: device_*.h and each operator's <op>.cl, put
 * into the program by the build. */
#define ASH_SOURCE(name) extern const unsigned char ash_source_##name[];
ASH_SOURCE(device_layout)
ASH_SOURCE(device)
ASH_SOURCE(device_math)
ASH_SOURCE(device_weight)
ASH_SOURCE(device_cache)
ASH_SOURCE(device_matrix)
ASH_SOURCE(add)
ASH_SOURCE(argmax)
ASH_SOURCE(attention)
ASH_SOURCE(concat)
ASH_SOURCE(embedding)
ASH_SOURCE(gather)
ASH_SOURCE(glu)
ASH_SOURCE(kv_write)
ASH_SOURCE(matmul)
ASH_SOURCE(matmul_matrix)
ASH_SOURCE(rmsnorm)
ASH_SOURCE(rope)
ASH_SOURCE(topk)
#undef ASH_SOURCE

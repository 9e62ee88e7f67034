/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "kernels/rope/rope.h"

void ash_rope_ref(const struct ash_args *args);
void ash_rope_avx2(const struct ash_args *args, int64_t first_row, int64_t last_row);
void ash_rope_avx512(const struct ash_args *args, int64_t first_row, int64_t last_row);

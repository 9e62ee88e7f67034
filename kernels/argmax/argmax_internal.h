/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "kernels/argmax/argmax.h"

void ash_argmax_ref(const struct ash_args *args);
void ash_argmax_avx2(const struct ash_args *args, int64_t first_row, int64_t last_row);
void ash_argmax_avx512(const struct ash_args *args, int64_t first_row, int64_t last_row);

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "kernels/glu/glu.h"

void ash_glu_ref(const struct ash_args *args);
void ash_glu_avx2(const struct ash_args *args, int64_t first_row, int64_t last_row);
void ash_glu_avx512(const struct ash_args *args, int64_t first_row, int64_t last_row);

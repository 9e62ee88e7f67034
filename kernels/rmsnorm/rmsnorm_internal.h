/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "kernels/rmsnorm/rmsnorm.h"

void ash_rmsnorm_ref(const struct ash_args *args);
void ash_rmsnorm_avx2(const struct ash_args *args, int64_t first_row, int64_t last_row);
void ash_rmsnorm_avx512(const struct ash_args *args, int64_t first_row, int64_t last_row);

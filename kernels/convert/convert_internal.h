/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "kernels/convert/convert.h"

void ash_convert_ref(const struct ash_args *args);
void ash_convert_avx2(const struct ash_args *args, int64_t first_row, int64_t last_row);
void ash_convert_avx512(const struct ash_args *args, int64_t first_row, int64_t last_row);

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "kernels/kv_write/kv_write.h"

void ash_kv_write_ref(const struct ash_args *args);
void ash_kv_write_avx2(const struct ash_args *args, int64_t first_row, int64_t last_row);
void ash_kv_write_avx512(const struct ash_args *args, int64_t first_row, int64_t last_row);

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "tests/support/check_op.h"

/* How the check engine fills and reads the paged cache of kernels/kv_cache.h. */
extern const struct ash_case_layout ash_kv_layout_write; /* kv_write: in[2] keys, in[3] values */
extern const struct ash_case_layout ash_kv_layout_read;  /* attention: in[1] keys, in[2] values */

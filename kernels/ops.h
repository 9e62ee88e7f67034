/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "runtime/op.h"

/* Every operator of this build, in the order of kernels/meson.build; ends with NULL. */
extern const struct ash_op *const ash_ops[];

/* The operator of that name, or NULL. */
const struct ash_op *ash_op_find(const char *name);

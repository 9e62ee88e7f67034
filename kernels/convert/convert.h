/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "runtime/op.h"

/*
 * Elements of another type: out = in[0] in `to`, row by row, as ash_from_float() rounds.
 *
 * in[0] F32 of any shape; out has its shape and extent in any type that ash_from_float() makes. The
 * planner puts it where a kernel reads A8 or BF16 and no operator upstream can write that.
 */
struct ash_convert_params {
    enum ash_type to;
};

extern const struct ash_op ash_op_convert;

/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/ops.h"

#include <string.h>

#define ASH_OP(name) extern const struct ash_op ash_op_##name;
#include "kernels/ops.inc"
#undef ASH_OP

#define ASH_OP(name) &ash_op_##name,
const struct ash_op *const ash_ops[] = {
#include "kernels/ops.inc"
    NULL,
};
#undef ASH_OP

const struct ash_op *ash_op_find(const char *name)
{
    for (const struct ash_op *const *op = ash_ops; *op; op++)
        if (strcmp((*op)->name, name) == 0)
            return *op;
    return NULL;
}

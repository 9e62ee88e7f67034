/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/a8_avx2.h"
#include "kernels/bf16_avx2.h"
#include "kernels/convert/convert_internal.h"

void ash_convert_avx2(const struct ash_args *args, int64_t first_row, int64_t last_row)
{
    int64_t columns = ash_tensor_columns(&args->in[0]);
    const float *x = args->in[0].data;
    for (int64_t row = first_row; row < last_row; row++)
        if (args->out.type == ASH_A8)
            ash_a8_store_row_avx2(
                x + row * columns, columns, ash_a8_row(args->out.data, columns, row));
        else
            ash_bf16_store_row_avx2(
                x + row * columns, columns, (uint16_t *)args->out.data + row * columns);
}

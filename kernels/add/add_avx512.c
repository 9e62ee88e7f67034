/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/add/add_internal.h"
#include "kernels/math_avx512.h"

void ash_add_avx512(const struct ash_args *args, int64_t first_row, int64_t last_row)
{
    int64_t columns = ash_tensor_columns(&args->in[0]), stride = ash_add_stride(args);
    for (int64_t row = first_row; row < last_row; row++) {
        const float *a = (const float *)args->in[0].data + row * columns;
        const float *b = (const float *)args->in[1].data + row * stride;
        float *out = (float *)args->out.data + row * columns;
        for (int64_t c = 0; c < columns; c += 16) {
            int64_t left = columns - c;
            ash_store_avx512(out + c, left,
                _mm512_add_ps(ash_load_avx512(a + c, left), ash_load_avx512(b + c, left)));
        }
    }
}

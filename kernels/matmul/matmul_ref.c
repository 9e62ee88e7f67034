/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/matmul/matmul_internal.h"

#include <assert.h>

enum { CHUNK = 32 };

/* Elements [first, first + count) of a row in any type, as floats. */
static void load_chunk(
    const struct ash_tensor *tensor, int64_t row, int64_t first, int64_t count, float out[CHUNK])
{
    const struct ash_type_info *info = ash_type_info(tensor->type);
    int64_t columns = ash_tensor_columns(tensor);
    if (tensor->type == ASH_A8) {
        struct ash_a8_view view = ash_a8_view(tensor->data, columns, row);
        for (int64_t i = 0; i < count; i++)
            out[i] = (float)view.q[first + i] * view.scale[first / ASH_A8_BLOCK];
        return;
    }
    const char *base = (const char *)tensor->data + row * (int64_t)ash_tensor_row_bytes(tensor);
    enum ash_status status = ash_to_float(
        tensor->type, base + first / info->block_elements * info->block_bytes, count, out);
    assert(status == ASH_OK); /* infer() has let the type pass */
    (void)status;
}

static double dot(const struct ash_tensor *x, int64_t t, const struct ash_tensor *w, int64_t n)
{
    double sum = 0;
    int64_t columns = ash_tensor_columns(x);
    for (int64_t first = 0; first < columns; first += CHUNK) {
        int64_t count = columns - first < CHUNK ? columns - first : CHUNK;
        float a[CHUNK], b[CHUNK];
        load_chunk(x, t, first, count, a);
        load_chunk(w, n, first, count, b);
        for (int64_t i = 0; i < count; i++)
            sum += (double)a[i] * (double)b[i];
    }
    return sum;
}

void ash_matmul_ref(const struct ash_args *args)
{
    struct ash_matmul_epilogue to = ash_matmul_epilogue(args);
    for (int64_t t = 0; t < args->out.dim[0]; t++)
        for (int64_t n = 0; n < to.columns; n++) {
            double sum = dot(&args->in[0], t, &args->in[1], n);
            if (to.addend)
                sum += (double)to.addend[t * to.addend_stride + n];
            to.out[t * to.columns + n] = (float)sum;
        }
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/embedding/embedding_internal.h"
#include "kernels/infer.h"

#include <assert.h>
#include <stddef.h>

static enum ash_status infer(const struct ash_args *args, struct ash_tensor *out)
{
    const struct ash_tensor *table = &args->in[0];
    if (table->type == ASH_I32 || table->type == ASH_A8)
        return ash_fail(ASH_ERR_SHAPE, "the table must be of a type that weights have, is %s",
            ash_type_info(table->type)->name);
    ASH_TRY(ash_infer_want(table, "the table", table->type, 2));
    int64_t tokens = args->batch ? args->batch->tokens : 1; /* the graph knows the largest */
    *out = (struct ash_tensor){ ASH_F32, ASH_EXTENT_TOKENS, 2, { tokens, table->dim[1], 1, 1 } };
    return ASH_OK;
}

static void cost(const struct ash_args *args, struct ash_cost *out)
{
    int64_t tokens = args->out.dim[0];
    *out = (struct ash_cost){
        .flops = 0, /* a look-up */
        .bytes_read = (double)tokens * (double)ash_tensor_row_bytes(&args->in[0]),
        .bytes_written = (double)ash_tensor_bytes(&args->out),
    };
}

static void look_up_row(const struct ash_tensor *table, int32_t token, float *out)
{
    if (table->layout) {
        table->layout->unpack_row(table, token, out);
        return;
    }
    const char *row = (const char *)table->data + (size_t)token * ash_tensor_row_bytes(table);
    enum ash_status status = ash_to_float(table->type, row, ash_tensor_columns(table), out);
    assert(status == ASH_OK); /* infer() has let the type pass */
    (void)status;
}

static void look_up(const struct ash_args *args, int64_t first_row, int64_t last_row)
{
    const struct ash_tensor *table = &args->in[0];
    int64_t columns = ash_tensor_columns(table);
    for (int64_t row = first_row; row < last_row; row++) {
        int32_t token = args->batch->token[row];
        assert(token >= 0 && token < table->dim[0]);
        look_up_row(table, token, (float *)args->out.data + row * columns);
    }
}

static bool accepts(const struct ash_args *args)
{
    return args->out.type == ASH_F32;
}

/* One row a token: plain C, far from mattering beside the matrices that follow. */
static const struct ash_kernel kernels[] = {
    { .name = "c", .accepts = accepts, .grain = 1, .run = look_up, .reads_packed = true },
    { .run = NULL },
};

const struct ash_op ash_op_embedding = {
    .name = "embedding",
    .inputs = 1,
    .needs_batch = true,
    .infer = infer,
    .cost = cost,
    .reference = ash_embedding_ref,
    .tolerance = 0, /* the definition of each type is exact */
    .kernels = kernels,
};

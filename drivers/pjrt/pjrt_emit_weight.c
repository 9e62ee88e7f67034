/* SPDX-License-Identifier: Apache-2.0 */
/* The operators that read weights: quantised ones are expanded here, on the device. */
#include "drivers/pjrt/pjrt_emit.h"
#include "kernels/rope/rope.h"

enum { BLOCK = 32 };

/* A factor a block, over its elements: (R, K / 32) -> (R, K). */
static struct pjrt_value spread_factor(struct pjrt_text *out, struct pjrt_value factor)
{
    static const int dims[] = { 0, 1 };
    int64_t rows = factor.shape.dim[0], blocks = factor.shape.dim[1];
    struct pjrt_value real = pjrt_convert(out, PJRT_F32, factor);
    real = pjrt_broadcast(out, PJRT_SHAPE(PJRT_F32, rows, blocks, BLOCK), real, dims);
    return pjrt_reshape(out, PJRT_SHAPE(PJRT_F32, rows, blocks * BLOCK), real);
}

/* The quants of Q4_x: low nibbles are the first half of a row. */
static struct pjrt_value split_nibbles(struct pjrt_text *out, struct pjrt_value bytes)
{
    struct pjrt_value low = pjrt_with(out, "and", bytes, 15);
    return pjrt_join(out, low, pjrt_with(out, "shift_right_logical", bytes, 4), 1);
}

/* Any form of weights in F32. */
static struct pjrt_value expand(struct pjrt_text *out, const struct pjrt_parts *weight)
{
    enum ash_type type = weight->form.type;
    struct pjrt_value quants = weight->value[0];
    if (!weight->form.planes)
        return pjrt_convert(out, PJRT_F32, quants);
    if (type != ASH_Q8_0)
        quants = split_nibbles(out, quants);
    struct pjrt_value x = pjrt_convert(out, PJRT_F32, quants);
    if (type == ASH_Q4_0)
        x = pjrt_with(out, "subtract", x, 8);
    x = pjrt_binary(out, "multiply", x, spread_factor(out, weight->value[1]));
    if (type == ASH_Q4_1)
        x = pjrt_binary(out, "add", x, spread_factor(out, weight->value[2]));
    return x;
}

void pjrt_emit_embedding(struct pjrt_emit *emit, const struct ash_args *args)
{
    (void)args;
    struct pjrt_parts table = pjrt_emit_input(emit, 0);
    for (int i = 0; i < table.form.parts; i++)
        table.value[i] = pjrt_rows(&emit->body, table.value[i], emit->token);
    pjrt_emit_result(emit, -1, expand(&emit->body, &table));
}

/* ---- Matmul ---- */

static struct pjrt_value scalar(struct pjrt_text *out, int value)
{
    return pjrt_fill(out, (struct pjrt_shape){ .type = PJRT_S32 }, value);
}

struct product {
    struct pjrt_text *out;
    struct pjrt_value x, w;
};

/* The next PJRT_TILE rows of x times w: in[0] = the first, in[1] = all rows so far. */
static void multiply_tile(const void *user, const struct pjrt_value *in, struct pjrt_value *next)
{
    const struct product *self = user;
    struct pjrt_text *out = self->out;
    struct pjrt_shape tile = self->x.shape;
    tile.dim[0] = PJRT_TILE;
    const struct pjrt_value slice[] = { self->x, in[0], scalar(out, 0) };
    struct pjrt_value rows = pjrt_op_begin(out, tile, "dynamic_slice", slice, 3);
    pjrt_write(out, ", sizes = [%d, %lld]", PJRT_TILE, (long long)tile.dim[1]);
    pjrt_op_end(out, slice, 3, &tile);
    const struct pjrt_value update[] = { in[1], pjrt_dot(out, rows, self->w, 0, 1, 1), in[0],
        slice[2] };
    next[1] = pjrt_op_begin(out, in[1].shape, "dynamic_update_slice", update, 4);
    pjrt_op_end(out, update, 4, &in[1].shape);
    next[0] = pjrt_with(out, "add", in[0], PJRT_TILE);
}

/* Tile after tile; x has whole tiles. */
static struct pjrt_value multiply_tiles(
    struct pjrt_text *out, struct pjrt_value x, struct pjrt_value w)
{
    struct pjrt_shape shape = PJRT_SHAPE(PJRT_F32, x.shape.dim[0], w.shape.dim[0]);
    const struct product self = { out, x, w };
    struct pjrt_value value[] = { scalar(out, 0), pjrt_fill(out, shape, 0) };
    pjrt_repeat(out, scalar(out, (int)x.shape.dim[0]), value, 2, multiply_tile, &self);
    return value[1];
}

static struct pjrt_value multiply(struct pjrt_emit *emit, struct pjrt_value x, struct pjrt_value w)
{
    struct pjrt_text *out = &emit->body;
    int64_t rows = x.shape.dim[0], whole = (rows + PJRT_TILE - 1) / PJRT_TILE * PJRT_TILE;
    if (!emit->tiles)
        return pjrt_dot(out, x, w, 0, 1, 1);
    x = pjrt_resize(out, x, whole);
    struct pjrt_value product =
        whole == PJRT_TILE ? pjrt_dot(out, x, w, 0, 1, 1) : multiply_tiles(out, x, w);
    return pjrt_resize(out, product, rows);
}

void pjrt_emit_matmul(struct pjrt_emit *emit, const struct ash_args *args)
{
    static const int by_column[] = { 1 };
    struct pjrt_text *out = &emit->body;
    struct pjrt_parts weight = pjrt_emit_input(emit, 1);
    struct pjrt_value x = pjrt_emit_input(emit, 0).value[0], whole = x;
    struct pjrt_shape flat =
        PJRT_SHAPE(PJRT_F32, ash_tensor_rows(&args->in[0]), ash_tensor_columns(&args->in[0]));
    x = pjrt_reshape(out, flat, whole);
    struct pjrt_value product = multiply(emit, x, expand(out, &weight));
    if (args->in[2].rank > 0) {
        struct pjrt_value addend = pjrt_emit_input(emit, 2).value[0];
        addend = args->in[2].rank == 1 ? pjrt_broadcast(out, product.shape, addend, by_column)
                                       : pjrt_reshape(out, product.shape, addend);
        product = pjrt_binary(out, "add", product, addend);
    }
    pjrt_emit_result(emit, -1, product);
}

/* ---- RoPE ---- */

/* Rows of the table (2, T, pairs), for every head: (T, H, pairs). */
static struct pjrt_value table_rows(
    struct pjrt_text *out, struct pjrt_value table, int which, const struct pjrt_shape *like)
{
    static const int dims[] = { 0, 2 };
    struct pjrt_value rows = pjrt_slice(out, table, 0, which, which + 1);
    rows = pjrt_reshape(out, PJRT_SHAPE(PJRT_F32, table.shape.dim[1], table.shape.dim[2]), rows);
    return pjrt_broadcast(out, *like, rows, dims);
}

/* (a, b) -> (a cos - b sin, a sin + b cos) */
static void turn_pairs(
    struct pjrt_text *out, struct pjrt_value table, struct pjrt_value *a, struct pjrt_value *b)
{
    struct pjrt_value c = table_rows(out, table, 0, &a->shape),
                      s = table_rows(out, table, 1, &a->shape);
    struct pjrt_value x = pjrt_binary(
        out, "subtract", pjrt_binary(out, "multiply", *a, c), pjrt_binary(out, "multiply", *b, s));
    *b = pjrt_binary(
        out, "add", pjrt_binary(out, "multiply", *a, s), pjrt_binary(out, "multiply", *b, c));
    *a = x;
}

/* The elements of a head that turn, (T, H, dims). */
static struct pjrt_value turn_head(
    struct pjrt_emit *emit, const struct ash_rope_params *params, struct pjrt_value head)
{
    struct pjrt_text *out = &emit->body;
    int64_t tokens = head.shape.dim[0], heads = head.shape.dim[1], pairs = params->dims / 2;
    struct pjrt_value table = pjrt_emit_turns(emit, pairs);
    struct pjrt_shape single = PJRT_SHAPE(PJRT_F32, tokens, heads, pairs);
    struct pjrt_shape column = PJRT_SHAPE(PJRT_F32, tokens, heads, pairs, 1);
    if (params->mode == ASH_ROPE_HALF) {
        struct pjrt_value a = pjrt_slice(out, head, 2, 0, pairs);
        struct pjrt_value b = pjrt_slice(out, head, 2, pairs, 2 * pairs);
        turn_pairs(out, table, &a, &b);
        return pjrt_join(out, a, b, 2);
    }
    struct pjrt_value both = pjrt_reshape(out, PJRT_SHAPE(PJRT_F32, tokens, heads, pairs, 2), head);
    struct pjrt_value a = pjrt_reshape(out, single, pjrt_slice(out, both, 3, 0, 1));
    struct pjrt_value b = pjrt_reshape(out, single, pjrt_slice(out, both, 3, 1, 2));
    turn_pairs(out, table, &a, &b);
    both = pjrt_join(out, pjrt_reshape(out, column, a), pjrt_reshape(out, column, b), 3);
    return pjrt_reshape(out, PJRT_SHAPE(PJRT_F32, tokens, heads, 2 * pairs), both);
}

struct pjrt_value pjrt_emit_turn(
    struct pjrt_emit *emit, const struct ash_rope_params *params, struct pjrt_value heads)
{
    struct pjrt_text *out = &emit->body;
    int64_t size = heads.shape.dim[2], dims = params->dims;
    if (dims == 0)
        return heads;
    struct pjrt_value turned = turn_head(emit, params, pjrt_slice(out, heads, 2, 0, dims));
    return dims == size ? turned : pjrt_join(out, turned, pjrt_slice(out, heads, 2, dims, size), 2);
}

void pjrt_emit_rope(struct pjrt_emit *emit, const struct ash_args *args)
{
    const struct ash_rope_params *params = args->params;
    struct pjrt_text *out = &emit->body;
    struct pjrt_value x = pjrt_emit_input(emit, 0).value[0];
    struct pjrt_value heads = pjrt_reshape(
        out, PJRT_SHAPE(PJRT_F32, args->in[0].dim[0], params->heads, params->head_size), x);
    heads = pjrt_emit_turn(emit, params, heads);
    pjrt_emit_result(emit, -1, pjrt_reshape(out, x.shape, heads));
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "drivers/pjrt/pjrt_emit.h"

#include "kernels/add/add.h"
#include "kernels/argmax/argmax.h"
#include "kernels/attention/attention.h"
#include "kernels/concat/concat.h"
#include "kernels/convert/convert.h"
#include "kernels/embedding/embedding.h"
#include "kernels/gather/gather.h"
#include "kernels/glu/glu.h"
#include "kernels/kv_write/kv_write.h"
#include "kernels/matmul/matmul.h"
#include "kernels/rmsnorm/rmsnorm.h"
#include "kernels/rope/rope.h"
#include "kernels/topk/topk.h"

#include <math.h>

static struct pjrt_value input(struct pjrt_emit *emit, int i)
{
    return pjrt_emit_input(emit, i).value[0];
}

/* A vector or a whole tensor in the shape of `like`. */
static struct pjrt_value spread(
    struct pjrt_text *out, struct pjrt_value a, const struct pjrt_shape *like)
{
    static const int dims[] = { 0, 1, 2, 3, 4, 5 };
    if (pjrt_shape_is(&a.shape, like))
        return a;
    return pjrt_broadcast(out, *like, a, dims + like->rank - a.shape.rank);
}

/* ---- Element by element ---- */

static void emit_add(struct pjrt_emit *emit, const struct ash_args *args)
{
    (void)args;
    struct pjrt_value a = input(emit, 0), b = spread(&emit->body, input(emit, 1), &a.shape);
    pjrt_emit_result(emit, -1, pjrt_binary(&emit->body, "add", a, b));
}

static struct pjrt_value silu(struct pjrt_text *out, struct pjrt_value x)
{
    struct pjrt_value e = pjrt_unary(out, "exponential", pjrt_unary(out, "negate", x));
    return pjrt_binary(out, "divide", x, pjrt_with(out, "add", e, 1));
}

static struct pjrt_value gelu(struct pjrt_text *out, struct pjrt_value x)
{
    struct pjrt_value cube = pjrt_binary(out, "multiply", x, pjrt_binary(out, "multiply", x, x));
    struct pjrt_value inner =
        pjrt_binary(out, "add", x, pjrt_with(out, "multiply", cube, 0.044715));
    inner = pjrt_with(out, "multiply", inner, sqrt(M_2_PI));
    struct pjrt_value factor = pjrt_with(out, "add", pjrt_unary(out, "tanh", inner), 1);
    return pjrt_binary(out, "multiply", pjrt_with(out, "multiply", x, 0.5), factor);
}

/* erfc within 1.5e-7: Abramowitz and Stegun 1964, 7.1.26. */
static struct pjrt_value erfc_of(struct pjrt_text *out, struct pjrt_value x)
{
    static const double series[] = { -1.453152027, 1.421413741, -0.284496736, 0.254829592 };
    struct pjrt_value z = pjrt_unary(out, "abs", x), one = pjrt_fill(out, x.shape, 1);
    struct pjrt_value t = pjrt_binary(
        out, "divide", one, pjrt_with(out, "add", pjrt_with(out, "multiply", z, 0.3275911), 1));
    struct pjrt_value p = pjrt_fill(out, x.shape, 1.061405429);
    for (size_t i = 0; i < sizeof series / sizeof *series; i++)
        p = pjrt_with(out, "add", pjrt_binary(out, "multiply", p, t), series[i]);
    struct pjrt_value square = pjrt_unary(out, "negate", pjrt_binary(out, "multiply", z, z));
    struct pjrt_value tail = pjrt_binary(out, "multiply", pjrt_binary(out, "multiply", p, t),
        pjrt_unary(out, "exponential", square));
    struct pjrt_value negative = pjrt_compare(out, "LT", x, pjrt_fill(out, x.shape, 0));
    struct pjrt_value other = pjrt_binary(out, "subtract", pjrt_fill(out, x.shape, 2), tail);
    return pjrt_select(out, negative, other, tail);
}

static struct pjrt_value gelu_erf(struct pjrt_text *out, struct pjrt_value x)
{
    struct pjrt_value y = pjrt_with(out, "multiply", x, -M_SQRT1_2);
    return pjrt_binary(out, "multiply", pjrt_with(out, "multiply", x, 0.5), erfc_of(out, y));
}

static void emit_glu(struct pjrt_emit *emit, const struct ash_args *args)
{
    const struct ash_glu_params *params = args->params;
    struct pjrt_text *out = &emit->body;
    struct pjrt_value gate = input(emit, 0), up = input(emit, 1);
    struct pjrt_value active = params->activation == ASH_SILU   ? silu(out, gate)
                               : params->activation == ASH_GELU ? gelu(out, gate)
                                                                : gelu_erf(out, gate);
    pjrt_emit_result(emit, -1, pjrt_binary(out, "multiply", active, up));
}

static void emit_concat(struct pjrt_emit *emit, const struct ash_args *args)
{
    (void)args;
    pjrt_emit_result(emit, -1, pjrt_join(&emit->body, input(emit, 0), input(emit, 1), 1));
}

static void emit_convert(struct pjrt_emit *emit, const struct ash_args *args)
{
    struct pjrt_form form;
    pjrt_form_plain(&args->out, &form);
    pjrt_emit_result(emit, -1, pjrt_convert(&emit->body, form.part[0].type, input(emit, 0)));
}

/* ---- Row by row ---- */

/* Sums of rows (R, C): of pieces of 32 first, so that rounding errors stay small. */
static struct pjrt_value sum_rows(struct pjrt_text *out, struct pjrt_value x)
{
    int64_t rows = x.shape.dim[0], columns = x.shape.dim[1], piece = 32;
    if (columns > piece && columns % piece == 0) {
        x = pjrt_reshape(out, PJRT_SHAPE(PJRT_F32, rows, columns / piece, piece), x);
        x = pjrt_reduce(out, "add", x, 2);
    }
    return pjrt_reduce(out, "add", x, 1);
}

static void emit_rmsnorm(struct pjrt_emit *emit, const struct ash_args *args)
{
    static const int by_row[] = { 0 }, by_column[] = { 1 };
    const struct ash_rmsnorm_params *params = args->params;
    struct pjrt_text *out = &emit->body;
    struct pjrt_value whole = input(emit, 0), weight = input(emit, 1);
    int64_t columns = ash_tensor_columns(&args->in[0]);
    struct pjrt_shape flat = PJRT_SHAPE(PJRT_F32, ash_tensor_rows(&args->in[0]), columns);
    struct pjrt_value x = pjrt_reshape(out, flat, whole);
    struct pjrt_value squares = sum_rows(out, pjrt_binary(out, "multiply", x, x));
    struct pjrt_value mean =
        pjrt_binary(out, "divide", squares, pjrt_fill(out, squares.shape, (double)columns));
    struct pjrt_value root =
        pjrt_unary(out, "sqrt", pjrt_with(out, "add", mean, (double)params->eps));
    x = pjrt_binary(out, "divide", x, pjrt_broadcast(out, flat, root, by_row));
    x = pjrt_binary(out, "multiply", x, pjrt_broadcast(out, flat, weight, by_column));
    pjrt_emit_result(emit, -1, pjrt_reshape(out, whole.shape, x));
}

static void emit_gather(struct pjrt_emit *emit, const struct ash_args *args)
{
    (void)args;
    pjrt_emit_result(emit, -1, pjrt_rows(&emit->body, input(emit, 0), emit->output));
}

/*
 * Whole numbers in the order of the floats whose bits they are made of, as a compiler may take what is
 * below 2^-126 for 0 when it compares floats. A NaN counts as minus infinity.
 */
static struct pjrt_value order_of(struct pjrt_text *out, struct pjrt_value x)
{
    struct pjrt_shape shape = x.shape;
    shape.type = PJRT_S32;
    struct pjrt_value bits = pjrt_bitcast(out, shape, x), zero = pjrt_fill(out, shape, 0);
    struct pjrt_value infinite = pjrt_fill(out, shape, 0x7f800000);
    struct pjrt_value size = pjrt_with(out, "and", bits, INT32_MAX);
    struct pjrt_value below = pjrt_binary(out, "subtract", zero, size);
    struct pjrt_value is_negative = pjrt_compare(out, "LT", bits, zero);
    struct pjrt_value order = pjrt_select(out, is_negative, below, size);
    return pjrt_select(out, pjrt_compare(out, "GT", size, infinite),
        pjrt_binary(out, "subtract", zero, infinite), order);
}

static void emit_argmax(struct pjrt_emit *emit, const struct ash_args *args)
{
    static const int by_row[] = { 0 };
    struct pjrt_text *out = &emit->body;
    struct pjrt_value x = order_of(out, input(emit, 0));
    struct pjrt_value most =
        pjrt_broadcast(out, x.shape, pjrt_reduce(out, "maximum", x, 1), by_row);
    struct pjrt_value id = pjrt_select(out, pjrt_compare(out, "EQ", x, most),
        pjrt_iota(out, x.shape, 1), pjrt_fill(out, x.shape, (double)args->in[0].dim[1]));
    pjrt_emit_result(emit, -1, pjrt_reduce(out, "minimum", id, 1));
}

/* Ids in the order of the larger x first, of equal ones the lower id. */
static struct pjrt_value sort_ids(struct pjrt_text *out, struct pjrt_value x)
{
    struct pjrt_shape one = { .type = PJRT_S32 };
    struct pjrt_value ids = pjrt_iota(out, x.shape, 1);
    struct pjrt_value a = pjrt_name(out, one), b = pjrt_name(out, one), i = pjrt_name(out, one),
                      j = pjrt_name(out, one), pair = pjrt_name(out, x.shape);
    pjrt_write(out, "%%%d:2 = \"stablehlo.sort\"(%%%d, %%%d) ({\n", pair.id, x.id, ids.id);
    pjrt_write(out,
        "^bb0(%%%d: tensor<i32>, %%%d: tensor<i32>, %%%d: tensor<i32>, %%%d: tensor<i32>):\n", a.id,
        b.id, i.id, j.id);
    struct pjrt_value tie =
        pjrt_binary(out, "and", pjrt_compare(out, "EQ", a, b), pjrt_compare(out, "LT", i, j));
    struct pjrt_value first = pjrt_binary(out, "or", pjrt_compare(out, "GT", a, b), tie);
    pjrt_write(out, "stablehlo.return %%%d : tensor<i1>\n", first.id);
    pjrt_write(out, "}) {dimension = 1 : i64, is_stable = true} : (");
    for (int n = 0; n < 4; n++) {
        pjrt_write_shape(out, &x.shape);
        pjrt_write(out, n == 1 ? ") -> (" : n == 3 ? ")\n" : ", ");
    }
    return pjrt_part(out, pair, 1, x.shape);
}

static void emit_topk(struct pjrt_emit *emit, const struct ash_args *args)
{
    struct pjrt_text *out = &emit->body;
    struct pjrt_value sorted = sort_ids(out, order_of(out, input(emit, 0)));
    pjrt_emit_result(emit, -1, pjrt_slice(out, sorted, 1, 0, args->out.dim[1]));
}

/* ---- Which there are ---- */

static bool is_plain(const struct ash_args *args)
{
    for (int i = 0; i < ASH_MAX_INPUTS; i++)
        if (args->in[i].rank && args->in[i].type != ASH_F32)
            return false;
    return args->out.type == ASH_F32 || args->out.type == ASH_I32;
}

static bool is_stored(enum ash_type type)
{
    return type != ASH_A8 && type != ASH_I32;
}

static bool accepts_weight(const struct ash_args *args)
{
    return args->in[0].type == ASH_F32 && is_stored(args->in[1].type) && args->in[1].rank == 2 &&
           args->out.type == ASH_F32;
}

static bool accepts_table(const struct ash_args *args)
{
    return is_stored(args->in[0].type) && args->in[0].rank == 2 && args->out.type == ASH_F32;
}

static bool accepts_cache(const struct ash_args *args)
{
    return args->in[0].type == ASH_F32 && (args->out.rank == 0 || args->out.type == ASH_F32);
}

static bool accepts_convert(const struct ash_args *args)
{
    return args->out.type == ASH_F32 || args->out.type == ASH_F16 || args->out.type == ASH_BF16;
}

const struct pjrt_op *pjrt_op_find(const struct ash_op *op)
{
    static const struct pjrt_op ops[] = {
        { &ash_op_add, is_plain, emit_add },
        { &ash_op_argmax, is_plain, emit_argmax },
        { &ash_op_attention, accepts_cache, pjrt_emit_attention },
        { &ash_op_concat, is_plain, emit_concat },
        { &ash_op_convert, accepts_convert, emit_convert },
        { &ash_op_embedding, accepts_table, pjrt_emit_embedding },
        { &ash_op_gather, is_plain, emit_gather },
        { &ash_op_glu, is_plain, emit_glu },
        { &ash_op_kv_write, accepts_cache, pjrt_emit_kv_write },
        { &ash_op_matmul, accepts_weight, pjrt_emit_matmul },
        { &ash_op_rmsnorm, is_plain, emit_rmsnorm },
        { &ash_op_rope, is_plain, pjrt_emit_rope },
        { &ash_op_topk, is_plain, emit_topk },
    };
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++)
        if (ops[i].op == op)
            return &ops[i];
    return NULL;
}

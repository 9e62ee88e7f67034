/* SPDX-License-Identifier: Apache-2.0 */
#include "drivers/pjrt/pjrt_text.h"

#include "runtime/memory.h"
#include "runtime/tensor.h"

#include <assert.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* ---- Types and shapes ---- */

static const struct {
    const char *name;
    int bytes;
} types[] = {
    [PJRT_PRED] = { "i1", 1 },
    [PJRT_S8] = { "i8", 1 },
    [PJRT_S32] = { "i32", 4 },
    [PJRT_U8] = { "ui8", 1 },
    [PJRT_U32] = { "ui32", 4 },
    [PJRT_F16] = { "f16", 2 },
    [PJRT_F32] = { "f32", 4 },
    [PJRT_BF16] = { "bf16", 2 },
};

size_t pjrt_shape_bytes(const struct pjrt_shape *shape)
{
    size_t bytes = (size_t)types[shape->type].bytes;
    for (int i = 0; i < shape->rank; i++)
        bytes *= (size_t)shape->dim[i];
    return bytes;
}

bool pjrt_shape_is(const struct pjrt_shape *a, const struct pjrt_shape *b)
{
    return a->type == b->type && a->rank == b->rank &&
           memcmp(a->dim, b->dim, (size_t)a->rank * sizeof *a->dim) == 0;
}

/* ---- Text ---- */

static bool grow(struct pjrt_text *out, size_t length)
{
    if (out->length + length < out->capacity)
        return true;
    size_t capacity = 2 * (out->length + length) + 4096;
    char *text = ash_realloc_array(out->text, capacity, 1);
    if (!text) {
        out->status = ash_fail_memory(capacity, "a program's text");
        return false;
    }
    out->text = text;
    out->capacity = capacity;
    return true;
}

void pjrt_write(struct pjrt_text *out, const char *format, ...)
{
    va_list list, again;
    if (out->status != ASH_OK)
        return;
    va_start(list, format);
    va_copy(again, list);
    int length = vsnprintf(NULL, 0, format, list);
    if (length > 0 && grow(out, (size_t)length + 1)) {
        vsnprintf(out->text + out->length, (size_t)length + 1, format, again);
        out->length += (size_t)length;
    }
    va_end(again);
    va_end(list);
}

void pjrt_write_shape(struct pjrt_text *out, const struct pjrt_shape *shape)
{
    pjrt_write(out, "tensor<");
    for (int i = 0; i < shape->rank; i++)
        pjrt_write(out, "%lldx", (long long)shape->dim[i]);
    pjrt_write(out, "%s>", types[shape->type].name);
}

struct pjrt_value pjrt_name(struct pjrt_text *out, struct pjrt_shape shape)
{
    return (struct pjrt_value){ out->values++, shape };
}

struct pjrt_value pjrt_op_begin(struct pjrt_text *out, struct pjrt_shape shape, const char *op,
    const struct pjrt_value *in, int count)
{
    struct pjrt_value value = pjrt_name(out, shape);
    pjrt_write(out, "%%%d = stablehlo.%s", value.id, op);
    for (int i = 0; i < count; i++)
        pjrt_write(out, "%s%%%d", i ? ", " : " ", in[i].id);
    return value;
}

void pjrt_op_end(
    struct pjrt_text *out, const struct pjrt_value *in, int count, const struct pjrt_shape *shape)
{
    pjrt_write(out, " : (");
    for (int i = 0; i < count; i++) {
        pjrt_write(out, "%s", i ? ", " : "");
        pjrt_write_shape(out, &in[i].shape);
    }
    pjrt_write(out, ") -> ");
    pjrt_write_shape(out, shape);
    pjrt_write(out, "\n");
}

/* " : tensor<..>, tensor<..>" */
static void write_types(struct pjrt_text *out, const struct pjrt_value *value, int count)
{
    for (int i = 0; i < count; i++) {
        pjrt_write(out, i ? ", " : " : ");
        pjrt_write_shape(out, &value[i].shape);
    }
    pjrt_write(out, "\n");
}

static void write_return(struct pjrt_text *out, const struct pjrt_value *value, int count)
{
    for (int i = 0; i < count; i++)
        pjrt_write(out, "%s%%%d", i ? ", " : "stablehlo.return ", value[i].id);
    write_types(out, value, count);
}

static void write_dims(struct pjrt_text *out, const int *dim, int count)
{
    for (int i = 0; i < count; i++)
        pjrt_write(out, "%s%d", i ? ", " : "", dim[i]);
}

struct pjrt_value pjrt_part(
    struct pjrt_text *out, struct pjrt_value of, int index, struct pjrt_shape shape)
{
    struct pjrt_value result = pjrt_name(out, shape), like = { 0, shape };
    pjrt_write(out, "%%%d = stablehlo.reshape %%%d#%d", result.id, of.id, index);
    pjrt_op_end(out, &like, 1, &shape);
    return result;
}

/* ---- Numbers out of nothing ---- */

static void write_number(struct pjrt_text *out, enum pjrt_type type, double value)
{
    float narrow = (float)value;
    uint32_t bits;
    memcpy(&bits, &narrow, sizeof bits);
    if (type == PJRT_F32)
        pjrt_write(out, "0x%08X", bits);
    else if (type == PJRT_F16)
        pjrt_write(out, "0x%04X", ash_f16_from_float(narrow));
    else if (type == PJRT_BF16)
        pjrt_write(out, "0x%04X", ash_bf16_from_float(narrow));
    else if (type == PJRT_PRED)
        pjrt_write(out, value != 0 ? "true" : "false");
    else
        pjrt_write(out, "%lld", (long long)value);
}

struct pjrt_value pjrt_fill(struct pjrt_text *out, struct pjrt_shape shape, double value)
{
    struct pjrt_value result = pjrt_op_begin(out, shape, "constant", NULL, 0);
    pjrt_write(out, " dense<");
    write_number(out, shape.type, value);
    pjrt_write(out, "> : ");
    pjrt_write_shape(out, &shape);
    pjrt_write(out, "\n");
    return result;
}

struct pjrt_value pjrt_iota(struct pjrt_text *out, struct pjrt_shape shape, int dim)
{
    struct pjrt_value result = pjrt_op_begin(out, shape, "iota", NULL, 0);
    pjrt_write(out, " dim = %d : ", dim);
    pjrt_write_shape(out, &shape);
    pjrt_write(out, "\n");
    return result;
}

/* ---- Element by element ---- */

struct pjrt_value pjrt_unary(struct pjrt_text *out, const char *op, struct pjrt_value a)
{
    struct pjrt_value result = pjrt_op_begin(out, a.shape, op, &a, 1);
    pjrt_op_end(out, &a, 1, &a.shape);
    return result;
}

struct pjrt_value pjrt_binary(
    struct pjrt_text *out, const char *op, struct pjrt_value a, struct pjrt_value b)
{
    struct pjrt_value in[] = { a, b }, result = pjrt_op_begin(out, a.shape, op, in, 2);
    pjrt_op_end(out, in, 2, &a.shape);
    return result;
}

struct pjrt_value pjrt_with(
    struct pjrt_text *out, const char *op, struct pjrt_value a, double number)
{
    return pjrt_binary(out, op, a, pjrt_fill(out, a.shape, number));
}

struct pjrt_value pjrt_compare(
    struct pjrt_text *out, const char *how, struct pjrt_value a, struct pjrt_value b)
{
    struct pjrt_shape shape = a.shape;
    shape.type = PJRT_PRED;
    struct pjrt_value in[] = { a, b }, result = pjrt_name(out, shape);
    pjrt_write(out, "%%%d = stablehlo.compare %s, %%%d, %%%d", result.id, how, a.id, b.id);
    pjrt_op_end(out, in, 2, &shape);
    return result;
}

struct pjrt_value pjrt_select(
    struct pjrt_text *out, struct pjrt_value which, struct pjrt_value yes, struct pjrt_value no)
{
    struct pjrt_value in[] = { which, yes, no },
                      result = pjrt_op_begin(out, yes.shape, "select", in, 3);
    pjrt_op_end(out, in, 3, &yes.shape);
    return result;
}

struct pjrt_value pjrt_convert(struct pjrt_text *out, enum pjrt_type type, struct pjrt_value a)
{
    struct pjrt_shape shape = a.shape;
    if (shape.type == type)
        return a;
    shape.type = type;
    struct pjrt_value result = pjrt_op_begin(out, shape, "convert", &a, 1);
    pjrt_op_end(out, &a, 1, &shape);
    return result;
}

struct pjrt_value pjrt_bitcast(struct pjrt_text *out, struct pjrt_shape shape, struct pjrt_value a)
{
    struct pjrt_value result = pjrt_op_begin(out, shape, "bitcast_convert", &a, 1);
    pjrt_op_end(out, &a, 1, &shape);
    return result;
}

/* ---- Shapes ---- */

struct pjrt_value pjrt_reshape(struct pjrt_text *out, struct pjrt_shape shape, struct pjrt_value a)
{
    if (pjrt_shape_is(&shape, &a.shape))
        return a;
    struct pjrt_value result = pjrt_op_begin(out, shape, "reshape", &a, 1);
    pjrt_op_end(out, &a, 1, &shape);
    return result;
}

struct pjrt_value pjrt_broadcast(
    struct pjrt_text *out, struct pjrt_shape shape, struct pjrt_value a, const int *dims)
{
    struct pjrt_value result = pjrt_op_begin(out, shape, "broadcast_in_dim", &a, 1);
    pjrt_write(out, ", dims = [");
    write_dims(out, dims, a.shape.rank);
    pjrt_write(out, "]");
    pjrt_op_end(out, &a, 1, &shape);
    return result;
}

struct pjrt_value pjrt_transpose(struct pjrt_text *out, struct pjrt_value a, const int *order)
{
    struct pjrt_shape shape = a.shape;
    for (int i = 0; i < shape.rank; i++)
        shape.dim[i] = a.shape.dim[order[i]];
    struct pjrt_value result = pjrt_op_begin(out, shape, "transpose", &a, 1);
    pjrt_write(out, ", dims = [");
    write_dims(out, order, shape.rank);
    pjrt_write(out, "]");
    pjrt_op_end(out, &a, 1, &shape);
    return result;
}

struct pjrt_value pjrt_slice(
    struct pjrt_text *out, struct pjrt_value a, int dim, int64_t first, int64_t end_at)
{
    struct pjrt_shape shape = a.shape;
    if (first == 0 && end_at == shape.dim[dim])
        return a;
    shape.dim[dim] = end_at - first;
    struct pjrt_value result = pjrt_op_begin(out, shape, "slice", &a, 1);
    for (int i = 0; i < shape.rank; i++)
        pjrt_write(out, "%s%lld:%lld", i ? ", " : " [", i == dim ? (long long)first : 0LL,
            i == dim ? (long long)end_at : (long long)shape.dim[i]);
    pjrt_write(out, "]");
    pjrt_op_end(out, &a, 1, &shape);
    return result;
}

struct pjrt_value pjrt_join(
    struct pjrt_text *out, struct pjrt_value a, struct pjrt_value b, int dim)
{
    struct pjrt_shape shape = a.shape;
    shape.dim[dim] += b.shape.dim[dim];
    struct pjrt_value in[] = { a, b }, result = pjrt_op_begin(out, shape, "concatenate", in, 2);
    pjrt_write(out, ", dim = %d", dim);
    pjrt_op_end(out, in, 2, &shape);
    return result;
}

struct pjrt_value pjrt_resize(struct pjrt_text *out, struct pjrt_value a, int64_t rows)
{
    struct pjrt_shape rest = a.shape;
    if (rows <= a.shape.dim[0])
        return pjrt_slice(out, a, 0, 0, rows);
    rest.dim[0] = rows - a.shape.dim[0];
    return pjrt_join(out, a, pjrt_fill(out, rest, 0), 0);
}

/* ---- Over dimensions ---- */

struct pjrt_value pjrt_reduce(struct pjrt_text *out, const char *op, struct pjrt_value a, int dim)
{
    struct pjrt_shape shape = { .type = a.shape.type }, none = shape;
    bool real = shape.type == PJRT_F32;
    double first = strcmp(op, "maximum") == 0 ? (real ? -HUGE_VAL : INT32_MIN) : 0;
    if (strcmp(op, "minimum") == 0)
        first = real ? HUGE_VAL : INT32_MAX;
    for (int i = 0; i < a.shape.rank; i++)
        if (i != dim)
            shape.dim[shape.rank++] = a.shape.dim[i];
    struct pjrt_value in[] = { a, pjrt_fill(out, none, first) }, result = pjrt_name(out, shape);
    pjrt_write(out,
        "%%%d = stablehlo.reduce(%%%d init: %%%d) applies stablehlo.%s across dimensions = [%d]",
        result.id, a.id, in[1].id, op, dim);
    pjrt_op_end(out, in, 2, &shape);
    return result;
}

struct pjrt_value pjrt_dot(
    struct pjrt_text *out, struct pjrt_value a, struct pjrt_value b, int batch, int ca, int cb)
{
    static const int common[] = { 0, 1, 2, 3 };
    struct pjrt_shape shape = { .type = PJRT_F32 };
    for (int i = 0; i < a.shape.rank; i++)
        if (i != ca)
            shape.dim[shape.rank++] = a.shape.dim[i];
    for (int i = batch; i < b.shape.rank; i++)
        if (i != cb)
            shape.dim[shape.rank++] = b.shape.dim[i];
    struct pjrt_value in[] = { a, b }, result = pjrt_op_begin(out, shape, "dot_general", in, 2);
    if (batch) {
        pjrt_write(out, ", batching_dims = [");
        write_dims(out, common, batch);
        pjrt_write(out, "] x [");
        write_dims(out, common, batch);
        pjrt_write(out, "]");
    }
    pjrt_write(out, ", contracting_dims = [%d] x [%d], precision = [HIGHEST, HIGHEST]", ca, cb);
    pjrt_op_end(out, in, 2, &shape);
    return result;
}

struct pjrt_value pjrt_rows(struct pjrt_text *out, struct pjrt_value a, struct pjrt_value index)
{
    struct pjrt_shape shape = a.shape;
    shape.dim[0] = index.shape.dim[0];
    struct pjrt_value in[] = { a, index }, result = pjrt_name(out, shape);
    pjrt_write(out,
        "%%%d = \"stablehlo.gather\"(%%%d, %%%d) <{dimension_numbers = #stablehlo.gather<",
        result.id, a.id, index.id);
    for (int i = 1; i < a.shape.rank; i++)
        pjrt_write(out, "%s%d", i > 1 ? ", " : "offset_dims = [", i);
    pjrt_write(out,
        "%scollapsed_slice_dims = [0], start_index_map = [0], index_vector_dim = 1>, "
        "slice_sizes = array<i64: 1",
        a.shape.rank > 1 ? "], " : "");
    for (int i = 1; i < a.shape.rank; i++)
        pjrt_write(out, ", %lld", (long long)a.shape.dim[i]);
    pjrt_write(out, ">, indices_are_sorted = false}>");
    pjrt_op_end(out, in, 2, &shape);
    return result;
}

/* ---- Loops ---- */

enum { MOST_CARRIED = 8 };

void pjrt_repeat(struct pjrt_text *out, struct pjrt_value limit, struct pjrt_value *value,
    int count, void (*turn)(const void *user, const struct pjrt_value *in, struct pjrt_value *next),
    const void *user)
{
    struct pjrt_value all = pjrt_name(out, value[0].shape), in[MOST_CARRIED], next[MOST_CARRIED];
    assert(count <= MOST_CARRIED);
    pjrt_write(out, "%%%d:%d = stablehlo.while(", all.id, count);
    for (int i = 0; i < count; i++) {
        in[i] = pjrt_name(out, value[i].shape);
        pjrt_write(out, "%s%%%d = %%%d", i ? ", " : "", in[i].id, value[i].id);
    }
    pjrt_write(out, ")");
    write_types(out, value, count);
    pjrt_write(out, "cond {\n");
    struct pjrt_value more = pjrt_compare(out, "LT", in[0], limit);
    write_return(out, &more, 1);
    pjrt_write(out, "} do {\n");
    turn(user, in, next);
    write_return(out, next, count);
    pjrt_write(out, "}\n");
    for (int i = 0; i < count; i++)
        value[i] = pjrt_part(out, all, i, value[i].shape);
}

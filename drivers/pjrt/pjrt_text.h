/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "drivers/pjrt/pjrt_api.h"

/*
 * StableHLO as text (openxla.org/stablehlo/spec), written operation by operation. Each function below
 * appends one operation and gives its result; the first failure (of memory) is kept in `status`, and
 * whatever follows it is harmless. Values are plain: nothing to release.
 */
enum { PJRT_MAX_RANK = 6 };

struct pjrt_shape {
    enum pjrt_type type;
    int rank;
    int64_t dim[PJRT_MAX_RANK];
};

struct pjrt_value {
    int id; /* "%7" */
    struct pjrt_shape shape;
};

struct pjrt_text {
    char *text; /* to ash_free() */
    size_t length, capacity;
    int values; /* named so far */
    enum ash_status status;
};

#define PJRT_SHAPE(type_, ...)                                                                     \
    ((struct pjrt_shape){ .type = (type_),                                                         \
        .rank = (int)(sizeof((int64_t[]){ __VA_ARGS__ }) / sizeof(int64_t)),                       \
        .dim = { __VA_ARGS__ } })

size_t pjrt_shape_bytes(const struct pjrt_shape *shape);
bool pjrt_shape_is(const struct pjrt_shape *a, const struct pjrt_shape *b);

void pjrt_write(struct pjrt_text *out, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void pjrt_write_shape(struct pjrt_text *out, const struct pjrt_shape *shape);
/* A name for a value that the caller defines. */
struct pjrt_value pjrt_name(struct pjrt_text *out, struct pjrt_shape shape);

/* An operation that has no function here: "%7 = stablehlo.add %5, %6", then whatever is its own, then
 * " : (tensor<..>, tensor<..>) -> tensor<..>". */
struct pjrt_value pjrt_op_begin(struct pjrt_text *out, struct pjrt_shape shape, const char *op,
    const struct pjrt_value *in, int count);
void pjrt_op_end(
    struct pjrt_text *out, const struct pjrt_value *in, int count, const struct pjrt_shape *shape);

/* Result `index` of an operation that has several, under a name of its own. */
struct pjrt_value pjrt_part(
    struct pjrt_text *out, struct pjrt_value of, int index, struct pjrt_shape shape);

/* `value` everywhere; of a float by its bits. */
struct pjrt_value pjrt_fill(struct pjrt_text *out, struct pjrt_shape shape, double value);
struct pjrt_value pjrt_iota(struct pjrt_text *out, struct pjrt_shape shape, int dim);

/* `op` of one or two values of one shape: "add", "exponential". */
struct pjrt_value pjrt_unary(struct pjrt_text *out, const char *op, struct pjrt_value a);
struct pjrt_value pjrt_binary(
    struct pjrt_text *out, const char *op, struct pjrt_value a, struct pjrt_value b);
/* The second operand the same number everywhere. */
struct pjrt_value pjrt_with(
    struct pjrt_text *out, const char *op, struct pjrt_value a, double number);
/* `how`: "LT", "EQ"... */
struct pjrt_value pjrt_compare(
    struct pjrt_text *out, const char *how, struct pjrt_value a, struct pjrt_value b);
struct pjrt_value pjrt_select(
    struct pjrt_text *out, struct pjrt_value which, struct pjrt_value yes, struct pjrt_value no);
struct pjrt_value pjrt_convert(struct pjrt_text *out, enum pjrt_type type, struct pjrt_value a);
/* The same bits in another type; a narrower one adds a last dimension, a wider one takes it. */
struct pjrt_value pjrt_bitcast(struct pjrt_text *out, struct pjrt_shape shape, struct pjrt_value a);

struct pjrt_value pjrt_reshape(struct pjrt_text *out, struct pjrt_shape shape, struct pjrt_value a);
/* a's dimension i becomes dims[i]. */
struct pjrt_value pjrt_broadcast(
    struct pjrt_text *out, struct pjrt_shape shape, struct pjrt_value a, const int *dims);
struct pjrt_value pjrt_transpose(struct pjrt_text *out, struct pjrt_value a, const int *order);
/* [first, end) of one dimension. */
struct pjrt_value pjrt_slice(
    struct pjrt_text *out, struct pjrt_value a, int dim, int64_t first, int64_t end);
/* The first `rows` of dimension 0, of as many as there are, or zeros behind them. */
struct pjrt_value pjrt_resize(struct pjrt_text *out, struct pjrt_value a, int64_t rows);
struct pjrt_value pjrt_join(
    struct pjrt_text *out, struct pjrt_value a, struct pjrt_value b, int dim);

/* Adds up ("add"), or the largest or least ("maximum", "minimum") over one dimension. */
struct pjrt_value pjrt_reduce(struct pjrt_text *out, const char *op, struct pjrt_value a, int dim);
/* Products over a's dimension `ca` and b's `cb`; the first `batch` dimensions are common. In F32. */
struct pjrt_value pjrt_dot(
    struct pjrt_text *out, struct pjrt_value a, struct pjrt_value b, int batch, int ca, int cb);
/* Rows index[i] of a's dimension 0. */
struct pjrt_value pjrt_rows(struct pjrt_text *out, struct pjrt_value a, struct pjrt_value index);

/* While value[0], a number, is below `limit`: turn() writes the next values (of the same shapes) out of `in`.
 * Leaves in `value` what comes out; at most 8. */
void pjrt_repeat(struct pjrt_text *out, struct pjrt_value limit, struct pjrt_value *value,
    int count, void (*turn)(const void *user, const struct pjrt_value *in, struct pjrt_value *next),
    const void *user);

/* SPDX-License-Identifier: Apache-2.0 */
/* The operators on the paged cache, whose bytes are those of kernels/kv_cache.h. */
#include "drivers/pjrt/pjrt_emit.h"
#include "kernels/attention/attention.h"
#include "kernels/kv_cache.h"
#include "kernels/kv_write/kv_write.h"

#include <math.h>

enum { P = ASH_PAGE_POSITIONS, BLOCK = 32, ROWS = ASH_KV_BLOCK_BYTES / BLOCK };

static const int leading[] = { 0, 1, 2, 3, 4, 5 };

/* ---- Writing ---- */

/* Where a scatter writes: an index (T) for some dimensions of the operand, of which the first `single`
 * are left out of the update. */
struct target {
    int count, single;
    int dim[3];
    struct pjrt_value index[3];
};

static struct pjrt_value join_indices(struct pjrt_text *out, const struct target *to)
{
    struct pjrt_shape column = PJRT_SHAPE(PJRT_S32, to->index[0].shape.dim[0], 1);
    struct pjrt_value all = pjrt_reshape(out, column, to->index[0]);
    for (int i = 1; i < to->count; i++)
        all = pjrt_join(out, all, pjrt_reshape(out, column, to->index[i]), 1);
    return all;
}

/* `update` (T, ...) over the cache; an index outside of it (a row that only fills up) writes nothing. */
static struct pjrt_value scatter(struct pjrt_text *out, struct pjrt_value cache,
    struct pjrt_value update, const struct target *to)
{
    struct pjrt_shape one = { .type = cache.shape.type };
    struct pjrt_value index = join_indices(out, to), result = pjrt_name(out, cache.shape);
    struct pjrt_value old = pjrt_name(out, one), new = pjrt_name(out, one);
    pjrt_write(out,
        "%%%d = \"stablehlo.scatter\"(%%%d, %%%d, %%%d) <{scatter_dimension_numbers = "
        "#stablehlo.scatter<",
        result.id, cache.id, index.id, update.id);
    for (int i = 1; i < update.shape.rank; i++)
        pjrt_write(out, "%s%d", i > 1 ? ", " : "update_window_dims = [", i);
    for (int i = 0; i < to->single; i++)
        pjrt_write(out, "%s%d", i ? ", " : "], inserted_window_dims = [", to->dim[i]);
    for (int i = 0; i < to->count; i++)
        pjrt_write(out, "%s%d", i ? ", " : "], scatter_dims_to_operand_dims = [", to->dim[i]);
    pjrt_write(out,
        "], index_vector_dim = 1>, indices_are_sorted = false, unique_indices = false}> "
        "({\n^bb0(%%%d: ",
        old.id);
    pjrt_write_shape(out, &one);
    pjrt_write(out, ", %%%d: ", new.id);
    pjrt_write_shape(out, &one);
    pjrt_write(out, "):\nstablehlo.return %%%d : ", new.id);
    pjrt_write_shape(out, &one);
    pjrt_write(out, "\n})");
    pjrt_op_end(out, (struct pjrt_value[]){ cache, index, update }, 3, &cache.shape);
    return result;
}

/* Cut to the largest of a narrower type; a NaN stays one. */
static struct pjrt_value narrow(struct pjrt_text *out, enum pjrt_type type, struct pjrt_value x)
{
    double most = type == PJRT_F16 ? 65504 : 0x1.fep127;
    if (type == PJRT_F32)
        return x;
    x = pjrt_with(out, "minimum", pjrt_with(out, "maximum", x, -most), most);
    return pjrt_convert(out, type, x);
}

/* Blocks of 32 channels (T, H, B, 32) to Q8_0: their quants, and in *factor their factors in F16. */
static struct pjrt_value quantise(
    struct pjrt_text *out, struct pjrt_value x, struct pjrt_value *factor)
{
    struct pjrt_value zero = pjrt_fill(out, x.shape, 0);
    struct pjrt_value size = pjrt_unary(out, "abs", x);
    size = pjrt_select(out, pjrt_compare(out, "EQ", x, x), size, zero); /* a NaN has none */
    struct pjrt_value largest = pjrt_reduce(out, "maximum", size, 3);
    *factor = narrow(out, PJRT_F16, pjrt_with(out, "divide", largest, 127));
    struct pjrt_value d = pjrt_convert(out, PJRT_F32, *factor);
    struct pjrt_value none = pjrt_fill(out, d.shape, 0);
    struct pjrt_value inverse = pjrt_binary(out, "divide", pjrt_fill(out, d.shape, 1), d);
    inverse = pjrt_select(out, pjrt_compare(out, "GT", d, none), inverse, none);
    struct pjrt_value q =
        pjrt_binary(out, "multiply", x, pjrt_broadcast(out, x.shape, inverse, leading));
    q = pjrt_unary(out, "round_nearest_even", q);
    struct pjrt_value least = pjrt_fill(out, x.shape, -127);
    q = pjrt_select(out, pjrt_compare(out, "GT", q, least), q, least);
    return pjrt_convert(out, PJRT_S8, pjrt_with(out, "minimum", q, 127));
}

static struct pjrt_value write_blocks(
    struct pjrt_emit *emit, enum ash_kv_side side, struct pjrt_value cache, struct pjrt_value rows)
{
    struct pjrt_text *out = &emit->body;
    int64_t tokens = rows.shape.dim[0], heads = rows.shape.dim[1], size = rows.shape.dim[2];
    struct pjrt_value factor,
        q = quantise(out,
            pjrt_reshape(out, PJRT_SHAPE(PJRT_F32, tokens, heads, size / BLOCK, BLOCK), rows),
            &factor);
    struct pjrt_value in_page = pjrt_with(out, "and", emit->position, P - 1);
    struct target quants = { 2, 2, { 0, side == ASH_KV_KEYS ? 4 : 3 }, { emit->page, in_page } };
    cache = scatter(out, cache, q, &quants);
    struct pjrt_value byte = pjrt_with(out, "multiply", in_page, 2); /* behind the quants' rows */
    struct pjrt_value row =
        pjrt_with(out, "add", pjrt_with(out, "shift_right_logical", byte, 5), BLOCK);
    struct target factors = { 3, 2, { 0, 3, 4 },
        { emit->page, row, pjrt_with(out, "and", byte, BLOCK - 1) } };
    struct pjrt_value bytes =
        pjrt_bitcast(out, PJRT_SHAPE(PJRT_S8, tokens, heads, size / BLOCK, 2), factor);
    return scatter(out, cache, bytes, &factors);
}

/* Rows (T, H, D) into a cache, each at its position. */
static struct pjrt_value write_rows(
    struct pjrt_emit *emit, enum ash_kv_side side, struct pjrt_value cache, struct pjrt_value rows)
{
    struct pjrt_text *out = &emit->body;
    if (cache.shape.rank == 5)
        return write_blocks(emit, side, cache, rows);
    bool by_channel = (side == ASH_KV_KEYS) == (cache.shape.type != PJRT_BF16);
    struct target to = { 2, 2, { 0, by_channel ? 3 : 2 },
        { emit->page, pjrt_with(out, "and", emit->position, P - 1) } };
    return scatter(out, cache, narrow(out, cache.shape.type, rows), &to);
}

void pjrt_emit_kv_write(struct pjrt_emit *emit, const struct ash_args *args)
{
    const struct ash_kv_write_params *params = args->params;
    struct pjrt_text *out = &emit->body;
    struct pjrt_shape rows =
        PJRT_SHAPE(PJRT_F32, args->in[0].dim[0], args->in[2].dim[1], args->in[2].dim[3]);
    struct pjrt_value k = pjrt_reshape(out, rows, pjrt_emit_input(emit, 0).value[0]);
    struct pjrt_value v = pjrt_reshape(out, rows, pjrt_emit_input(emit, 1).value[0]);
    k = pjrt_emit_turn(emit, &params->rope, k);
    struct pjrt_value keys = pjrt_emit_input(emit, 2).value[0];
    struct pjrt_value values = pjrt_emit_input(emit, 3).value[0];
    pjrt_emit_result(emit, 2, write_rows(emit, ASH_KV_KEYS, keys, k));
    pjrt_emit_result(emit, 3, write_rows(emit, ASH_KV_VALUES, values, v));
}

/* ---- Reading ---- */

/* Tiles of Q8_0 (T, H, B, ROWS, 32) in F32: keys (T, H, D, P), values (T, H, P, D). */
static struct pjrt_value read_blocks(
    struct pjrt_text *out, enum ash_kv_side side, struct pjrt_value tile)
{
    static const int over_channels[] = { 0, 1, 2, 4 }, over_positions[] = { 0, 1, 2, 3 },
                     by_position[] = { 0, 1, 3, 2, 4 };
    int64_t tokens = tile.shape.dim[0], heads = tile.shape.dim[1], blocks = tile.shape.dim[2];
    struct pjrt_value q = pjrt_convert(out, PJRT_F32, pjrt_slice(out, tile, 3, 0, BLOCK));
    struct pjrt_value d = pjrt_slice(out, tile, 3, BLOCK, ROWS);
    d = pjrt_reshape(out, PJRT_SHAPE(PJRT_S8, tokens, heads, blocks, P, 2), d);
    d = pjrt_bitcast(out, PJRT_SHAPE(PJRT_F16, tokens, heads, blocks, P), d);
    d = pjrt_broadcast(out, q.shape, pjrt_convert(out, PJRT_F32, d),
        side == ASH_KV_KEYS ? over_channels : over_positions);
    struct pjrt_value x = pjrt_binary(out, "multiply", q, d);
    if (side == ASH_KV_KEYS)
        return pjrt_reshape(out, PJRT_SHAPE(PJRT_F32, tokens, heads, blocks * BLOCK, P), x);
    x = pjrt_transpose(out, x, by_position);
    return pjrt_reshape(out, PJRT_SHAPE(PJRT_F32, tokens, heads, P, blocks * BLOCK), x);
}

/* Each token's page of the cache, in F32. */
static struct pjrt_value read_page(
    struct pjrt_text *out, enum ash_kv_side side, struct pjrt_value cache, struct pjrt_value page)
{
    struct pjrt_value tile = pjrt_rows(out, cache, page);
    if (cache.shape.rank == 5)
        return read_blocks(out, side, tile);
    return pjrt_convert(out, PJRT_F32, tile);
}

/* Which dimension of a page holds its positions. */
static int positions_of(enum ash_kv_side side, struct pjrt_value cache)
{
    if (cache.shape.rank == 5)
        return side == ASH_KV_KEYS ? 3 : 2;
    return (side == ASH_KV_KEYS) == (cache.shape.type != PJRT_BF16) ? 3 : 2;
}

/* ---- Attention ---- */

/*
 * Page after page of every token's own sequence, all tokens at once, as flash attention does: what was
 * added up so far is relative to the largest score so far. Pages are counted from the first that a
 * token sees, so its sums hang on nothing but itself; a token that has no more pages adds zeros.
 *
 * Each of S sequences reads a page a turn for R rows of queries: a token a sequence, whose rows are the heads
 * of a group; or, where all tokens are of one span and see all that is before them, one sequence with the
 * rows of all tokens, which then share what is read.
 */
struct attention {
    struct pjrt_emit *emit;
    const struct ash_attention_params *params;
    bool shared;
    struct pjrt_value q, keys, values; /* q (S, Hkv, R, D) */
    struct pjrt_value first, end, start,
        page; /* (S): the first position seen, the last; where its pages
                                                  begin in the list; the first page seen */
};

/* What goes around the loop: how far, the largest score and the sum of weights (S, Hkv, R), the sums. */
enum { TURN, MOST, TOTAL, SUMS, CARRIED };

/* x where `seen`, whose two dimensions are x's `rows` and `positions`. */
static struct pjrt_value masked(struct pjrt_text *out, struct pjrt_value seen, int rows,
    struct pjrt_value x, int positions, double other)
{
    const int dims[] = { rows, positions };
    struct pjrt_shape shape = x.shape;
    shape.type = PJRT_PRED;
    return pjrt_select(
        out, pjrt_broadcast(out, shape, seen, dims), x, pjrt_fill(out, x.shape, other));
}

static struct pjrt_value compare_with(
    struct pjrt_text *out, const char *how, struct pjrt_value at, struct pjrt_value each)
{
    return pjrt_compare(out, how, at, pjrt_broadcast(out, at.shape, each, leading));
}

/* Which positions of its page `number` (S) a sequence has: (S, P). */
static struct pjrt_value find_written(
    const struct attention *self, struct pjrt_value number, struct pjrt_value *at)
{
    struct pjrt_text *out = &self->emit->body;
    struct pjrt_shape shape = PJRT_SHAPE(PJRT_S32, number.shape.dim[0], P);
    *at = pjrt_broadcast(out, shape, pjrt_with(out, "multiply", number, P), leading);
    *at = pjrt_binary(out, "add", *at, pjrt_iota(out, shape, 1));
    return compare_with(out, "LE", *at, self->end);
}

/* Which of the positions `at` (S, P) are seen: by a sequence, or (R, P) by a row. */
static struct pjrt_value find_seen(
    const struct attention *self, struct pjrt_value at, struct pjrt_value written)
{
    static const int by_token[] = { 0 }, by_position[] = { 1 };
    struct pjrt_text *out = &self->emit->body;
    struct pjrt_value position = self->emit->position;
    if (!self->shared)
        return pjrt_binary(out, "and", written, compare_with(out, "GE", at, self->first));
    int64_t rows = self->q.shape.dim[2], tokens = position.shape.dim[0];
    struct pjrt_shape one = PJRT_SHAPE(PJRT_S32, P), all = PJRT_SHAPE(PJRT_S32, rows, P);
    position = pjrt_broadcast(out, PJRT_SHAPE(PJRT_S32, tokens, rows / tokens), position, by_token);
    position = pjrt_reshape(out, PJRT_SHAPE(PJRT_S32, rows), position);
    at = pjrt_broadcast(out, all, pjrt_reshape(out, one, at), by_position);
    return compare_with(out, "LE", at, position);
}

static struct pjrt_value score(
    const struct attention *self, struct pjrt_value page, struct pjrt_value seen)
{
    struct pjrt_text *out = &self->emit->body;
    double cap = (double)self->params->softcap;
    int positions = positions_of(ASH_KV_KEYS, self->keys);
    struct pjrt_value keys = read_page(out, ASH_KV_KEYS, self->keys, page);
    struct pjrt_value s = pjrt_dot(out, self->q, keys, 2, 3, positions == 3 ? 2 : 3);
    s = pjrt_with(out, "multiply", s, (double)self->params->scale);
    if (cap > 0) {
        s = pjrt_unary(out, "tanh", pjrt_binary(out, "divide", s, pjrt_fill(out, s.shape, cap)));
        s = pjrt_with(out, "multiply", s, cap);
    }
    return masked(out, seen, self->shared ? 2 : 0, s, 3, -HUGE_VAL);
}

static struct pjrt_value add_values(const struct attention *self, struct pjrt_value page,
    struct pjrt_value written, struct pjrt_value weights)
{
    struct pjrt_text *out = &self->emit->body;
    int positions = positions_of(ASH_KV_VALUES, self->values);
    struct pjrt_value values = read_page(out, ASH_KV_VALUES, self->values, page);
    values = masked(out, written, 0, values, positions, 0); /* else it may be no number */
    return pjrt_dot(out, weights, values, 2, 3, positions);
}

/* One page more. */
static void turn(const void *user, const struct pjrt_value *in, struct pjrt_value *next)
{
    const struct attention *self = user;
    struct pjrt_text *out = &self->emit->body;
    struct pjrt_value step = pjrt_broadcast(out, self->page.shape, in[TURN], leading);
    struct pjrt_value number = pjrt_binary(out, "add", self->page, step);
    struct pjrt_value last = pjrt_with(out, "shift_right_logical", self->end, 5), at;
    struct pjrt_value place =
        pjrt_binary(out, "add", self->start, pjrt_binary(out, "minimum", number, last));
    struct pjrt_value page = pjrt_rows(out, self->emit->pages, place);
    struct pjrt_value written = find_written(self, number, &at);
    struct pjrt_value seen = find_seen(self, at, written), s = score(self, page, seen);
    next[MOST] = pjrt_binary(out, "maximum", in[MOST], pjrt_reduce(out, "maximum", s, 3));
    struct pjrt_value weights = pjrt_unary(out, "exponential",
        pjrt_binary(out, "subtract", s, pjrt_broadcast(out, s.shape, next[MOST], leading)));
    weights = masked(out, seen, self->shared ? 2 : 0, weights, 3, 0);
    struct pjrt_value before =
        pjrt_unary(out, "exponential", pjrt_binary(out, "subtract", in[MOST], next[MOST]));
    next[TOTAL] = pjrt_binary(out, "add", pjrt_binary(out, "multiply", in[TOTAL], before),
        pjrt_reduce(out, "add", weights, 3));
    next[SUMS] = pjrt_binary(out, "add",
        pjrt_binary(
            out, "multiply", in[SUMS], pjrt_broadcast(out, in[SUMS].shape, before, leading)),
        add_values(self, page, written, weights));
    next[TURN] = pjrt_with(out, "add", in[TURN], 1);
}

/* What each sequence sees; the most pages that any has. */
static struct pjrt_value find_pages(struct attention *self)
{
    struct pjrt_text *out = &self->emit->body;
    struct pjrt_shape single = PJRT_SHAPE(PJRT_S32, 1);
    self->end = self->emit->position;
    self->start = self->emit->start;
    if (self->shared) {
        self->end = pjrt_reshape(out, single, pjrt_reduce(out, "maximum", self->end, 0));
        self->start = pjrt_slice(out, self->start, 0, 0, 1);
    }
    self->first = pjrt_fill(out, self->end.shape, 0);
    if (self->params->window > 0)
        self->first = pjrt_with(
            out, "maximum", pjrt_with(out, "add", self->end, 1 - self->params->window), 0);
    self->page = pjrt_with(out, "shift_right_logical", self->first, 5);
    struct pjrt_value last = pjrt_with(out, "shift_right_logical", self->end, 5);
    struct pjrt_value most =
        pjrt_reduce(out, "maximum", pjrt_binary(out, "subtract", last, self->page), 0);
    return pjrt_with(out, "add", most, 1);
}

/* (a, b, G, D) to (b, a, G, D): tokens and heads. */
static struct pjrt_value swap(struct pjrt_text *out, struct pjrt_value x)
{
    static const int order[] = { 1, 0, 2, 3 };
    return pjrt_transpose(out, x, order);
}

void pjrt_emit_attention(struct pjrt_emit *emit, const struct ash_args *args)
{
    const struct ash_attention_params *params = args->params;
    struct pjrt_text *out = &emit->body;
    int64_t tokens = args->in[0].dim[0], heads = args->in[1].dim[1], size = args->in[1].dim[3];
    int64_t group = params->heads / heads;
    struct pjrt_value q = pjrt_emit_input(emit, 0).value[0];
    struct attention self = { .emit = emit,
        .params = params,
        .shared = emit->variant->one_span && params->window == 0,
        .q = pjrt_reshape(out, PJRT_SHAPE(PJRT_F32, tokens, heads, group, size), q),
        .keys = pjrt_emit_input(emit, 1).value[0],
        .values = pjrt_emit_input(emit, 2).value[0] };
    if (self.shared)
        self.q = pjrt_reshape(
            out, PJRT_SHAPE(PJRT_F32, 1, heads, tokens * group, size), swap(out, self.q));
    struct pjrt_value turns = find_pages(&self);
    struct pjrt_shape one = self.q.shape;
    one.rank = 3;
    struct pjrt_value value[CARRIED] = {
        [TURN] = pjrt_fill(out, turns.shape, 0),
        [MOST] = pjrt_fill(out, one, -HUGE_VAL),
        [TOTAL] = pjrt_fill(out, one, 0),
        [SUMS] = pjrt_fill(out, self.q.shape, 0),
    };
    pjrt_repeat(out, turns, value, CARRIED, turn, &self);
    struct pjrt_value result = pjrt_binary(
        out, "divide", value[SUMS], pjrt_broadcast(out, self.q.shape, value[TOTAL], leading));
    if (self.shared)
        result =
            swap(out, pjrt_reshape(out, PJRT_SHAPE(PJRT_F32, heads, tokens, group, size), result));
    pjrt_emit_result(emit, -1, pjrt_reshape(out, q.shape, result));
}

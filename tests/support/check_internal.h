/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "tests/support/check_op.h"

#include <stdint.h>
#include <stdlib.h>

/* Whether AddressSanitizer watches, and whether any sanitizer does: all are slow, and none looks at
 * numbers. gcc and clang say so differently. */
#if defined(__SANITIZE_ADDRESS__)
#define CHECK_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define CHECK_ASAN 1
#elif __has_feature(thread_sanitizer)
#define CHECK_SANITIZED 1
#endif
#endif
#if defined(CHECK_ASAN) || defined(__SANITIZE_THREAD__)
#define CHECK_SANITIZED 1
#endif

/* A mistake in a case or in the engine itself; holds in release builds too. */
#define check_must(condition)                                                                      \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: %s does not hold\n", __FILE__, __LINE__, #condition);          \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

/* splitmix64 (Steele, Lea, Flood 2014): the same inputs on every machine. */
static inline uint64_t check_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

/* [0, limit) */
static inline int64_t check_below(uint64_t *state, int64_t limit)
{
    return (int64_t)(check_random(state) % (uint64_t)limit);
}

/* Memory between two zones that nobody may write to (nor read, under AddressSanitizer). */
struct guard {
    unsigned char *block, *data;
    size_t bytes, block_bytes;
};
void guard_init(struct guard *guard, size_t bytes, size_t offset_bytes, int fill);
bool guard_intact(const struct guard *guard);
void guard_finish(struct guard *guard); /* takes one never initialised (all zero) */

/* What fills the inputs of a case. */
struct kind {
    const char *name;
    double scale;
    enum { FILL_RANDOM, FILL_ALTERNATE, FILL_OUTLIER, FILL_QUANTS, FILL_NAN, FILL_INFINITY } fill;
    uint64_t seed;
    bool bits;    /* goes through all that must not change a bit */
    bool wide;    /* far from 1: rounding of the inputs is let into the tolerance */
    bool unknown; /* results are not compared, unless they are ids */
    bool hazard;  /* run under sanitizers, too: may lead to other addresses, or overflow */
};
extern const struct kind check_kinds[];
extern const int check_kind_count;

/* A case with T and O put in: spans, page tables, and the inputs as floats. */
struct problem {
    const struct ash_op *op;
    const struct ash_case *row;
    const struct kind *kind;
    struct ash_tensor in[ASH_MAX_INPUTS]; /* shapes and extents */
    enum ash_type rounded; /* in[0] went through this type and back; F32 = as it was drawn */
    int32_t tokens, outputs, spans;
    struct {
        int32_t cached, tokens;
    } span[ASH_CASE_SPANS];
    int32_t *page[ASH_CASE_SPANS];
    int32_t *token;                /* (tokens) ids */
    float *values[ASH_MAX_INPUTS]; /* as in[] is shaped */
};

/* Shapes only; `problem` needs no finish. */
void problem_shape(struct problem *problem, const struct ash_op *op, const struct ash_case *row);
/* Shapes and inputs; `rounded`: in[0] goes through this type and back. */
void problem_init(struct problem *problem, const struct ash_op *op, const struct ash_case *row,
    const struct kind *kind, enum ash_type rounded);
void problem_finish(struct problem *problem);
/* Moves F32 inputs by up to one part in 2^24, as rounding would. */
void problem_perturb(struct problem *problem, uint64_t seed);

/* Which tokens a call works on: pieces of spans, in this order. */
struct piece {
    int32_t span, first, tokens;
};
struct selection {
    int count;
    struct piece piece[ASH_CASE_SPANS];
};
struct selection selection_all(const struct problem *problem);

/* One call: tensors in guarded memory, and the batch. */
struct call {
    struct ash_args args;
    struct guard in[ASH_MAX_INPUTS], out, packed;
    void *pristine[ASH_MAX_INPUTS]; /* the inputs as they were filled */
    struct ash_batch batch;
    struct ash_span span[ASH_CASE_SPANS];
    int32_t *token, *token_span, *output;
    int32_t *token_row;  /* (tokens) row of the problem that this row is */
    int32_t *output_row; /* (outputs) output of the problem that this one is */
};
enum { CALL_MISALIGNED = 1, CALL_IN_PLACE = 2 }; /* in place: out in the memory of in[place] */

/* `kernel` NULL: for the reference. `out_type`: the inferred one, or A8 or BF16 in its place. */
void call_init(struct call *call, const struct problem *problem, const struct selection *selection,
    const struct ash_kernel *kernel, enum ash_type out_type, int flags, int place);
void call_finish(struct call *call);
/* Gives `call` the updated inputs of `from` as they are now. */
void call_continue(struct call *call, const struct call *from, const struct ash_op *op);

/* Runs all rows: in one range, in random ranges, or in random ranges from the last to the first. NaNs in
 * the results become one and the same. */
enum split { SPLIT_NONE, SPLIT_RANDOM, SPLIT_REVERSE };
void call_run(struct call *call, const struct ash_op *op, const struct ash_kernel *kernel,
    enum split split, uint64_t seed);

/* Which tensor a result is: the output (input -1) or an updated input; rank 0 if it is neither. */
struct ash_tensor call_result(const struct call *call, const struct ash_op *op, int input);

/* `tensor`, input `input` (-1 = the output), as floats. */
void call_values(
    const struct ash_case *row, const struct ash_tensor *tensor, int input, float *values);

/* What the reference says: the output at [0], updated inputs after it, with the error let pass. */
struct expected {
    bool known;
    double tolerance; /* that `bound` was made with */
    float *values[1 + ASH_MAX_INPUTS], *bound[1 + ASH_MAX_INPUTS];
};
void expected_init(struct expected *expected, const struct problem *problem, double tolerance);
void expected_finish(struct expected *expected);

/* Whether a result is as good as the reference's: a NaN for a NaN, the same infinity for an infinity. */
bool expected_near(float got, float want, float bound);

/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/check_internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#ifdef CHECK_ASAN
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(address, size)   ((void)(address), (void)(size))
#define ASAN_UNPOISON_MEMORY_REGION(address, size) ((void)(address), (void)(size))
#endif

enum { GUARD_BYTES = 128, GUARD_FILL = 0xa5 };

const struct kind check_kinds[] = {
    { "random", 1, FILL_RANDOM, 1, .bits = true, .hazard = true },
    { "random, another", 1, FILL_RANDOM, 2 },
    { "random, small", 1e-3, FILL_RANDOM, 3 },
    { "random, large", 100, FILL_RANDOM, 4, .wide = true },
    { "zeros", 0, FILL_RANDOM, 5 },
    { "alternating signs", 1, FILL_ALTERNATE, 6 },
    { "one outlier", 1, FILL_OUTLIER, 7, .bits = true, .wide = true },
    { "largest quants", 1, FILL_QUANTS, 8, .hazard = true },
    { "huge", 1e15, FILL_RANDOM, 9, .wide = true },
    { "denormal", 1e-40, FILL_RANDOM, 10 },
    { "a NaN", 1, FILL_NAN, 11, .unknown = true, .hazard = true },
    { "infinities", 1, FILL_INFINITY, 12, .unknown = true, .hazard = true },
};
const int check_kind_count = sizeof check_kinds / sizeof check_kinds[0];

void guard_init(struct guard *guard, size_t bytes, size_t offset_bytes, int fill)
{
    size_t block_bytes = (2 * GUARD_BYTES + offset_bytes + bytes + 63) / 64 * 64;
    unsigned char *block = aligned_alloc(64, block_bytes);
    check_must(block);
    memset(block, GUARD_FILL, block_bytes);
    *guard = (struct guard){ block, block + GUARD_BYTES + offset_bytes, bytes, block_bytes };
    memset(guard->data, fill, bytes);
    ASAN_POISON_MEMORY_REGION(block, (size_t)(guard->data - block));
    ASAN_POISON_MEMORY_REGION(
        guard->data + bytes, (size_t)(block + block_bytes - guard->data) - bytes);
}

bool guard_intact(const struct guard *guard)
{
    ASAN_UNPOISON_MEMORY_REGION(guard->block, guard->block_bytes);
    size_t before = (size_t)(guard->data - guard->block);
    bool intact = true;
    for (size_t i = 0; i < guard->block_bytes; i++)
        if (i < before || i >= before + guard->bytes)
            intact &= guard->block[i] == GUARD_FILL;
    return intact;
}

void guard_finish(struct guard *guard)
{
    if (guard->block)
        ASAN_UNPOISON_MEMORY_REGION(guard->block, guard->block_bytes);
    free(guard->block);
    *guard = (struct guard){ 0 };
}

static void shape_inputs(struct problem *problem, int32_t tokens, int32_t outputs)
{
    const struct ash_case *row = problem->row;
    for (int i = 0; i < ASH_MAX_INPUTS; i++) {
        struct ash_tensor *in = &problem->in[i];
        *in = (struct ash_tensor){ .type = row->types[i], .dim = { 1, 1, 1, 1 } };
        while (in->rank < ASH_MAX_RANK && row->dim[i][in->rank] != 0) {
            in->dim[in->rank] = row->dim[i][in->rank];
            in->rank++;
        }
        bool counts = i == 0 && !problem->op->needs_batch && in->rank > 0;
        if (counts || in->dim[0] == T) {
            in->extent = ASH_EXTENT_TOKENS;
            in->dim[0] = tokens;
        } else if (in->dim[0] == O) {
            in->extent = ASH_EXTENT_OUTPUTS;
            in->dim[0] = outputs;
        }
    }
}

void problem_shape(struct problem *problem, const struct ash_op *op, const struct ash_case *row)
{
    *problem = (struct problem){ .op = op, .row = row };
    for (int i = 0; i < ASH_CASE_SPANS && row->batch[i].tokens > 0; i++) {
        problem->span[i].cached = row->batch[i].cached;
        problem->span[i].tokens = row->batch[i].tokens;
        problem->tokens += row->batch[i].tokens;
        problem->spans++;
    }
    if (problem->spans == 0) {
        problem->tokens = problem->span[0].tokens = (int32_t)row->dim[0][0];
        problem->spans = 1;
    }
    problem->outputs = row->all_outputs ? problem->tokens : problem->spans;
    shape_inputs(problem, problem->tokens, problem->outputs);
}

static bool is_cache(const struct ash_tensor *tensor)
{
    return tensor->rank == 4;
}

/* Every span gets pages of its own in a random order, but for the shared ones. */
static void init_pages(struct problem *problem, uint64_t *random)
{
    int64_t pages = 0;
    for (int i = 0; i < ASH_MAX_INPUTS && !pages; i++)
        if (is_cache(&problem->in[i]))
            pages = problem->in[i].dim[0];
    int32_t *order = calloc((size_t)pages + 1, sizeof *order);
    for (int32_t i = 0; i < pages; i++) {
        int64_t at = check_below(random, i + 1);
        order[i] = order[at];
        order[at] = i;
    }
    int64_t used = 0;
    for (int s = 0; s < problem->spans; s++) {
        int32_t positions = problem->span[s].cached + problem->span[s].tokens;
        int32_t count = (positions + ASH_PAGE_POSITIONS - 1) / ASH_PAGE_POSITIONS;
        problem->page[s] = calloc((size_t)count, sizeof *problem->page[s]);
        for (int32_t p = 0; pages && p < count; p++) {
            bool shared = s > 0 && p < problem->row->shared_pages;
            check_must(shared || used < pages); /* the case's cache is too small for its spans */
            problem->page[s][p] = shared ? problem->page[0][p] : order[used++];
        }
    }
    free(order);
}

static double draw(const struct kind *kind, uint64_t *random, int64_t index)
{
    double sum = 0; /* of four uniform numbers: near enough to normal, with variance 1 */
    for (int i = 0; i < 4; i++)
        sum += (double)(check_random(random) >> 11) * 0x1p-53 * 2 - 1;
    double value = sum * 0.8660254037844386 * kind->scale;
    switch (kind->fill) {
    case FILL_RANDOM:
        return value;
    case FILL_ALTERNATE:
    case FILL_QUANTS:
        return index % 2 ? -kind->scale : kind->scale;
    case FILL_OUTLIER:
        return index % 97 == 5 ? 100 : value;
    case FILL_NAN:
        return index % 61 == 7 ? (double)NAN : value;
    case FILL_INFINITY:
        return index % 61 == 7 ? (double)INFINITY : index % 67 == 9 ? (double)-INFINITY : value;
    }
    return value;
}

static void init_values(struct problem *problem, int input, uint64_t *random)
{
    const struct ash_tensor *in = &problem->in[input];
    int64_t count = ash_tensor_elements(in);
    float *values = calloc((size_t)count + 1, sizeof *values);
    check_must(values);
    if (problem->op->scratch >> input & 1) { /* zeros */
        problem->values[input] = values;
        return;
    }
    bool narrow = in->type != ASH_F32 && in->type != ASH_BF16; /* F16, or blocks with F16 scales */
    for (int64_t i = 0; i < count; i++) {
        double value = draw(problem->kind, random, i);
        if (problem->row->positive >> input & 1)
            value = isfinite(value) ? fmin(1 + fabs(value), 100) : 1;
        values[i] = (float)(narrow && fabs(value) > 6e4 ? copysign(6e4, value) : value);
    }
    problem->values[input] = values;
}

static void round_values(struct problem *problem, enum ash_type type)
{
    int64_t columns = ash_tensor_columns(&problem->in[0]);
    struct ash_tensor narrow = problem->in[0];
    narrow.type = type;
    void *row = malloc(ash_tensor_row_bytes(&narrow));
    for (int64_t r = 0; r < ash_tensor_rows(&narrow); r++) {
        float *values = problem->values[0] + r * columns;
        check_must(ash_from_float(type, values, columns, row) == ASH_OK);
        check_must(ash_to_float(type, row, columns, values) == ASH_OK);
    }
    free(row);
}

void problem_init(struct problem *problem, const struct ash_op *op, const struct ash_case *row,
    const struct kind *kind, enum ash_type rounded)
{
    problem_shape(problem, op, row);
    problem->kind = kind;
    problem->rounded = rounded;
    uint64_t random = kind->seed;
    init_pages(problem, &random);
    for (int i = 0; i < ASH_MAX_INPUTS; i++)
        if (problem->in[i].rank > 0)
            init_values(problem, i, &random);
    if (rounded != ASH_F32)
        round_values(problem, rounded);
    int64_t vocabulary = problem->in[0].extent == ASH_EXTENT_FIXED ? problem->in[0].dim[0] : 1000;
    problem->token = calloc((size_t)problem->tokens + 1, sizeof *problem->token);
    for (int32_t t = 0; t < problem->tokens; t++)
        problem->token[t] = (int32_t)check_below(&random, vocabulary);
}

void problem_finish(struct problem *problem)
{
    for (int i = 0; i < ASH_MAX_INPUTS; i++)
        free(problem->values[i]);
    for (int s = 0; s < problem->spans; s++)
        free(problem->page[s]);
    free(problem->token);
}

void problem_perturb(struct problem *problem, uint64_t seed)
{
    for (int i = 0; i < ASH_MAX_INPUTS; i++) {
        if (problem->in[i].rank == 0 || problem->in[i].type != ASH_F32)
            continue;
        for (int64_t e = 0; e < ash_tensor_elements(&problem->in[i]); e++)
            problem->values[i][e] *= check_random(&seed) & 1 ? 1 + 0x1p-23f : 1 - 0x1p-24f;
    }
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The check engine itself: an operator with each defect that it is there to find, and one without. */
#include "runtime/cpu.h"
#include "tests/support/check_internal.h"

#include <criterion/criterion.h>
#include <string.h>

/* out = 2 x: correct, and then with one defect each. */
static void doubled(const struct ash_args *args, int64_t first, int64_t last, float factor)
{
    int64_t columns = ash_tensor_columns(&args->in[0]);
    for (int64_t i = first * columns; i < last * columns; i++)
        ((float *)args->out.data)[i] = ((const float *)args->in[0].data)[i] * factor;
}

static void correct(const struct ash_args *args, int64_t first, int64_t last)
{
    doubled(args, first, last, 2);
}

static void wrong_by_little(const struct ash_args *args, int64_t first, int64_t last)
{
    doubled(args, first, last, 2.0001F);
}

static void leaves_the_last_column(const struct ash_args *args, int64_t first, int64_t last)
{
    int64_t columns = ash_tensor_columns(&args->in[0]);
    for (int64_t row = first; row < last; row++)
        for (int64_t c = 0; c < columns - 1; c++)
            ((float *)args->out.data)[row * columns + c] =
                ((const float *)args->in[0].data)[row * columns + c] * 2;
}

static void writes_to_its_input(const struct ash_args *args, int64_t first, int64_t last)
{
    doubled(args, first, last, 2);
    ((float *)args->in[0].data)[0] += 1;
}

static void differs_by_split(const struct ash_args *args, int64_t first, int64_t last)
{
    doubled(args, first, last, last - first == ash_tensor_rows(&args->out) ? 2 : 2 + 0x1p-20F);
}

static void differs_by_batch(const struct ash_args *args, int64_t first, int64_t last)
{
    doubled(args, first, last, args->batch->spans > 1 ? 2 : 2 + 0x1p-20F);
}

static void differs_by_chunk(const struct ash_args *args, int64_t first, int64_t last)
{
    doubled(args, first, last, args->batch->tokens == 7 ? 2 : 2 + 0x1p-20F);
}

static void not_in_place(const struct ash_args *args, int64_t first, int64_t last)
{
    int64_t columns = ash_tensor_columns(&args->in[0]);
    memset((float *)args->out.data + first * columns, 0,
        (size_t)((last - first) * columns) * sizeof(float));
    doubled(args, first, last, 2);
}

static void huge_ones_overflow(const struct ash_args *args, int64_t first, int64_t last)
{
    doubled(args, first, last, 2);
    float *out = args->out.data;
    for (int64_t i = first * ash_tensor_columns(&args->out);
         i < last * ash_tensor_columns(&args->out); i++)
        out[i] = out[i] > 1e14F ? __builtin_inff() : out[i];
}

#ifndef CHECK_ASAN /* which ends the program there and then */
static void writes_past_its_output(const struct ash_args *args, int64_t first, int64_t last)
{
    doubled(args, first, last, 2);
    if (last == ash_tensor_rows(&args->out))
        ((float *)args->out.data)[ash_tensor_elements(&args->out)] = 0;
}
#endif

static void reference(const struct ash_args *args)
{
    correct(args, 0, ash_tensor_rows(&args->in[0]));
}

static enum ash_status infer(const struct ash_args *args, struct ash_tensor *out)
{
    if (args->in[0].rank != 2)
        return ash_fail(ASH_ERR_SHAPE, "x must have 2 dimensions, has %d", args->in[0].rank);
    *out = args->in[0];
    out->data = NULL;
    return ASH_OK;
}

static void cost(const struct ash_args *args, struct ash_cost *out)
{
    double bytes = (double)ash_tensor_bytes(&args->in[0]);
    *out = (struct ash_cost){ 1, bytes, bytes };
}

static void cost_of_one_byte_less(const struct ash_args *args, struct ash_cost *out)
{
    cost(args, out);
    out->bytes_read -= 1;
}

static const struct ash_op template = {
    .name = "broken",
    .inputs = 1,
    .in_place = 1 << 0,
    .infer = infer,
    .cost = cost,
    .reference = reference,
    .tolerance = 1e-6,
};

static const struct ash_case cases[] = {
    { "spans", { { 7, 5 } }, .batch = { { 0, 3 }, { 9, 4 } } },
    { "a vector", { { 5 } }, .expect = ASH_ERR_SHAPE },
    { 0 },
};

/* What the engine finds in an operator that has this kernel instead; its report into `text`. */
static int failures_with(
    const struct ash_op *op, struct ash_kernel kernel, const struct ash_case *table, char text[512])
{
    struct ash_kernel kernels[] = { kernel, { .run = NULL } };
    struct ash_op broken = *op;
    broken.kernels = kernels;
    memset(text, 0, 512);
    FILE *report = fmemopen(text, 511, "w");
    int failures = ash_check_op(&broken, table, report);
    fclose(report);
    return failures;
}

static int failures_of(
    const struct ash_op *op, void (*run)(const struct ash_args *, int64_t, int64_t), char text[512])
{
    struct ash_kernel kernel = { .name = "k", .grain = 1, .run = run };
    return failures_with(op, kernel, cases, text);
}

Test(check_engine, passes_a_correct_operator)
{
    char text[512];
    cr_assert_eq(failures_of(&template, correct, text), 0, "%s", text);
}

Test(check_engine, finds_every_defect)
{
    static const struct {
        void (*run)(const struct ash_args *, int64_t, int64_t);
        const char *says;
    } defects[] = {
        { wrong_by_little, "input \"random\": output F32 (7, 5), row 0, column 0: got " },
        { leaves_the_last_column, "row 0, column 4: got " },
        { writes_to_its_input, "wrote to input 0, which it only reads" },
        { differs_by_split, "when its rows are split" },
        { differs_by_batch, "when the tokens come in two chunks" },
        { differs_by_chunk, "when its sequence is alone" },
        { not_in_place, "when it takes its input's place" },
        { huge_ones_overflow, "input \"huge\"" },
#ifndef CHECK_ASAN
        { writes_past_its_output, "wrote outside the output" },
#endif
    };
    for (size_t i = 0; i < sizeof defects / sizeof defects[0]; i++) {
        char text[512];
        cr_assert_gt(failures_of(&template, defects[i].run, text), 0, "defect %zu", i);
        cr_assert(strstr(text, defects[i].says), "defect %zu: %s", i, text);
    }
}

Test(check_engine, finds_a_wrong_cost_and_a_missing_error)
{
    char text[512];
    struct ash_op op = template;
    op.cost = cost_of_one_byte_less;
    cr_assert_gt(failures_of(&op, correct, text), 0);
    cr_assert(strstr(text, "cost says 139 bytes read, its inputs have 140"), "%s", text);
    static const struct ash_case lenient[] = { { "rank 1", { { 5 } } }, { 0 } };
    FILE *report = fmemopen(text, sizeof text, "w");
    cr_assert_eq(ash_check_op(&template, lenient, report), 1);
    fclose(report);
    cr_assert(strstr(text, "infer says \"shape mismatch\""), "%s", text);
}

#if defined(__x86_64__)
/* On every machine, whatever it can run. */
Test(check_engine, finds_a_family_of_kernels_that_does_not_take_a_case)
{
    const uint64_t all = ASH_CPU_AVX512 | ASH_CPU_AMX_BF16;
    const struct {
        uint64_t kernel_needs;
        struct ash_case row;
        const char *says; /* NULL = nothing */
    } families[] = {
        { ASH_CPU_AVX2, { "both", { { 7, 5 } } }, NULL },
        { ASH_CPU_AVX512, { "one", { { 7, 5 } } }, "no kernel takes it with avx2 alone" },
        { all, { "neither", { { 7, 5 } } }, "no kernel takes it with avx2 avx512 alone" },
        { all, { "said", { { 7, 5 } }, .needs = ASH_CPU_AMX_BF16 }, NULL },
        { ASH_CPU_AVX512, { "not so", { { 7, 5 } }, .needs = ASH_CPU_AMX_BF16 }, "needs less" },
        { all, { "taken", { { 7, 5 } }, .reference_only = true }, "the case says none" },
    };
    for (size_t i = 0; i < sizeof families / sizeof families[0]; i++) {
        char text[512];
        struct ash_kernel kernel = {
            .name = "k", .needs = families[i].kernel_needs, .grain = 1, .run = correct
        };
        struct ash_case table[] = { families[i].row, { 0 } };
        int failures = failures_with(&template, kernel, table, text);
        cr_assert_eq(failures > 0, families[i].says != NULL, "family %zu: %s", i, text);
        cr_assert(!families[i].says || strstr(text, families[i].says), "family %zu: %s", i, text);
    }
}
#endif

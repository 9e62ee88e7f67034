/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/check_op.h"

#include "kernels/a8.h"
#include "kernels/ops.h"
#include "runtime/cpu.h"
#include "tests/support/check_internal.h"

#include <stdarg.h>
#include <string.h>

enum { FAILURES_SHOWN = 12, BENCH_CHECK_FLOPS = 100000000 };

/* What is being checked right now, and how often it failed. */
struct check {
    const struct ash_op *op;
    const struct ash_case *row;
    const struct ash_kernel *kernel;
    const struct kind *kind;
    struct expected (*expected)[ASH_TYPE_COUNT]; /* of each kind, with in[0] through this type */
    enum ash_type out_type;                      /* asked for: the inferred one, or A8, or BF16 */
    bool quantised;                              /* that in the place of an inferred F32 */
    FILE *report;
    int failures;
};

static void fail(struct check *check, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void fail(struct check *check, const char *format, ...)
{
    if (check->failures++ >= FAILURES_SHOWN)
        return;
    fprintf(check->report, "%s, case \"%s\"", check->op->name, check->row->name);
    if (check->kernel)
        fprintf(check->report, ", kernel %s", check->kernel->name);
    if (check->kind)
        fprintf(check->report, ", input \"%s\"", check->kind->name);
    if (check->quantised)
        fprintf(check->report, ", output in %s", ash_type_info(check->out_type)->name);
    fprintf(check->report, ": ");
    va_list list;
    va_start(list, format);
    vfprintf(check->report, format, list);
    va_end(list);
    fprintf(check->report, "\n");
}

/* A8 carries the sums of its blocks; values alone would not show a wrong one. */
static void check_sums(struct check *check, const struct ash_tensor *tensor)
{
    int64_t columns = ash_tensor_columns(tensor);
    for (int64_t r = 0; r < ash_tensor_rows(tensor); r++) {
        struct ash_a8_view row = ash_a8_view(tensor->data, columns, r);
        for (int64_t c = 0, sum = 0; c < columns; c++) {
            sum = row.q[c] + (c % ASH_A8_BLOCK ? sum : 0);
            if (c % ASH_A8_BLOCK == ASH_A8_BLOCK - 1 && row.sum[c / ASH_A8_BLOCK] != sum)
                fail(check, "row %lld, block %lld: the sum is wrong", (long long)r,
                    (long long)(c / ASH_A8_BLOCK));
        }
    }
}

static void compare_result(
    struct check *check, const struct call *call, int input, const struct expected *expected)
{
    struct ash_tensor result = call_result(call, check->op, input);
    if (result.rank == 0 || (check->kind->unknown && result.type != ASH_I32))
        return;
    if (result.type == ASH_A8)
        check_sums(check, &result);
    int64_t count = ash_tensor_elements(&result);
    float *got = calloc((size_t)count + 1, sizeof *got);
    call_values(check->row, &result, input, got);
    const float *want = expected->values[1 + input], *bound = expected->bound[1 + input];
    char text[96];
    for (int64_t i = 0; i < count; i++)
        if (!expected_near(got[i], want[i], bound[i])) {
            fail(check, "%s %s, row %lld, column %lld: got %.9g, expected %.9g within %.3g",
                input < 0 ? "output" : "updated input",
                ash_tensor_describe(&result, text, sizeof text),
                (long long)(i / ash_tensor_columns(&result)),
                (long long)(i % ash_tensor_columns(&result)), (double)got[i], (double)want[i],
                (double)bound[i]);
            break;
        }
    free(got);
}

static void check_untouched(struct check *check, const struct call *call)
{
    for (int i = 0; i < ASH_MAX_INPUTS; i++) {
        if (!call->in[i].block)
            continue;
        if (!guard_intact(&call->in[i]))
            fail(check, "wrote outside input %d", i);
        bool overwritten = call->args.out.data == call->in[i].data;
        if (!(check->op->updates >> i & 1) && !overwritten &&
            memcmp(call->in[i].data, call->pristine[i], call->in[i].bytes) != 0)
            fail(check, "wrote to input %d, which it only reads", i);
    }
    if (call->out.block && !guard_intact(&call->out))
        fail(check, "wrote outside the output");
    if (call->packed.block && !guard_intact(&call->packed))
        fail(check, "wrote outside the packed weight");
}

/* Whether all results of two calls on the same rows are the same, bit for bit. */
static void compare_bits(
    struct check *check, const struct call *call, const struct call *other, const char *what)
{
    for (int input = -1; input < ASH_MAX_INPUTS; input++) {
        struct ash_tensor a = call_result(call, check->op, input);
        struct ash_tensor b = call_result(other, check->op, input);
        if (a.rank > 0 && memcmp(a.data, b.data, ash_tensor_bytes(&a)) != 0)
            fail(check, "%s differs %s", input < 0 ? "the output" : "an updated input", what);
    }
    check_untouched(check, other);
}

static void check_again(struct check *check, const struct problem *problem, const struct call *call,
    enum split split, int flags, const char *what)
{
    struct call other;
    struct selection all = selection_all(problem);
    call_init(&other, problem, &all, check->kernel, check->out_type, flags, 0);
    call_run(&other, check->op, check->kernel, split, problem->kind->seed + 100);
    compare_bits(check, call, &other, what);
    call_finish(&other);
}

static void check_in_place(
    struct check *check, const struct problem *problem, const struct call *call)
{
    for (int i = 0; i < check->op->inputs; i++) {
        const struct ash_tensor *in = &call->args.in[i];
        if (!(check->op->in_place >> i & 1) || in->rank == 0 || in->type != call->args.out.type ||
            memcmp(in->dim, call->args.out.dim, sizeof in->dim) != 0)
            continue;
        struct call other;
        struct selection all = selection_all(problem);
        call_init(&other, problem, &all, check->kernel, check->out_type, CALL_IN_PLACE, i);
        call_run(&other, check->op, check->kernel, SPLIT_REVERSE, 7);
        compare_bits(check, call, &other, "when it takes its input's place");
        call_finish(&other);
    }
}

/* The rows of `part` against the rows of `whole` that they are. */
static void compare_rows(
    struct check *check, const struct call *whole, const struct call *part, const char *what)
{
    const struct ash_tensor *a = &whole->args.out, *b = &part->args.out;
    const int32_t *map = b->extent == ASH_EXTENT_TOKENS    ? part->token_row
                         : b->extent == ASH_EXTENT_OUTPUTS ? part->output_row
                                                           : NULL;
    if (b->rank == 0 || !map || b->dim[0] == 0)
        return;
    size_t bytes = ash_tensor_bytes(b) / (size_t)b->dim[0];
    for (int64_t r = 0; r < b->dim[0]; r++)
        if (memcmp((const char *)a->data + (size_t)map[r] * bytes,
                (const char *)b->data + (size_t)r * bytes, bytes) != 0) {
            fail(check, "row %d differs %s", (int)map[r], what);
            return;
        }
}

/* Runs the selections one after the other, as steps of one model would. */
static void check_steps(struct check *check, const struct problem *problem,
    const struct call *whole, const struct selection *steps, int count, const char *what)
{
    struct call previous = { 0 };
    for (int i = 0; i < count; i++) {
        struct call call;
        call_init(&call, problem, &steps[i], check->kernel, check->out_type, 0, 0);
        if (i > 0)
            call_continue(&call, &previous, check->op);
        call_run(&call, check->op, check->kernel, SPLIT_RANDOM, (uint64_t)i);
        compare_rows(check, whole, &call, what);
        check_untouched(check, &call);
        call_finish(&previous);
        previous = call;
    }
    for (int i = 0; i < check->op->inputs; i++)
        if ((check->op->updates & ~check->op->scratch) >> i & 1 && previous.in[i].block &&
            memcmp(previous.in[i].data, whole->in[i].data, whole->in[i].bytes) != 0)
            fail(check, "updated input %d differs %s", i, what);
    call_finish(&previous);
}

static void check_batch_invariance(
    struct check *check, const struct problem *problem, const struct call *whole)
{
    uint64_t random = problem->kind->seed + 50;
    struct selection alone[ASH_CASE_SPANS], reversed = { .count = problem->spans };
    struct selection early = { 0 }, late = { 0 };
    for (int s = 0; s < problem->spans; s++) {
        int32_t tokens = problem->span[s].tokens;
        int32_t cut = (int32_t)check_below(&random, tokens + 1);
        struct piece all = { s, 0, tokens };
        alone[s] = (struct selection){ .count = 1, .piece = { all } };
        reversed.piece[problem->spans - 1 - s] = all;
        if (cut > 0)
            early.piece[early.count++] = (struct piece){ s, 0, cut };
        if (cut < tokens)
            late.piece[late.count++] = (struct piece){ s, cut, tokens - cut };
    }
    /* Spans alone, one after the other; then backwards, where no cache would keep the state. */
    check_steps(check, problem, whole, &reversed, 1, "when the spans stand the other way round");
    bool updates = (check->op->updates & ~check->op->scratch) != 0;
    for (int s = 0; s < problem->spans && !updates && problem->spans > 1; s++)
        check_steps(check, problem, whole, &alone[s], 1, "when its sequence is alone");
    struct selection steps[2];
    int count = 0;
    if (early.count > 0)
        steps[count++] = early;
    if (late.count > 0)
        steps[count++] = late;
    check_steps(check, problem, whole, steps, count, "when the tokens come in two chunks");
}

/* The output in A8 or BF16 must be what making that of the output in F32 gives. */
static void check_quantised(
    struct check *check, const struct problem *problem, const struct call *call)
{
    struct selection all = selection_all(problem);
    struct call plain;
    call_init(&plain, problem, &all, check->kernel, ASH_F32, 0, 0);
    call_run(&plain, check->op, check->kernel, SPLIT_NONE, 0);
    const struct ash_tensor *out = &call->args.out;
    int64_t columns = ash_tensor_columns(out);
    size_t row_bytes = ash_tensor_row_bytes(out);
    void *want = malloc(row_bytes);
    for (int64_t r = 0; r < ash_tensor_rows(out); r++) {
        const float *row = (const float *)plain.args.out.data + r * columns;
        check_must(ash_from_float(out->type, row, columns, want) == ASH_OK);
        if (memcmp((const char *)out->data + (size_t)r * row_bytes, want, row_bytes) != 0) {
            fail(check, "row %lld is not its output in F32, rounded", (long long)r);
            break;
        }
    }
    free(want);
    call_finish(&plain);
}

static void check_kernel(struct check *check, const struct problem *problem)
{
    struct call call;
    struct selection all = selection_all(problem);
    call_init(&call, problem, &all, check->kernel, check->out_type, 0, 0);
    call_run(&call, check->op, check->kernel, SPLIT_NONE, 0);
    check_untouched(check, &call);
    if (check->quantised) {
        if (!check->kind->unknown)
            check_quantised(check, problem, &call);
    } else {
        struct expected *expected = &check->expected[check->kind - check_kinds][problem->rounded];
        double tolerance = check->kernel->tolerance;
        tolerance = tolerance > 0 ? tolerance : check->op->tolerance;
        if (!expected->known || expected->tolerance != tolerance) {
            expected_finish(expected);
            expected_init(expected, problem, tolerance);
        }
        for (int input = -1; input < ASH_MAX_INPUTS; input++)
            compare_result(check, &call, input, expected);
    }
    check_again(check, problem, &call, SPLIT_REVERSE, CALL_MISALIGNED,
        "when its rows come backwards from unaligned memory");
    if (check->kind->bits) {
        check_again(check, problem, &call, SPLIT_RANDOM, 0, "when its rows are split");
        check_in_place(check, problem, &call);
        check_batch_invariance(check, problem, &call);
    }
    call_finish(&call);
}

/* Sanitizers are after addresses and undefined arithmetic, not results, and all kinds of numbers take a
 * quarter of an hour. This engine's own operators, broken ones, get all. */
static bool is_left_out(const struct ash_op *op, const struct kind *kind)
{
#ifdef CHECK_SANITIZED
    return !kind->hazard && ash_op_find(op->name) == op;
#else
    (void)op;
    (void)kind;
    return false;
#endif
}

/* The inputs as the kernel gets them: F32 ones through A8 where it reads that. */
static void check_kinds_of_input(struct check *check)
{
    for (int k = 0; k < check_kind_count; k++) {
        if (check->row->bench && k > 0)
            break;
        if (is_left_out(check->op, &check_kinds[k]))
            continue;
        check->kind = &check_kinds[k];
        struct problem problem;
        const struct ash_kernel *kernel = check->kernel;
        problem_init(&problem, check->op, check->row, check->kind,
            kernel->activation != ASH_F32 ? kernel->activation : kernel->rounds_to);
        check_kernel(check, &problem);
        problem_finish(&problem);
    }
    check->kind = NULL;
}

/* Whether the kernel takes these shapes, with in[0] and out of the types asked for. */
static bool accepts(
    const struct ash_kernel *kernel, const struct ash_args *args, enum ash_type out_type)
{
    struct ash_op alone = { .kernels = (struct ash_kernel[]){ *kernel, { 0 } } };
    struct ash_args asked = *args;
    asked.out.type = out_type;
    bool blocks = ash_tensor_columns(&args->out) % ash_type_info(out_type)->block_elements == 0;
    if (out_type != args->out.type && (!kernel->accepts || !blocks))
        return false;
    return ash_op_choose(&alone, &asked, ash_cpu_features()) != NULL;
}

/*
 * Which families of kernels take a case does not hang on the machine that asks: on one with AVX-512, too,
 * AVX2's have to take all that they should. What they do with it, machines that have them check.
 */
static void check_families(struct check *check, const struct ash_args *args)
{
#if defined(__x86_64__)
    static const uint64_t families[] = { ASH_CPU_AVX2, ASH_CPU_AVX2 | ASH_CPU_AVX512 };
    const struct ash_case *row = check->row;
    bool taken = ash_op_choose(check->op, args, UINT64_MAX);
    if (taken == row->reference_only)
        fail(check, "%s", taken ? "a kernel takes it; the case says none" : "no kernel takes it");
    if (row->needs && ash_op_choose(check->op, args, ~row->needs))
        fail(check, "a kernel takes it that needs less than the case says");
    for (size_t i = 0; taken && !row->needs && i < sizeof families / sizeof *families; i++) {
        char text[64];
        if (!ash_op_choose(check->op, args, families[i]))
            fail(check, "no kernel takes it with %s alone",
                ash_cpu_describe(families[i], text, sizeof text));
    }
#else
    (void)check;
    (void)args;
#endif
}

static void check_kernels(struct check *check, const struct ash_args *args)
{
    check_families(check, args);
    check->expected = calloc((size_t)check_kind_count, sizeof *check->expected);
    const enum ash_type out_types[] = { args->out.type, ASH_A8, ASH_BF16 };
    int types = args->out.type == ASH_F32 ? 3 : 1;
    for (const struct ash_kernel *kernel = check->op->kernels; kernel && kernel->run; kernel++)
        for (int i = 0; i < types; i++) {
            if (!accepts(kernel, args, out_types[i]))
                continue;
            check->kernel = kernel;
            check->out_type = out_types[i];
            check->quantised = i > 0;
            check_kinds_of_input(check);
        }
    check->kernel = NULL;
    check->quantised = false;
    for (int k = 0; k < check_kind_count; k++)
        for (int type = 0; type < ASH_TYPE_COUNT; type++)
            expected_finish(&check->expected[k][type]);
    free(check->expected);
}

/* Operators without a batch read each input once and write the output once. */
static void check_cost(struct check *check, const struct ash_args *args)
{
    struct ash_cost cost = { -1, -1, -1 };
    check->op->cost(args, &cost);
    if (!(cost.flops >= 0 && cost.bytes_read >= 0 && cost.bytes_written >= 0))
        fail(check, "its cost was not filled in");
    double bytes = 0;
    for (int i = 0; i < check->op->inputs; i++)
        bytes += args->in[i].rank > 0 ? (double)ash_tensor_bytes(&args->in[i]) : 0;
    if (!check->op->needs_batch && cost.bytes_read != bytes)
        fail(check, "cost says %.0f bytes read, its inputs have %.0f", cost.bytes_read, bytes);
    double out_bytes = args->out.rank > 0 ? (double)ash_tensor_bytes(&args->out) : 0;
    if (!(check->op->updates & ~check->op->scratch) && cost.bytes_written != out_bytes)
        fail(check, "cost says %.0f bytes written, its output has %.0f", cost.bytes_written,
            out_bytes);
}

static double flops_of(const struct ash_op *op, const struct ash_args *args)
{
    struct ash_cost cost;
    op->cost(args, &cost);
    return cost.flops;
}

static void check_case(struct check *check)
{
    struct problem problem;
    problem_shape(&problem, check->op, check->row);
    struct ash_args args = { .params = check->row->params };
    memcpy(args.in, problem.in, sizeof args.in);
    enum ash_status status = ash_op_infer(check->op, &args, &args.out);
    if (status != check->row->expect) {
        fail(check, "infer says \"%s\" (%s), not \"%s\"", ash_status_name(status),
            status == ASH_OK ? "" : ash_error(), ash_status_name(check->row->expect));
        return;
    }
    if (status != ASH_OK) {
        if (strncmp(ash_error(), check->op->name, strlen(check->op->name)) != 0)
            fail(check, "the message \"%s\" does not begin with its name", ash_error());
        return;
    }
    struct call call;
    struct selection all = selection_all(&problem);
    problem_init(&problem, check->op, check->row, &check_kinds[0], ASH_F32);
    call_init(&call, &problem, &all, NULL, ASH_F32, 0, 0);
    check_cost(check, &call.args);
    if (!check->row->bench || flops_of(check->op, &call.args) <= BENCH_CHECK_FLOPS)
        check_kernels(check, &call.args);
    call_finish(&call);
    problem_finish(&problem);
}

int ash_check_op(const struct ash_op *op, const struct ash_case *cases, FILE *report)
{
    struct check check = { .op = op, .report = report };
    for (const struct ash_kernel *kernel = op->kernels; kernel && kernel->run; kernel++)
        check_must(kernel->name && kernel->grain >= 1 && kernel->packed_input < op->inputs);
    for (check.row = cases; check.row->name; check.row++)
        check_case(&check);
    if (check.failures > FAILURES_SHOWN)
        fprintf(report, "%s: %d failures in all\n", op->name, check.failures);
    return check.failures;
}

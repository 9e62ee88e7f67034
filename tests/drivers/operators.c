/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every operator's table of cases (tests/kernels/<op>.c) on every usable device of this machine: the
 * result is the reference's within the operator's tolerance, a sequence alone has the same bits as
 * among others, and an output that takes an input's place the same as one that does not. Where a device
 * cannot run a case, load() says so and it is left out.
 *
 * All kinds of numbers, and all that must not change a bit, on the first device of a driver with kernels of
 * its own: the others run the same ones, the processor's kernels have a test of their own (tests/kernels),
 * and null runs references. Those get every case once.
 *
 * ASHLAR_TEST_DRIVER names one driver; ASHLAR_TEST_QUICK likewise, and asks for small cases with plain numbers
 * alone: a device that is interpreted (oclgrind) takes minutes for what others do in a millisecond.
 */
#include "drivers/cpu/cpu.h"
#include "drivers/drivers.h"
#include "drivers/null/null.h"
#include "kernels/attention/attention.h"
#include "kernels/matmul/matmul.h"
#include "kernels/topk/topk.h"
#include "tests/support/check_internal.h"

#include <criterion/criterion.h>
#include <string.h>

/* Of a case that an interpreter is given; attention's are cheaper than a product's. A device gets the whole
 * page table: with positions near 2^31 that is more memory than oclgrind can watch. */
enum {
    MOST_QUICK_FLOPS = 70000,
    MOST_QUICK_ATTENTION_FLOPS = 600000,
    MOST_QUICK_POSITIONS = 5000,
};
/* Of K products in one chain of F32. */
#define LONG_SUM 1e-4

enum { MAX_DEVICES = 16, OFFSET = 64 }; /* no buffer's contents begin where the buffer does */

/* A call of the check engine on a device. */
struct device_call {
    struct ash_device *device;
    struct ash_step step;
    struct ash_buffer *in[ASH_MAX_INPUTS], *out;
};

static struct ash_place allocate(
    struct ash_device *device, size_t size_bytes, struct ash_buffer **buffer, void **data)
{
    cr_assert_eq(device->driver->alloc(device, size_bytes + OFFSET, ASH_MEMORY_STATE, buffer),
        ASH_OK, "%s", ash_error());
    *data = (*buffer)->host ? (char *)(*buffer)->host + OFFSET : NULL;
    return (struct ash_place){ *buffer, OFFSET };
}

static void copy_now(
    struct ash_device *device, struct ash_place to, struct ash_place from, size_t size_bytes)
{
    struct ash_event done;
    cr_assert_eq(device->driver->copy(device, to, from, size_bytes, NULL, 0, &done), ASH_OK);
    cr_assert_eq(device->driver->wait(device, done), ASH_OK, "%s", ash_error());
}

static void place_input(struct device_call *on, const struct call *call, int i)
{
    struct ash_tensor *tensor = &on->step.args.in[i], host = call->args.in[i];
    const struct ash_loaded *loaded = on->step.loaded;
    size_t bytes = ash_tensor_bytes(tensor);
    bool packed = i > 0 && loaded->packed_input == i;
    on->step.in[i] =
        allocate(on->device, packed ? loaded->packed_bytes : bytes, &on->in[i], &tensor->data);
    if (host.rank == 4) { /* a cache is written as it lies */
        struct ash_buffer memory = { .size_bytes = bytes, .host = host.data };
        copy_now(on->device, on->step.in[i], (struct ash_place){ &memory, 0 }, bytes);
        return;
    }
    cr_assert_eq(on->device->driver->upload(on->device, loaded, i, &host, on->step.in[i]), ASH_OK,
        "%s", ash_error());
}

static void device_call_finish(struct device_call *on)
{
    const struct ash_driver *driver = on->device->driver;
    for (int i = 0; i < ASH_MAX_INPUTS; i++)
        driver->free(on->in[i]);
    driver->free(on->out);
    driver->unload(on->device, on->step.loaded);
}

/* A kernel may be coarser than its operator: one of the processor says so in the operator's table, one for
 * matrix cores where it names the layout of its weights. */
static double tolerance_of(
    const struct ash_op *op, const struct ash_loaded *loaded, const struct ash_args *args)
{
    if (loaded->layout && loaded->layout->tolerance > 0) /* with BF16 only sums are rounded */
        return args->in[1].type == ASH_BF16 ? LONG_SUM : loaded->layout->tolerance;
    for (const struct ash_kernel *kernel = op->kernels; kernel && kernel->run; kernel++)
        if (strcmp(kernel->name, loaded->kernel) == 0 && kernel->tolerance > 0)
            return kernel->tolerance;
    return op->tolerance;
}

/* Runs `call` on the device and writes the results back into its memory; `place` >= 0: the output in
 * the memory of that input. Gives the kernel's tolerance; -1 where the device cannot. */
static double run_on(
    struct ash_device *device, const struct problem *problem, struct call *call, int place)
{
    const struct ash_driver *driver = device->driver;
    struct device_call on = { .device = device };
    struct ash_tensor *out = &on.step.args.out;
    call->args.prompts =
        problem->rounded != ASH_F32; /* as their kernels would: nothing is left to round */
    on.step =
        (struct ash_step){ .name = problem->row->name, .op = problem->op, .args = call->args };
    enum ash_status status = driver->load(device, problem->op, &call->args, &on.step.loaded);
    cr_assert(status == ASH_OK || status == ASH_ERR_UNSUPPORTED, "%s", ash_error());
    if (status != ASH_OK)
        return -1;
    if (on.step.loaded->activation != call->args.in[0].type) {
        driver->unload(device, on.step.loaded); /* conversions are the planner's */
        return -1;
    }
    for (int i = 0; i < ASH_MAX_INPUTS; i++)
        if (call->args.in[i].rank > 0)
            place_input(&on, call, i);
    if (place >= 0) {
        on.step.out = on.step.in[place];
        out->data = on.step.args.in[place].data;
    } else if (out->rank > 0) {
        on.step.out = allocate(device, ash_tensor_bytes(out), &on.out, &out->data);
    }
    struct ash_event done;
    cr_assert_eq(
        driver->launch(device, &on.step, &call->batch, NULL, 0, &done), ASH_OK, "%s", ash_error());
    cr_assert_eq(driver->wait(device, done), ASH_OK, "%s", ash_error());
    for (int input = -1; input < ASH_MAX_INPUTS; input++) {
        struct ash_tensor result = call_result(call, problem->op, input);
        struct ash_buffer memory = { .size_bytes = ash_tensor_bytes(&result), .host = result.data };
        if (result.rank > 0)
            copy_now(device, (struct ash_place){ &memory, 0 },
                input < 0 ? on.step.out : on.step.in[input], memory.size_bytes);
    }
    double tolerance = tolerance_of(problem->op, on.step.loaded, &call->args);
    device_call_finish(&on);
    return tolerance;
}

static void compare(const struct ash_device *device, const struct problem *problem,
    const struct call *call, const struct expected *expected)
{
    for (int input = -1; input < ASH_MAX_INPUTS; input++) {
        struct ash_tensor result = call_result(call, problem->op, input);
        if (result.rank == 0 || (problem->kind->unknown && result.type != ASH_I32))
            continue;
        int64_t count = ash_tensor_elements(&result);
        float *got = calloc((size_t)count + 1, sizeof *got);
        call_values(problem->row, &result, input, got);
        for (int64_t i = 0; i < count; i++) {
            float want = expected->values[1 + input][i], bound = expected->bound[1 + input][i];
            cr_assert(expected_near(got[i], want, bound),
                "%s:%d, %s, case \"%s\", input \"%s\": element %lld is %.9g, not %.9g",
                device->driver->name, device->info.index, problem->op->name, problem->row->name,
                problem->kind->name, (long long)i, (double)got[i], (double)want);
        }
        free(got);
    }
}

/* A sequence or a part of it alone, against its rows of the whole. */
static void check_alone(struct ash_device *device, const struct problem *problem,
    const struct call *whole, struct piece piece)
{
    struct selection one = { .count = 1, .piece = { piece } };
    struct call call;
    call_init(&call, problem, &one, NULL, ASH_F32, 0, 0);
    cr_assert(run_on(device, problem, &call, -1) >= 0);
    const struct ash_tensor *out = &call.args.out;
    bool tokens = out->extent == ASH_EXTENT_TOKENS, outputs = out->extent == ASH_EXTENT_OUTPUTS;
    size_t bytes = tokens || outputs ? ash_tensor_bytes(out) / (size_t)out->dim[0] : 0;
    for (int64_t r = 0; bytes && r < out->dim[0]; r++) {
        int64_t row = tokens ? call.token_row[r] : call.output_row[r];
        cr_assert_arr_eq((char *)out->data + (size_t)r * bytes,
            (char *)whole->args.out.data + (size_t)row * bytes, bytes,
            "%s:%d, %s, case \"%s\": %d tokens of sequence %d alone have other bits",
            device->driver->name, device->info.index, problem->op->name, problem->row->name,
            piece.tokens, piece.span);
    }
    call_finish(&call);
}

/* Each sequence alone; without any, the first and last row and all but one, which devices may run by
 * other kernels than many. */
static void check_invariance(
    struct ash_device *device, const struct problem *problem, const struct call *whole)
{
    int32_t tokens = problem->tokens;
    for (int span = 0; problem->spans > 1 && span < problem->spans; span++)
        check_alone(device, problem, whole, (struct piece){ span, 0, problem->span[span].tokens });
    if (problem->spans > 1 || problem->op->needs_batch || tokens < 2)
        return;
    check_alone(device, problem, whole, (struct piece){ 0, 0, 1 });
    check_alone(device, problem, whole, (struct piece){ 0, tokens - 1, 1 });
    check_alone(device, problem, whole, (struct piece){ 0, 0, tokens - 1 });
}

static void check_in_place(
    struct ash_device *device, const struct problem *problem, const struct call *whole)
{
    struct selection all = selection_all(problem);
    for (int i = 0; i < problem->op->inputs; i++) {
        const struct ash_tensor *in = &whole->args.in[i], *out = &whole->args.out;
        if (!(problem->op->in_place >> i & 1) || in->rank != out->rank || in->type != out->type ||
            memcmp(in->dim, out->dim, sizeof in->dim) != 0)
            continue;
        struct call call;
        call_init(&call, problem, &all, NULL, ASH_F32, 0, 0);
        cr_assert(run_on(device, problem, &call, i) >= 0);
        cr_assert_arr_eq(call.args.out.data, out->data, ash_tensor_bytes(out),
            "%s:%d, %s, case \"%s\": in the place of input %d it has other bits",
            device->driver->name, device->info.index, problem->op->name, problem->row->name, i);
        call_finish(&call);
    }
}

/* `rounded`: to what in[0] is, and prompts' kernels are asked for; F32 = answers'. Returns whether the device
 * ran the case. */
static bool check_kind(struct ash_device *device, const struct ash_op *op,
    const struct ash_case *row, const struct kind *kind, enum ash_type rounded)
{
    struct problem problem;
    struct call call;
    problem_init(&problem, op, row, kind, rounded);
    struct selection all = selection_all(&problem);
    call_init(&call, &problem, &all, NULL, ASH_F32, 0, 0);
    double tolerance = run_on(device, &problem, &call, -1);
    if (tolerance >= 0) {
        /* Coarser ones of the processor: tests/kernels. */
        if (tolerance <= op->tolerance || rounded != ASH_F32) {
            struct expected expected;
            expected_init(&expected, &problem, tolerance);
            compare(device, &problem, &call, &expected);
            expected_finish(&expected);
        }
        if (kind->bits) {
            check_invariance(device, &problem, &call);
            check_in_place(device, &problem, &call);
        }
    }
    call_finish(&call);
    problem_finish(&problem);
    return tolerance >= 0;
}

static bool is_quick(const struct ash_op *op, const struct ash_case *row)
{
    struct problem problem;
    struct call call;
    struct ash_cost cost;
    problem_shape(&problem, op, row);
    for (int32_t i = 0; i < problem.spans; i++)
        if (problem.span[i].cached > MOST_QUICK_POSITIONS)
            return false;
    problem_init(&problem, op, row, &check_kinds[0], ASH_F32);
    struct selection all = selection_all(&problem);
    call_init(&call, &problem, &all, NULL, ASH_F32, 0, 0);
    op->cost(&call.args, &cost);
    call_finish(&call);
    problem_finish(&problem);
    if (op == &ash_op_attention)
        return cost.flops <= MOST_QUICK_ATTENTION_FLOPS;
    double passes = op == &ash_op_topk ? (double)call.args.out.dim[1] : 1;
    return passes * cost.flops <= MOST_QUICK_FLOPS && cost.bytes_read <= MOST_QUICK_FLOPS;
}

/* ---- Matrix cores ---- */

/* Tiles of 128 by 128, some of them cut off, so many that a device takes them. */
static const struct ash_case wide_cases[] = {
    { "wide tiles", { { 260, 96 }, { 4100, 96 } }, { ASH_F32, ASH_BF16 } },
    { "wide tiles of Q4_1", { { 260, 64 }, { 4100, 64 }, { T, 4100 } }, { ASH_F32, ASH_Q4_1 } },
    { 0 },
};

/* What the kernel for prompts rounds in[0] to; F32 where they have none of their own. */
static enum ash_type prompts_round_to(
    struct ash_device *device, const struct ash_op *op, const struct ash_case *row)
{
    struct problem problem;
    struct call call;
    struct ash_loaded *loaded;
    enum ash_type type = ASH_F32;
    problem_init(&problem, op, row, &check_kinds[0], ASH_F32);
    struct selection all = selection_all(&problem);
    call_init(&call, &problem, &all, NULL, ASH_F32, 0, 0);
    call.args.prompts = true;
    if (device->driver->load(device, op, &call.args, &loaded) == ASH_OK) {
        type = loaded->layout ? loaded->layout->rounds_to : ASH_F32;
        device->driver->unload(device, loaded);
    }
    call_finish(&call);
    problem_finish(&problem);
    return type;
}

static void check_prompts(struct ash_device *device, const struct ash_op *op,
    const struct ash_case *cases, const struct kind *kinds, int count)
{
    int ran = 0;
    for (const struct ash_case *row = cases; row->name; row++) {
        if (row->expect != ASH_OK || row->bench ||
            (getenv("ASHLAR_TEST_QUICK") && !is_quick(op, row)))
            continue;
        enum ash_type rounded = prompts_round_to(device, op, row);
        for (int k = 0; rounded != ASH_F32 && k < count; k++)
            check_kind(device, op, row, &kinds[k], rounded);
        ran += rounded != ASH_F32;
    }
    if (ran > 0)
        fprintf(stderr, "%s on %s:%d: %d cases on matrix cores\n", op->name, device->driver->name,
            device->info.index, ran);
}

/* ---- Every operator on every device ---- */

static bool has_all_kinds(const struct ash_device_info *info)
{
#ifdef CHECK_SANITIZED /* it does not look at numbers, nor into a device */
    (void)info;
    return false;
#else
    return info->index == 0 && info->driver != &ash_driver_cpu && info->driver != &ash_driver_null;
#endif
}

static void check_operator(
    struct ash_device *device, const struct ash_op *op, const struct ash_case *cases)
{
    int ran = 0, left_out = 0;
    const bool quick = getenv("ASHLAR_TEST_QUICK"), all = !quick && has_all_kinds(&device->info);
    struct kind plain = check_kinds[0];
    plain.bits = false;
    for (const struct ash_case *row = cases; row->name; row++) {
        if (row->expect != ASH_OK || row->bench || (quick && !is_quick(op, row)))
            continue;
        bool runs = check_kind(device, op, row, all ? &check_kinds[0] : &plain, ASH_F32);
        for (int k = 1; runs && all && k < check_kind_count; k++)
            check_kind(device, op, row, &check_kinds[k], ASH_F32);
        ran += runs;
        left_out += !runs;
    }
    fprintf(stderr, "%s on %s:%d: %d cases, %d that it cannot run\n", op->name,
        device->driver->name, device->info.index, ran, left_out);
    if (op != &ash_op_matmul || device->driver == &ash_driver_cpu)
        return;
    check_prompts(device, op, cases, all ? check_kinds : &plain, all ? check_kind_count : 1);
    check_prompts(device, op, wide_cases, &plain, 1);
}

static void check_everywhere(const struct ash_op *op, const struct ash_case *cases)
{
    struct ash_device_info info[MAX_DEVICES];
    int count;
    const char *quick = getenv("ASHLAR_TEST_QUICK"),
               *only = quick ? quick : getenv("ASHLAR_TEST_DRIVER");
    cr_assert_eq(ash_devices_probe(NULL, info, MAX_DEVICES, &count), ASH_OK, "%s", ash_error());
    for (int i = 0; i < count; i++) {
        struct ash_device *device;
        if (!info[i].usable || (only && strcmp(only, info[i].driver->name) != 0))
            continue;
        cr_assert_eq(info[i].driver->open(&info[i], NULL, &device), ASH_OK, "%s", ash_error());
        check_operator(device, op, cases);
        device->driver->close(device);
    }
}

#define ASH_OP(name)                                                                               \
    extern const struct ash_op ash_op_##name;                                                      \
    extern const struct ash_case ash_cases_##name[];                                               \
    Test(operators, name)                                                                          \
    {                                                                                              \
        check_everywhere(&ash_op_##name, ash_cases_##name);                                        \
    }
#include "kernels/ops.inc"
#undef ASH_OP

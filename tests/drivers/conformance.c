/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every driver must do, run unchanged on every usable device of this machine. A new driver adds
 * nothing here; where it cannot run an operator, load() says so and the case is left out.
 */
#include "drivers/drivers.h"
#include "kernels/add/add.h"
#include "kernels/matmul/matmul.h"
#include "kernels/rmsnorm/rmsnorm.h"
#include "runtime/memory.h"
#include "tests/support/tiny_ops.h"

#include <assert.h>
#include <criterion/criterion.h>
#include <string.h>

enum { MAX_DEVICES = 16, TOKENS = 64, OUTPUTS = 3, COLUMNS = 64, ROWS = 40 };

static void for_each_device(void (*check)(struct ash_device *device))
{
    struct ash_device_info info[MAX_DEVICES];
    int count, usable = 0;
    cr_assert_eq(ash_devices_probe(NULL, info, MAX_DEVICES, &count), ASH_OK, "%s", ash_error());
    for (int i = 0; i < count; i++) {
        struct ash_device *device;
        if (!info[i].usable)
            continue;
        cr_assert_eq(info[i].driver->open(&info[i], NULL, &device), ASH_OK, "%s", ash_error());
        cr_assert_eq(device->driver, info[i].driver);
        check(device);
        device->driver->close(device);
        usable++;
    }
    cr_assert_geq(usable, 1);
}

/* Host memory as a copy's other end. */
static struct ash_place host_place(void *memory, size_t size_bytes, struct ash_buffer *buffer)
{
    *buffer = (struct ash_buffer){ .size_bytes = size_bytes, .host = memory };
    return (struct ash_place){ buffer, 0 };
}

static struct ash_buffer *allocate(
    struct ash_device *device, size_t size_bytes, enum ash_memory_use use)
{
    struct ash_buffer *buffer;
    cr_assert_eq(device->driver->alloc(device, size_bytes, use, &buffer), ASH_OK, "%s: %s",
        device->driver->name, ash_error());
    cr_assert_eq(buffer->device, device);
    cr_assert_geq(buffer->size_bytes, size_bytes);
    cr_assert_eq((uintptr_t)buffer->host % 64, 0u);
    return buffer;
}

static void wait_for(struct ash_event event)
{
    cr_assert_eq(event.device->driver->wait(event.device, event), ASH_OK, "%s", ash_error());
}

/* Copies between device and host, and waits. */
static void copy_now(
    struct ash_device *device, struct ash_place to, struct ash_place from, size_t size_bytes)
{
    struct ash_event done;
    cr_assert_eq(device->driver->copy(device, to, from, size_bytes, NULL, 0, &done), ASH_OK);
    cr_assert_eq(done.device, device);
    wait_for(done);
}

static void read_back(struct ash_place from, size_t size_bytes, void *out)
{
    struct ash_buffer host;
    copy_now(from.buffer->device, host_place(out, size_bytes, &host), from, size_bytes);
}

/* ---- Probe ---- */

Test(conformance, probe_describes_every_device_and_needs_no_room)
{
    for (const struct ash_driver *const *driver = ash_drivers; *driver; driver++) {
        struct ash_device_info info[MAX_DEVICES];
        int counted, count;
        cr_assert_eq((*driver)->probe(NULL, NULL, 0, &counted), ASH_OK);
        cr_assert_eq((*driver)->probe(NULL, info, MAX_DEVICES, &count), ASH_OK);
        cr_assert_eq(count, counted);
        for (int i = 0; i < count; i++) {
            cr_assert_eq(info[i].driver, *driver);
            cr_assert(info[i].usable ? info[i].name[0] : info[i].reason[0]);
            cr_assert(!info[i].usable || info[i].memory_bytes > 0);
        }
        /* All three or none. */
        cr_assert_eq(!(*driver)->compile, !(*driver)->run);
        cr_assert_eq(!(*driver)->compile, !(*driver)->discard);
    }
}

Test(conformance, opening_survives_every_failed_allocation)
{
    struct ash_device_info info[MAX_DEVICES];
    int count;
    cr_assert_eq(ash_devices_probe(NULL, info, MAX_DEVICES, &count), ASH_OK);
    for (int i = 0; i < count; i++) {
        enum ash_status status = info[i].usable ? ASH_ERR_NO_MEMORY : ASH_OK;
        for (int64_t nth = 0; status != ASH_OK; nth++) {
            struct ash_device *device = NULL;
            ash_memory_fail_from(nth);
            status = info[i].driver->open(&info[i], NULL, &device);
            ash_memory_fail_from(-1);
            cr_assert(status == ASH_OK || (status == ASH_ERR_NO_MEMORY && !device));
            info[i].driver->close(device); /* takes NULL */
        }
    }
}

/* ---- Memory ---- */

static void check_memory(struct ash_device *device)
{
    static const enum ash_memory_use uses[] = { ASH_MEMORY_WEIGHTS, ASH_MEMORY_ARENA,
        ASH_MEMORY_STATE };
    for (size_t i = 0; i < 3; i++) {
        char out[1000], in[1000];
        struct ash_buffer host, *buffer = allocate(device, 100000, uses[i]);
        if (uses[i] == ASH_MEMORY_STATE) {
            read_back((struct ash_place){ buffer, 99000 }, sizeof in, in);
            for (size_t k = 0; k < sizeof in; k++)
                cr_assert_eq(in[k], 0, "%s: a state begins with zeros", device->driver->name);
        }
        memset(out, 7 + (int)i, sizeof out);
        copy_now(device, (struct ash_place){ buffer, 40 }, host_place(out, sizeof out, &host),
            sizeof out);
        copy_now(device, (struct ash_place){ buffer, 50000 }, (struct ash_place){ buffer, 40 },
            sizeof out);
        read_back((struct ash_place){ buffer, 50000 }, sizeof in, in);
        cr_assert_arr_eq(in, out, sizeof out);
        device->driver->free(buffer);
    }
    device->driver->free(NULL);
}

Test(conformance, memory_is_written_copied_and_read_back)
{
    for_each_device(check_memory);
}

static void check_exhaustion(struct ash_device *device)
{
    struct ash_buffer *buffer = NULL;
    static const size_t sizes[] = { (size_t)1 << 50, SIZE_MAX / 2, SIZE_MAX - 8, SIZE_MAX };
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        for (int use = 0; use < 3; use++) {
            cr_assert_eq(device->driver->alloc(device, sizes[i], (enum ash_memory_use)use, &buffer),
                ASH_ERR_NO_MEMORY);
            cr_assert_null(buffer);
        }
    enum ash_status status = ASH_ERR_NO_MEMORY;
    for (int64_t nth = 0; status != ASH_OK; nth++) {
        ash_memory_fail_from(nth);
        status = device->driver->alloc(device, 4096, ASH_MEMORY_ARENA, &buffer);
        ash_memory_fail_from(-1);
        cr_assert(status == ASH_OK || (status == ASH_ERR_NO_MEMORY && !buffer));
    }
    device->driver->free(buffer);
}

Test(conformance, exhausted_memory_changes_nothing)
{
    for_each_device(check_exhaustion);
}

/* ---- One operator ---- */

/* A step on memory of its own, and the same arguments in host memory for the reference. */
struct rig {
    struct ash_device *device;
    struct ash_step step;
    struct ash_buffer *in[ASH_MAX_INPUTS], *out;
    void *host[ASH_MAX_INPUTS]; /* the inputs as the reference sees them */
};

static struct ash_tensor shape(enum ash_extent extent, int64_t rows, int64_t columns)
{
    struct ash_tensor tensor;
    int64_t dim[2] = { rows, columns };
    cr_assert_eq(ash_tensor_init(ASH_F32, rows ? 2 : 1, rows ? dim : dim + 1, &tensor), ASH_OK);
    tensor.extent = extent;
    return tensor;
}

static struct ash_place give_memory(struct ash_device *device, struct ash_tensor *tensor,
    size_t size_bytes, enum ash_memory_use use, struct ash_buffer **buffer)
{
    *buffer = allocate(device, size_bytes, use);
    tensor->data = (*buffer)->host;
    return (struct ash_place){ *buffer, 0 };
}

static void fill_input(struct rig *rig, int i)
{
    struct ash_tensor *tensor = &rig->step.args.in[i], weight = *tensor;
    const struct ash_loaded *loaded = rig->step.loaded;
    size_t bytes = ash_tensor_bytes(tensor);
    rig->host[i] = ash_alloc(bytes);
    tiny_fill(rig->host[i], ash_tensor_elements(tensor), (uint32_t)i + 1);
    if (loaded->packed_input == i && i > 0)
        bytes = loaded->packed_bytes;
    rig->step.in[i] = give_memory(rig->device, tensor, bytes, ASH_MEMORY_WEIGHTS, &rig->in[i]);
    weight.data = rig->host[i];
    cr_assert_eq(rig->device->driver->upload(rig->device, loaded, i, &weight, rig->step.in[i]),
        ASH_OK, "%s", ash_error());
}

/* False where the device cannot run the operator. */
static bool rig_init(struct ash_device *device, const struct ash_op *op,
    const struct ash_tensor *inputs, const void *params, struct rig *rig)
{
    *rig = (struct rig){ .device = device, .step = { .name = op->name, .op = op } };
    struct ash_args *args = &rig->step.args;
    args->params = params;
    memcpy(args->in, inputs, sizeof args->in);
    cr_assert_eq(ash_op_infer(op, args, &args->out), ASH_OK, "%s", ash_error());
    if (args->out.extent != ASH_EXTENT_FIXED)
        args->out.dim[0] = args->out.extent == ASH_EXTENT_TOKENS ? TOKENS : OUTPUTS;
    enum ash_status status = device->driver->load(device, op, args, &rig->step.loaded);
    if (status == ASH_ERR_UNSUPPORTED)
        return false;
    cr_assert_eq(status, ASH_OK, "%s", ash_error());
    cr_assert(rig->step.loaded->kernel && rig->step.loaded->kernel[0]);
    if (rig->step.loaded->activation != args->in[0].type) {
        device->driver->unload(device, rig->step.loaded);
        return false; /* conversions are the planner's; the kernel's own test feeds it */
    }
    for (int i = 0; i < ASH_MAX_INPUTS; i++)
        if (args->in[i].rank)
            fill_input(rig, i);
    if (args->out.rank)
        rig->step.out = give_memory(
            device, &args->out, ash_tensor_bytes(&args->out), ASH_MEMORY_ARENA, &rig->out);
    return true;
}

static void rig_finish(struct rig *rig)
{
    for (int i = 0; i < ASH_MAX_INPUTS; i++) {
        rig->device->driver->free(rig->in[i]);
        ash_free(rig->host[i]);
    }
    rig->device->driver->free(rig->out);
    rig->device->driver->unload(rig->device, rig->step.loaded);
}

/* Compares one tensor on the device with the reference's. */
static void compare(const struct rig *rig, struct ash_place place, const struct ash_tensor *expect)
{
    int64_t count = ash_tensor_elements(expect);
    float *found = ash_alloc((size_t)count * sizeof *found);
    const float *wanted = expect->data;
    read_back(place, (size_t)count * sizeof *found, found);
    for (int64_t i = 0; i < count; i++)
        cr_assert_float_eq((double)found[i], (double)wanted[i],
            rig->step.op->tolerance * (1 + __builtin_fabs((double)wanted[i])) + 1e-6,
            "%s on %s, element %lld: %g, not %g", rig->step.op->name, rig->device->driver->name,
            (long long)i, (double)found[i], (double)wanted[i]);
    ash_free(found);
}

static void launch_and_compare(struct rig *rig, int32_t tokens, int32_t outputs)
{
    struct tiny_batch batch;
    tiny_batch_init(&batch, tokens, outputs);
    struct ash_event done;
    cr_assert_eq(rig->device->driver->launch(rig->device, &rig->step, &batch.batch, NULL, 0, &done),
        ASH_OK, "%s", ash_error());
    wait_for(done);

    struct ash_args args = rig->step.args;
    for (int i = 0; i < ASH_MAX_INPUTS; i++)
        args.in[i].data = rig->host[i];
    float *result = args.out.rank ? ash_alloc(ash_tensor_bytes(&args.out)) : NULL;
    args.out.data = result;
    ash_args_bind(&args, &batch.batch);
    rig->step.op->reference(&args);
    if (args.out.rank)
        compare(rig, rig->step.out, &args.out);
    for (int i = 0; i < ASH_MAX_INPUTS; i++)
        if (rig->step.op->updates >> i & 1)
            compare(rig, rig->step.in[i], &args.in[i]);
    ash_free(result);
}

/* The tiny operators, which devices that compile their kernels may lack, and some of the real ones. */
struct op_case {
    const struct ash_op *op;
    const void *params;
    struct ash_tensor in[ASH_MAX_INPUTS];
};

enum { MAX_CASES = 16 };

static int op_cases(struct op_case *out)
{
    static const struct tiny_source_params source = { COLUMNS };
    static const struct ash_rmsnorm_params norm = { .eps = 1e-5f };
    struct ash_tensor x = shape(ASH_EXTENT_TOKENS, TOKENS, COLUMNS);
    struct ash_tensor y = shape(ASH_EXTENT_TOKENS, TOKENS, ROWS);
    struct ash_tensor w = shape(ASH_EXTENT_FIXED, ROWS, COLUMNS);
    struct ash_tensor gain = shape(ASH_EXTENT_FIXED, 0, COLUMNS);
    struct ash_tensor state = shape(ASH_EXTENT_FIXED, 5, COLUMNS);
    const struct op_case cases[] = {
        { &tiny_source, &source, { { 0 } } },
        { &tiny_pick, NULL, { x } },
        { &tiny_scale, NULL, { x, gain } },
        { &tiny_add, NULL, { x, x } },
        { &tiny_reverse, NULL, { x } },
        { &tiny_mix, NULL, { x, w } },
        { &tiny_mix, NULL, { x, w, y } },
        { &tiny_write, NULL, { x, state } },
        { &tiny_sum, NULL, { state, x } },
        { &ash_op_add, NULL, { x, x } },
        { &ash_op_rmsnorm, &norm, { x, gain } },
        { &ash_op_matmul, NULL, { x, w } },
        { &ash_op_matmul, NULL, { x, w, y } },
    };
    enum { COUNT = sizeof cases / sizeof cases[0] };
    static_assert(sizeof cases <= MAX_CASES * sizeof *cases, "room for every case");
    memcpy(out, cases, sizeof cases);
    return COUNT;
}

static void check_launch(struct ash_device *device)
{
    struct op_case cases[MAX_CASES];
    int count = op_cases(cases);
    for (int i = 0; i < count; i++) {
        struct rig rig;
        if (!rig_init(device, cases[i].op, cases[i].in, cases[i].params, &rig))
            continue;
        /* Up and down again: nothing of a larger batch may linger. */
        static const int32_t tokens[] = { 1, TOKENS, 5, 1 };
        for (size_t k = 0; k < sizeof tokens / sizeof tokens[0]; k++)
            launch_and_compare(&rig, tokens[k], tokens[k] < OUTPUTS ? tokens[k] : OUTPUTS);
        rig_finish(&rig);
    }
}

Test(conformance, every_operator_gives_what_its_reference_gives)
{
    for_each_device(check_launch);
}

static void check_refusals(struct ash_device *device)
{
    struct ash_args args = { .in = { shape(ASH_EXTENT_TOKENS, TOKENS, COLUMNS),
                                 shape(ASH_EXTENT_TOKENS, TOKENS, COLUMNS) } };
    struct ash_loaded *loaded = NULL;
    args.out = args.in[0];
    args.out.type = ASH_A8; /* tiny_add has no kernel that writes it */
    cr_assert_eq(device->driver->load(device, &tiny_add, &args, &loaded), ASH_ERR_UNSUPPORTED);
    args.out.type = ASH_F32;
    args.in[1].dim[0]--;
    cr_assert_eq(device->driver->load(device, &tiny_add, &args, &loaded), ASH_ERR_SHAPE);
    cr_assert_null(loaded);
    device->driver->unload(device, NULL);

    args.in[1] = args.in[0];
    enum ash_status status = ASH_ERR_NO_MEMORY;
    for (int64_t nth = 0; status == ASH_ERR_NO_MEMORY; nth++) {
        ash_memory_fail_from(nth);
        status = device->driver->load(device, &tiny_add, &args, &loaded);
        ash_memory_fail_from(-1);
        cr_assert(status == ASH_OK || !loaded);
    }
    cr_assert(status == ASH_OK || status == ASH_ERR_UNSUPPORTED);
    device->driver->unload(device, loaded);
}

Test(conformance, load_refuses_what_it_cannot_do)
{
    for_each_device(check_refusals);
}

/* ---- Order ---- */

/* x -> scale -> reverse -> scale, each on the last one's output: order decides the result. */
enum { CHAIN = 3 };

struct chain {
    struct rig rig[CHAIN];
    int count; /* of rigs; 0 where the device cannot run them */
};

static bool chain_init(struct ash_device *device, struct chain *chain)
{
    static const struct ash_op *const ops[CHAIN] = { &tiny_scale, &tiny_reverse, &tiny_scale };
    struct ash_tensor inputs[ASH_MAX_INPUTS] = { shape(ASH_EXTENT_TOKENS, TOKENS, COLUMNS),
        shape(ASH_EXTENT_FIXED, 0, COLUMNS) };
    struct ash_tensor none = { 0 }, gain = inputs[1];
    for (chain->count = 0; chain->count < CHAIN; chain->count++) {
        int i = chain->count;
        struct rig *rig = &chain->rig[i];
        inputs[1] = ops[i] == &tiny_scale ? gain : none;
        if (!rig_init(device, ops[i], inputs, NULL, rig))
            break;
        rig->step.phase = i;
        if (i > 0) {
            rig->step.in[0] = chain->rig[i - 1].step.out;
            rig->step.args.in[0].data = chain->rig[i - 1].step.args.out.data;
        }
    }
    return chain->count == CHAIN;
}

static void chain_finish(struct chain *chain)
{
    for (int i = 0; i < chain->count; i++)
        rig_finish(&chain->rig[i]);
}

/* What the whole chain gives, by the references. */
static void chain_expect(const struct chain *chain, const struct ash_batch *batch, float *out)
{
    float between[2][TOKENS * COLUMNS];
    memcpy(between[0], chain->rig[0].host[0], sizeof between[0]);
    for (int i = 0; i < CHAIN; i++) {
        struct ash_args args = chain->rig[i].step.args;
        args.in[0].data = between[i % 2];
        args.in[1].data = chain->rig[i].host[1];
        args.out.data = between[(i + 1) % 2];
        ash_args_bind(&args, batch);
        chain->rig[i].step.op->reference(&args);
    }
    memcpy(out, between[CHAIN % 2], (size_t)batch->tokens * COLUMNS * sizeof *out);
}

static void check_order(struct ash_device *device)
{
    struct chain chain;
    if (chain_init(device, &chain)) {
        struct tiny_batch batch;
        tiny_batch_init(&batch, TOKENS, 1);
        struct ash_event done = { 0 }; /* has always happened */
        for (int i = 0; i < CHAIN; i++) {
            struct ash_event after = done;
            cr_assert_eq(
                device->driver->launch(device, &chain.rig[i].step, &batch.batch, &after, 1, &done),
                ASH_OK);
            cr_assert(i == 0 || done.value > after.value, "a timeline only goes forward");
        }
        float expect[TOKENS * COLUMNS], found[TOKENS * COLUMNS];
        struct ash_buffer host;
        struct ash_event copied;
        cr_assert_eq(device->driver->copy(device, host_place(found, sizeof found, &host),
                         chain.rig[CHAIN - 1].step.out, sizeof found, &done, 1, &copied),
            ASH_OK);
        wait_for(copied);
        wait_for(done); /* the past has happened too */
        chain_expect(&chain, &batch.batch, expect);
        cr_assert_arr_eq(found, expect, sizeof expect, "%s", device->driver->name);
    }
    chain_finish(&chain);
}

Test(conformance, work_runs_in_the_order_of_its_events)
{
    for_each_device(check_order);
}

/* Another device, whose work failed. */
static enum ash_status broken_wait(struct ash_device *device, struct ash_event event)
{
    (void)device, (void)event;
    return ash_fail(ASH_ERR_DEVICE, "the other device is lost");
}

static void check_foreign_failure(struct ash_device *device)
{
    static const struct ash_driver broken_driver = { .name = "broken", .wait = broken_wait };
    struct ash_device broken = { .driver = &broken_driver };
    struct ash_event after = { &broken, 1 }, done = { 0 };
    struct ash_buffer *buffer = allocate(device, 64, ASH_MEMORY_STATE);
    struct ash_place to = { buffer, 0 }, from = { buffer, 32 };
    enum ash_status status = device->driver->copy(device, to, from, 32, &after, 1, &done);
    if (status == ASH_OK)
        status = device->driver->wait(device, done);
    cr_assert_eq(status, ASH_ERR_DEVICE);
    cr_assert(strstr(ash_error(), "other device"), "%s", ash_error());
    copy_now(device, to, from, 32); /* this device is as good as before, and the error told once */
    device->driver->free(buffer);
}

Test(conformance, a_failure_that_was_waited_for_is_reported_once)
{
    for_each_device(check_foreign_failure);
}

/* ---- Whole runs ---- */

static void run_compiled(struct chain *chain, struct ash_device *device, int32_t tokens)
{
    struct ash_step steps[CHAIN];
    for (int i = 0; i < CHAIN; i++)
        steps[i] = chain->rig[i].step;
    struct ash_program *program = NULL;
    enum ash_status status = ASH_ERR_NO_MEMORY;
    for (int64_t nth = 0; status != ASH_OK; nth++) {
        ash_memory_fail_from(nth);
        status = device->driver->compile(device, steps, CHAIN, NULL, &program);
        ash_memory_fail_from(-1);
        cr_assert(status == ASH_OK || (status == ASH_ERR_NO_MEMORY && !program));
    }
    for (; tokens > 0; tokens /= 3) {
        struct tiny_batch batch;
        tiny_batch_init(&batch, tokens, 1);
        float expect[TOKENS * COLUMNS], found[TOKENS * COLUMNS];
        size_t bytes = (size_t)tokens * COLUMNS * sizeof *found;
        struct ash_event done;
        ash_memory_fail_from(0); /* a run allocates nothing */
        status = device->driver->run(device, program, &batch.batch, NULL, 0, &done);
        cr_assert_eq(ash_memory_fail_from(-1), 0);
        cr_assert_eq(status, ASH_OK);
        wait_for(done);
        chain_expect(chain, &batch.batch, expect);
        read_back(steps[CHAIN - 1].out, bytes, found);
        cr_assert_arr_eq(found, expect, bytes, "%s", device->driver->name);
    }
    device->driver->discard(device, program);
}

static void check_compiled(struct ash_device *device)
{
    struct chain chain = { 0 };
    if (!device->driver->compile)
        return;
    device->driver->discard(device, NULL);
    if (chain_init(device, &chain))
        run_compiled(&chain, device, TOKENS);
    chain_finish(&chain);
}

Test(conformance, a_compiled_run_gives_what_single_launches_give)
{
    for_each_device(check_compiled);
}

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
#include "tests/drivers/rig.h"
#include "tests/support/tiny_ops.h"

#include <assert.h>
#include <criterion/criterion.h>
#include <string.h>
#include <unistd.h>

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
        struct ash_buffer host, *buffer = rig_allocate(device, 100000, uses[i]);
        cr_assert_eq((uintptr_t)buffer->host % (uintptr_t)sysconf(_SC_PAGESIZE), 0);
        if (uses[i] == ASH_MEMORY_STATE) {
            rig_read((struct ash_place){ buffer, 99000 }, sizeof in, in);
            for (size_t k = 0; k < sizeof in; k++)
                cr_assert_eq(in[k], 0, "%s: a state begins with zeros", device->driver->name);
        }
        memset(out, 7 + (int)i, sizeof out);
        rig_copy(device, (struct ash_place){ buffer, 40 }, rig_host_place(out, sizeof out, &host),
            sizeof out);
        rig_copy(device, (struct ash_place){ buffer, 50000 }, (struct ash_place){ buffer, 40 },
            sizeof out);
        rig_read((struct ash_place){ buffer, 50000 }, sizeof in, in);
        cr_assert_arr_eq(in, out, sizeof out);
        device->driver->free(buffer);
    }
    device->driver->free(NULL);
}

Test(conformance, memory_is_written_copied_and_read_back)
{
    rig_for_each_device(check_memory);
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
    rig_for_each_device(check_exhaustion);
}

/* ---- One operator ---- */

/* Compares one tensor on the device with the reference's. */
static void compare(const struct rig *rig, struct ash_place place, const struct ash_tensor *expect)
{
    int64_t count = ash_tensor_elements(expect);
    float *found = ash_alloc((size_t)count * sizeof *found);
    const float *wanted = expect->data;
    rig_read(place, (size_t)count * sizeof *found, found);
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
    rig_wait(done);

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
    struct ash_tensor x = rig_shape(ASH_EXTENT_TOKENS, TOKENS, COLUMNS);
    struct ash_tensor y = rig_shape(ASH_EXTENT_TOKENS, TOKENS, ROWS);
    struct ash_tensor w = rig_shape(ASH_EXTENT_FIXED, ROWS, COLUMNS);
    struct ash_tensor gain = rig_shape(ASH_EXTENT_FIXED, 0, COLUMNS);
    struct ash_tensor state = rig_shape(ASH_EXTENT_FIXED, 5, COLUMNS);
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
    rig_for_each_device(check_launch);
}

static void check_refusals(struct ash_device *device)
{
    struct ash_args args = { .in = { rig_shape(ASH_EXTENT_TOKENS, TOKENS, COLUMNS),
                                 rig_shape(ASH_EXTENT_TOKENS, TOKENS, COLUMNS) } };
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
    rig_for_each_device(check_refusals);
}

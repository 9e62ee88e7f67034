/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PJRT plugins that are missing, broken, too old or too new, and what becomes of ours when any call of a
 * plugin fails, gives nothing, or is not there: tested on a double of a plugin (pjrt_double.h).
 */
#include "drivers/pjrt/pjrt.h"
#include "kernels/add/add.h"
#include "kernels/kv_write/kv_write.h"
#include "runtime/memory.h"
#include "tests/drivers/folder_rig.h"
#include "tests/drivers/pjrt_double.h"
#include "tests/drivers/rig.h"
#include "tests/support/tiny_ops.h"

#include <criterion/criterion.h>
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void choose(const char *plugin, const char *fault)
{
    setenv("ASHLAR_PJRT_PLUGIN", plugin, 1);
    setenv("ASHLAR_TEST_PJRT_FAULT", fault, 1);
    unsetenv("TPU_LIBRARY_PATH");
}

/* The one entry that is listed for a plugin of no use says why. */
static void expect_reason(const char *plugin, const char *fault, const char *words)
{
    choose(plugin, fault);
    rig_expect_reason(&ash_driver_pjrt, words);
}

Test(pjrt_faults, a_plugin_that_is_missing_or_none_is_told)
{
    expect_reason("/nowhere/plugin.so", "", "/nowhere/plugin.so, which cannot be read");
    expect_reason("no-such-plugin.so", "", "no-such-plugin.so not found: install");
    expect_reason("/etc/passwd", "", "cannot be loaded");
    expect_reason("/", "", "cannot be loaded");
    expect_reason(getenv("ASHLAR_TEST_CRASHING_ICD"), "", "has no GetPjrtApi");
}

Test(pjrt_faults, a_plugin_of_no_use_is_told_and_harms_nobody)
{
    static const struct {
        const char *fault, *words;
    } cases[] = {
        { "null", "gives no table" },
        { "old", "interface 0.3; 0.40 or a later 0.x" },
        { "major", "interface 1.81" },
        { "short", "0.40 or a later 0.x" },
        { "hole", "lacks the call error_destroy" },
        { "crash", "crashes or hangs" },
        { "exhausted", "all chips are taken" },
        { "internal", "cannot be opened: all chips are taken" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        expect_reason(getenv("ASHLAR_TEST_PJRT_DOUBLE"), cases[i].fault, cases[i].words);
}

/* ---- All that the driver does, once ---- */

enum { T = 4, BYTES = T * COLUMNS * (int)sizeof(float), CACHE_BYTES = 32 * COLUMNS * 4 };

/* The two steps, zeros for keys and values, both steps for 1 token and for T. */
enum { PROGRAMS = 6 };

static struct ash_device_info found[2];
static struct pjrt_double *state; /* of the double that is loaded */

struct scene {
    struct ash_device *device[2];
    struct ash_buffer *weights, *arena, *cache, *other;
    struct ash_loaded *sum, *write;
    struct ash_program *program;
};

static struct ash_tensor shape_of(int rank, const int64_t *dim, enum ash_extent extent)
{
    struct ash_tensor tensor;
    cr_assert_eq(ash_tensor_init(ASH_F32, rank, dim, &tensor), ASH_OK);
    tensor.extent = extent;
    return tensor;
}

/* x + x in the arena; its rows into a cache of one head and one page. */
static void describe_steps(struct scene *scene, struct ash_step step[2])
{
    static const struct ash_kv_write_params params = {
        .rope = { .heads = 1, .head_size = COLUMNS, .dims = COLUMNS, .base = 10000, .scale = 1 }
    };
    const struct ash_tensor row = shape_of(2, (int64_t[]){ T, COLUMNS }, ASH_EXTENT_TOKENS);
    const struct ash_tensor cache = shape_of(4, (int64_t[]){ 1, 1, 32, COLUMNS }, ASH_EXTENT_FIXED);
    step[0] = (struct ash_step){ .name = "sum",
        .op = &ash_op_add,
        .args = { .in = { row, row }, .out = row },
        .in = { { scene->weights, 0 }, { scene->weights, 0 } },
        .out = { scene->arena, 0 } };
    step[1] = (struct ash_step){ .name = "write",
        .op = &ash_op_kv_write,
        .args = { .in = { row, row, cache, cache }, .params = &params },
        .in = { { scene->arena, 0 }, { scene->arena, 0 }, { scene->cache, 0 },
            { scene->cache, CACHE_BYTES } },
        .phase = 1 };
}

static enum ash_status prepare(struct scene *scene)
{
    static const struct {
        int device;
        enum ash_memory_use use;
        size_t bytes;
    } buffers[] = { { 0, ASH_MEMORY_WEIGHTS, BYTES }, { 0, ASH_MEMORY_ARENA, BYTES },
        { 0, ASH_MEMORY_STATE, 2 * CACHE_BYTES }, { 1, ASH_MEMORY_ARENA, BYTES } };
    struct ash_buffer **buffer[] = { &scene->weights, &scene->arena, &scene->cache, &scene->other };
    for (int i = 0; i < 2; i++)
        ASH_TRY(ash_driver_pjrt.open(&found[i], &rig_config, &scene->device[i]));
    for (int i = 0; i < 4; i++)
        ASH_TRY(ash_driver_pjrt.alloc(
            scene->device[buffers[i].device], buffers[i].bytes, buffers[i].use, buffer[i]));
    return ASH_OK;
}

/* Loads, uploads, runs step by step and as a program, copies to the other chip, and reads. */
static enum ash_status play(struct scene *scene, float *out)
{
    struct ash_device *device = scene->device[0], *other = scene->device[1];
    struct ash_step step[2];
    struct ash_event done = { NULL, 0 };
    struct ash_buffer host = { .size_bytes = BYTES, .host = out };
    struct ash_place here = { scene->arena, 0 }, there = { scene->other, 0 };
    struct tiny_batch batch;
    tiny_batch_init(&batch, T, 1);
    describe_steps(scene, step);
    struct ash_tensor weight = step[0].args.in[0];
    weight.data = out;
    ASH_TRY(ash_driver_pjrt.load(device, step[0].op, &step[0].args, &scene->sum));
    ASH_TRY(ash_driver_pjrt.load(device, step[1].op, &step[1].args, &scene->write));
    step[0].loaded = scene->sum;
    step[1].loaded = scene->write;
    ASH_TRY(ash_driver_pjrt.upload(device, scene->sum, 0, &weight, step[0].in[0]));
    for (int i = 0; i < 2; i++)
        ASH_TRY(ash_driver_pjrt.launch(device, &step[i], &batch.batch, &done, 1, &done));
    ASH_TRY(ash_driver_pjrt.compile(device, step, 2, NULL, &scene->program));
    ASH_TRY(ash_driver_pjrt.run(device, scene->program, &batch.batch, &done, 1, &done));
    ASH_TRY(ash_driver_pjrt.copy(other, there, here, BYTES, &done, 1, &done));
    ASH_TRY(
        ash_driver_pjrt.copy(other, (struct ash_place){ &host, 0 }, there, BYTES, &done, 1, &done));
    ASH_TRY(ash_driver_pjrt.wait(other, done));
    return ash_driver_pjrt.wait(device, (struct ash_event){ device, 2 });
}

static enum ash_status run_scene(float *out)
{
    struct scene scene = { .weights = NULL };
    enum ash_status status = prepare(&scene);
    memset(out, 0x40, BYTES);
    if (status == ASH_OK)
        status = play(&scene, out);
    if (scene.device[0])
        ash_driver_pjrt.discard(scene.device[0], scene.program);
    ash_driver_pjrt.unload(scene.device[0], scene.sum);
    ash_driver_pjrt.unload(scene.device[0], scene.write);
    ash_driver_pjrt.free(scene.weights);
    ash_driver_pjrt.free(scene.arena);
    ash_driver_pjrt.free(scene.cache);
    ash_driver_pjrt.free(scene.other);
    for (int i = 0; i < 2; i++)
        ash_driver_pjrt.close(scene.device[i]);
    return status;
}

/* The double's two chips, and a run of all that they do; what it says then is what a sound plugin says. */
static void load_double(const char *fault)
{
    int count;
    float out[T * COLUMNS];
    choose(getenv("ASHLAR_TEST_PJRT_DOUBLE"), fault);
    cr_assert_eq(ash_driver_pjrt.probe(NULL, found, 2, &count), ASH_OK);
    cr_assert(count == 2 && found[0].usable && found[1].usable, "%s", found[0].reason);
    void *library = dlopen(getenv("ASHLAR_TEST_PJRT_DOUBLE"), RTLD_NOW);
    cr_assert(library && (state = dlsym(library, "pjrt_double_state")));
    cr_assert_eq(run_scene(out), ASH_OK, "%s", ash_error());
    for (int i = 0; i < T * COLUMNS; i++)
        cr_assert_eq(out[i], 0, "what the double's programs give");
    cr_assert_eq(state->live, 0);
}

static void forget_programs(void)
{
    char command[64];
    snprintf(command, sizeof command, "rm -rf %s/pjrt", rig_folder);
    cr_assert_eq(system(command), 0);
}

TestSuite(pjrt_faults, .init = rig_cache_set_up, .fini = rig_cache_tear_down);

Test(pjrt_faults, two_chips_share_the_client_and_copy_without_the_host)
{
    load_double("");
    cr_assert_eq(state->copies, 1);
}

Test(pjrt_faults, a_plugin_that_only_has_the_least_will_do)
{
    load_double("lacking");
    cr_assert_eq(state->copies, 0);
    cr_assert_eq(state->compiled, PROGRAMS);
    float out[T * COLUMNS];
    cr_assert_eq(run_scene(out), ASH_OK);
    cr_assert_eq(state->compiled, 2 * PROGRAMS, "it keeps none");
}

Test(pjrt_faults, programs_on_disk_are_not_compiled_again)
{
    float out[T * COLUMNS];
    load_double("");
    cr_assert_eq(state->compiled, PROGRAMS);
    cr_assert_eq(run_scene(out), ASH_OK);
    cr_assert_eq(state->compiled, PROGRAMS);
}

/* Every call in turn, with programs from the disk and without: nothing is left behind, nor counted on. */
static void fail_each(int64_t *which, bool may_succeed)
{
    float out[T * COLUMNS];
    load_double("");
    for (int kept = 0; kept < 2; kept++)
        for (int64_t nth = 0, calls = INT64_MAX; nth < calls; nth++) {
            if (!kept)
                forget_programs();
            state->calls = 0;
            *which = nth;
            enum ash_status status = run_scene(out);
            *which = -1;
            calls = state->calls > nth ? INT64_MAX : 0;
            cr_assert_eq(state->live, 0, "call %lld: %lld objects are left", (long long)nth,
                (long long)state->live);
            cr_assert(may_succeed || status == ASH_OK || status == ASH_ERR_DEVICE, "call %lld: %s",
                (long long)nth, ash_error());
            cr_assert(calls > 0 || status == ASH_OK, "%s", ash_error());
        }
}

Test(pjrt_faults, every_call_that_fails_is_told_and_leaves_nothing_behind)
{
    load_double("");
    fail_each(&state->fail_at, false);
}

Test(pjrt_faults, every_call_that_gives_nothing_is_survived)
{
    load_double("");
    fail_each(&state->nothing_at, true);
}

Test(pjrt_faults, every_failed_allocation_is_survived)
{
    float out[T * COLUMNS];
    load_double("");
    enum ash_status status = ASH_ERR_NO_MEMORY;
    for (int64_t nth = 0; status != ASH_OK; nth++) {
        forget_programs();
        ash_memory_fail_from(nth);
        status = run_scene(out);
        ash_memory_fail_from(-1);
        cr_assert_eq(state->live, 0, "allocation %lld", (long long)nth);
        cr_assert(status == ASH_OK || status == ASH_ERR_NO_MEMORY, "allocation %lld: %s",
            (long long)nth, ash_error());
    }
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is OpenCL's own: machines without it or with half of it, programs on disk, kernel folders, parts
 * of devices, and errors. On PoCL; without a usable device most of it is skipped, and says so.
 */
#include "drivers/opencl/opencl.h"

#include "drivers/device/program_cache.h"
#include "drivers/drivers.h"
#include "drivers/opencl/opencl_internal.h"
#include "kernels/add/add.h"
#include "kernels/matmul/matmul.h"
#include "runtime/config.h"
#include "runtime/memory.h"
#include "tests/drivers/folder_rig.h"
#include "tests/drivers/rig.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct ash_device_info found[MAX_DEVICES];
static int count;

/* ---- Machines without OpenCL, or with half of it ---- */

static void needs_loader(void)
{
    struct opencl_api api;
    if (opencl_api_open(NULL, &api) != ASH_OK)
        cr_skip_test("there is no libOpenCL.so.1: install ocl-icd-libopencl1");
}

Test(opencl, a_missing_loader_says_what_to_install)
{
    struct opencl_api api;
    cr_assert_eq(opencl_api_open("libOpenCL-not-here.so", &api), ASH_ERR_NOT_FOUND);
    cr_assert(strstr(ash_error(), "install ocl-icd-libopencl1"), "%s", ash_error());
    cr_assert_eq(opencl_api_open("libm.so.6", &api), ASH_ERR_NOT_FOUND);
    cr_assert(strstr(ash_error(), "lacks cl"), "%s", ash_error());
}

Test(opencl, a_loader_without_drivers_is_found_out_in_no_time, .init = rig_folder_make,
    .fini = rig_folder_remove)
{
    needs_loader();
    setenv("OCL_ICD_VENDORS", rig_folder, 1);
    rig_expect_reason_in_no_time(&ash_driver_opencl, "knows no driver");
}

/* The pipe to the process that asks is then where that process expects its standard streams. */
Test(opencl, a_program_without_standard_streams_asks_all_the_same, .init = rig_folder_make,
    .fini = rig_folder_remove)
{
    needs_loader();
    setenv("OCL_ICD_VENDORS", rig_folder, 1);
    int streams[2] = { dup(STDIN_FILENO), dup(STDOUT_FILENO) };
    close(STDIN_FILENO);
    close(STDOUT_FILENO);
    rig_expect_reason(&ash_driver_opencl, "knows no driver");
    for (int i = 0; i < 2; i++) {
        dup2(streams[i], i);
        close(streams[i]);
    }
}

Test(opencl, a_driver_that_crashes_takes_nobody_along, .init = rig_folder_make,
    .fini = rig_folder_remove)
{
    const char *crash = getenv("ASHLAR_TEST_CRASHING_ICD");
    needs_loader();
    cr_assert(crash, "the build names the library");
    rig_write_file("crash.icd", crash, strlen(crash));
    setenv("OCL_ICD_VENDORS", rig_folder, 1);
    rig_expect_reason(&ash_driver_opencl, "crashes or hangs");
    rig_write_file("crash.icd", "/not/here.so\n", 13);
    rig_expect_reason(&ash_driver_opencl, "knows no driver");
}

/* ---- A device, with a cache of its own ---- */

static struct ash_device *open_device(void)
{
    struct ash_device *device;
    cr_assert_eq(ash_driver_opencl.probe(NULL, found, MAX_DEVICES, &count), ASH_OK);
    if (!found[0].usable)
        cr_skip_test("no usable OpenCL device: install pocl-opencl-icd");
    cr_assert_eq(
        ash_driver_opencl.open(&found[0], &rig_config, &device), ASH_OK, "%s", ash_error());
    return device;
}

/* add for (4, C), loaded; its status. */
static enum ash_status load_add(struct ash_device *device, struct ash_loaded **out)
{
    int64_t dim[2] = { 4, COLUMNS };
    struct ash_args args = { 0 };
    cr_assert_eq(ash_tensor_init(ASH_F32, 2, dim, &args.in[0]), ASH_OK);
    args.in[1] = args.out = args.in[0];
    return device->driver->load(device, &ash_op_add, &args, out);
}

/* Runs x + x on the device. */
static void run_add(struct ash_device *device)
{
    const struct ash_driver *driver = device->driver;
    float x[4 * COLUMNS], sum[4 * COLUMNS];
    struct ash_step step = { .name = "add", .op = &ash_op_add };
    struct ash_buffer *in, *out, host = { .size_bytes = sizeof sum, .host = sum };
    struct ash_batch batch = { .tokens = 4 };
    struct ash_event done;
    for (int i = 0; i < 4 * COLUMNS; i++)
        x[i] = (float)i;
    cr_assert_eq(load_add(device, &step.loaded), ASH_OK, "%s", ash_error());
    step.args = ((struct ash_device_loaded *)step.loaded)->args;
    cr_assert_eq(driver->alloc(device, sizeof x, ASH_MEMORY_WEIGHTS, &in), ASH_OK);
    cr_assert_eq(driver->alloc(device, sizeof x, ASH_MEMORY_ARENA, &out), ASH_OK);
    step.in[0] = step.in[1] = (struct ash_place){ in, 0 };
    step.out = (struct ash_place){ out, 0 };
    struct ash_tensor weight = step.args.in[0];
    weight.data = x;
    cr_assert_eq(driver->upload(device, step.loaded, 0, &weight, step.in[0]), ASH_OK);
    cr_assert_eq(driver->launch(device, &step, &batch, NULL, 0, &done), ASH_OK, "%s", ash_error());
    cr_assert_eq(
        driver->copy(device, (struct ash_place){ &host, 0 }, step.out, sizeof sum, &done, 1, &done),
        ASH_OK);
    cr_assert_eq(driver->wait(device, done), ASH_OK);
    for (int i = 0; i < 4 * COLUMNS; i++)
        cr_assert_eq(sum[i], 2 * x[i]);
    driver->free(in);
    driver->free(out);
    driver->unload(device, step.loaded);
}

/* ---- Programs on disk ---- */

static void run_once(void)
{
    struct ash_device *device = open_device();
    run_add(device);
    ash_driver_opencl.close(device);
}

Test(opencl, a_program_is_kept_and_a_damaged_one_made_again, .init = rig_cache_set_up,
    .fini = rig_cache_tear_down)
{
    rig_check_kept_programs("opencl", run_once);
}

Test(opencl, a_cache_that_cannot_be_written_costs_time_only, .init = rig_cache_set_up,
    .fini = rig_cache_tear_down)
{
    rig_check_programs_that_cannot_be_kept("opencl", run_once);
}

Test(opencl, what_another_key_left_is_not_taken, .init = rig_cache_set_up,
    .fini = rig_cache_tear_down)
{
    unsigned char *out;
    size_t length;
    cr_assert_eq(
        ash_program_cache_write(rig_folder, "add", "driver 1", (const unsigned char *)"12345", 5),
        ASH_OK);
    cr_assert_eq(ash_program_cache_read(rig_folder, "add", "driver 1", &out, &length), ASH_OK);
    cr_assert(length == 5 && memcmp(out, "12345", 5) == 0);
    ash_free(out);
    cr_assert_eq(
        ash_program_cache_read(rig_folder, "add", "driver 2", &out, &length), ASH_ERR_NOT_FOUND);
    cr_assert_eq(
        ash_program_cache_read(rig_folder, "glu", "driver 1", &out, &length), ASH_ERR_NOT_FOUND);
}

/* ---- A kernel folder, as an FPGA has ---- */

static void write_binary(struct ash_device *device, const char *name)
{
    struct opencl_device *self = (struct opencl_device *)device;
    unsigned char *binary;
    size_t length;
    cr_assert_eq(opencl_program_binary(self, self->programs->program, &binary, &length), ASH_OK,
        "%s", ash_error());
    rig_write_file(name, binary, length);
    ash_free(binary);
}

Test(opencl, programs_come_out_of_a_kernel_folder, .init = rig_cache_set_up,
    .fini = rig_cache_tear_down)
{
    struct ash_loaded *loaded = NULL;
    struct ash_device *device = open_device();
    run_add(device);
    write_binary(device, "add.bin"); /* PoCL's, in the place of a maker's tools */
    ash_driver_opencl.close(device);

    rig_set("cache_dir", "/nowhere");
    rig_set("kernel_dir", rig_folder);
    device = open_device();
    run_add(device);
    ash_driver_opencl.close(device);

    rig_write_file("add.bin", "no program", 10);
    device = open_device();
    cr_assert_eq(load_add(device, &loaded), ASH_ERR_DEVICE);
    cr_assert(strstr(ash_error(), "add"), "%s", ash_error());
    rig_set("kernel_dir", "/nowhere");
    ash_driver_opencl.close(device);
    device = open_device();
    cr_assert_eq(load_add(device, &loaded), ASH_ERR_UNSUPPORTED);
    cr_assert(strstr(ash_error(), "/nowhere/add.bin"), "%s", ash_error());
    cr_assert(strstr(ash_error(), "kernel_dir"), "%s", ash_error());
    ash_driver_opencl.close(device);
}

/* ---- Parts of a device ---- */

Test(opencl, a_device_is_listed_and_used_in_parts, .init = rig_cache_set_up,
    .fini = rig_cache_tear_down)
{
    setenv("POCL_DEVICES", "pthread", 1);
    setenv("ASHLAR_OPENCL_SPLIT", "2", 1);
    cr_assert_eq(ash_driver_opencl.probe(NULL, found, MAX_DEVICES, &count), ASH_OK);
    if (!found[0].usable || sysconf(_SC_NPROCESSORS_ONLN) < 2)
        cr_skip_test("no OpenCL device of two processors: install pocl-opencl-icd");
    cr_assert_geq(count, 2);
    for (int i = 0; i < 2; i++) {
        struct ash_device *device;
        cr_assert_eq(
            ash_driver_opencl.open(&found[i], &rig_config, &device), ASH_OK, "%s", ash_error());
        cr_assert(((struct opencl_device *)device)->entry.is_part);
        run_add(device);
        ash_driver_opencl.close(device);
    }
    setenv("ASHLAR_OPENCL_SPLIT", "numa", 1); /* PoCL cannot: it stays whole */
    int whole;
    cr_assert_eq(ash_driver_opencl.probe(NULL, found, MAX_DEVICES, &whole), ASH_OK);
    cr_assert_leq(whole, count);
    cr_assert(found[0].usable);
}

Test(opencl, devices_that_changed_are_not_mistaken, .init = rig_cache_set_up,
    .fini = rig_cache_tear_down)
{
    struct ash_device *device = open_device();
    ash_driver_opencl.close(device);
    found[0].name[0] ^= 1;
    cr_assert_eq(ash_driver_opencl.open(&found[0], &rig_config, &device), ASH_ERR_DEVICE);
    cr_assert(strstr(ash_error(), "start again"), "%s", ash_error());
    found[0].name[0] ^= 1;
    found[0].index = 100;
    cr_assert_eq(ash_driver_opencl.open(&found[0], &rig_config, &device), ASH_ERR_DEVICE);
    cr_assert(strstr(ash_error(), "gone"), "%s", ash_error());
}

/* ---- What is computed for what is asked ---- */

static struct ash_args matmul_args(int64_t tokens, int64_t rows, bool prompts)
{
    struct ash_args args = { .prompts = prompts };
    cr_assert_eq(ash_tensor_init(ASH_F32, 2, (int64_t[]){ tokens, 96 }, &args.in[0]), ASH_OK);
    cr_assert_eq(ash_tensor_init(ASH_Q4_0, 2, (int64_t[]){ rows, 96 }, &args.in[1]), ASH_OK);
    cr_assert_eq(ash_tensor_init(ASH_F32, 2, (int64_t[]){ tokens, rows }, &args.out), ASH_OK);
    return args;
}

/* Needs no device: these are the portable kernels' sizes, whoever runs them. */
Test(opencl, a_matmul_is_rounded_up_to_the_tiles_of_its_entry_point)
{
    static const struct {
        int64_t tokens, rows;
        bool cores, prompts;
        const char *way;
        int64_t whole_tokens, whole_rows;
    } cases[] = {
        { 1, 100, false, false, "matmul_1", 1, 100 },
        { 2, 100, false, true, "matmul_4", 2, 100 },
        { 16, 100, false, false, "matmul_4", 16, 100 },
        { 17, 100, false, false, "matmul_tile", 64, 128 },
        { 64, 128, false, true, "matmul_tile", 64, 128 },
        { 65, 129, false, true, "matmul_tile", 128, 192 },
        { 17, 100, true, false, "matmul_tile", 64, 128 },
        { 3, 100, true, true, "matmul_matrix", 64, 128 },
        { 300, 1536, true, true, "matmul_matrix", 320, 1536 },
        { 2000, 1000, true, true, "matmul_matrix_wide", 2048, 1024 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct ash_device_queue queue = { .matrix = cases[i].cores ? MATRIX_MMA : 0 };
        struct ash_args args = matmul_args(cases[i].tokens, cases[i].rows, cases[i].prompts);
        struct ash_cost cost;
        cr_expect_str_eq(ash_device_round_up(&queue.base, &ash_op_matmul, &args), cases[i].way);
        ash_op_matmul.cost(&args, &cost);
        cr_expect_eq(cost.flops,
            2.0 * 96 * (double)cases[i].whole_tokens * (double)cases[i].whole_rows, "%zu", i);
        cr_expect_eq(args.out.dim[0], cases[i].whole_tokens);
        cr_expect_eq(args.out.dim[1], cases[i].whole_rows);
    }
    struct ash_device_queue queue = { 0 };
    struct ash_args args = matmul_args(17, 100, false);
    cr_expect_null(ash_device_round_up(&queue.base, &ash_op_add, &args));
    cr_expect_eq(args.out.dim[0], 17, "additions have no tiles");
}

/* ---- Errors ---- */

Test(opencl, a_build_that_fails_shows_the_compilers_words, .init = rig_cache_set_up,
    .fini = rig_cache_tear_down)
{
    struct ash_device *device = open_device();
    struct ash_device_variant variant = { .name = "broken", .options = "-DWEIGHT=nonsense" };
    cl_program program = NULL;
    cr_assert_eq(opencl_program_get((struct opencl_device *)device,
                     ash_device_op_find(&ash_op_matmul), &variant, &program),
        ASH_ERR_DEVICE);
    cr_assert(strstr(ash_error(), "cannot build the program broken"), "%s", ash_error());
    cr_assert(strstr(ash_error(), "error"), "%s", ash_error());
    run_add(device); /* the device is as good as before */
    ash_driver_opencl.close(device);
}

Test(opencl, errors_say_what_to_do_and_a_lost_device_stays_lost, .init = rig_cache_set_up,
    .fini = rig_cache_tear_down)
{
    struct ash_device *device = open_device();
    struct opencl_device *self = (struct opencl_device *)device;
    struct ash_buffer *buffer = NULL;
    cr_assert_eq(
        opencl_check(self, CL_MEM_OBJECT_ALLOCATION_FAILURE, "run a step"), ASH_ERR_NO_MEMORY);
    cr_assert(strstr(ash_error(), "smaller model"), "%s", ash_error());
    cr_assert_eq(device->driver->alloc(device, 64, ASH_MEMORY_ARENA, &buffer), ASH_OK);
    cr_assert_eq(opencl_check(self, CL_OUT_OF_RESOURCES, "run a step"), ASH_ERR_DEVICE);
    cr_assert(strstr(ash_error(), "lost") && strstr(ash_error(), "start again"), "%s", ash_error());
    rig_expect_lost(device, buffer);
    device->driver->free(buffer);
    ash_driver_opencl.close(device);
}

Test(opencl, old_events_have_happened_also_when_the_ring_has_forgotten_them,
    .init = rig_cache_set_up, .fini = rig_cache_tear_down)
{
    struct ash_device *device = open_device();
    struct ash_buffer *buffer;
    struct ash_event first, done;
    cr_assert_eq(device->driver->alloc(device, 64, ASH_MEMORY_ARENA, &buffer), ASH_OK);
    struct ash_place to = { buffer, 0 }, from = { buffer, 32 };
    cr_assert_eq(device->driver->copy(device, to, from, 32, NULL, 0, &first), ASH_OK);
    for (int i = 0; i < 3 * DEVICE_RING; i++)
        cr_assert_eq(device->driver->copy(device, to, from, 32, NULL, 0, &done), ASH_OK);
    cr_assert_eq(done.value, first.value + 3 * DEVICE_RING);
    cr_assert_eq(device->driver->wait(device, first), ASH_OK);
    cr_assert_eq(device->driver->wait(device, done), ASH_OK);
    done.value++;
    cr_assert_eq(device->driver->wait(device, done), ASH_ERR_ARGUMENT);
    device->driver->free(buffer);
    ash_driver_opencl.close(device);
}

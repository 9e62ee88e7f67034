/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is CUDA's own, on the test double of libcuda: machines with half of it, cards of other ages, threads
 * that have no context yet. The rest is HIP's suite over the same double (cuda.sh).
 */
#include "drivers/hip/hip_cuda.h"

#include "drivers/drivers.h"
#include "drivers/hip/hip.h"
#include "drivers/hip/hip_arch.h"
#include "kernels/add/add.h"
#include "tests/drivers/hip_double/hip_double.h"
#include "tests/drivers/rig.h"

#include <criterion/criterion.h>
#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { LATE_MS = 40 };

static struct ash_device_info found[MAX_DEVICES];
static int count;

static void set_up(void)
{
    const char *library = getenv("ASHLAR_TEST_CUDA");
    cr_assert(library, "the build names it");
    setenv("ASHLAR_HIP_LIBRARY", library, 1);
    if (!hip_object_find("sm_80"))
        cr_skip_test("no kernels for NVIDIA's cards: install clang-22, set the build up anew");
}

static void probe(void)
{
    cr_assert_eq(ash_driver_hip.probe(NULL, found, MAX_DEVICES, &count), ASH_OK);
}

static struct ash_device *open_device(int index)
{
    struct ash_device *device;
    probe();
    cr_assert_gt(count, index);
    cr_assert_eq(ash_driver_hip.open(&found[index], NULL, &device), ASH_OK, "%s", ash_error());
    return device;
}

/* ---- Half a driver ---- */

Test(hip_cuda, half_a_library_says_what_to_install)
{
    const char *lacking = getenv("ASHLAR_TEST_CUDA_LACKING");
    cr_assert(lacking, "the build names it");
    setenv("ASHLAR_HIP_LIBRARY", lacking, 1);
    rig_expect_reason(&ash_driver_hip, "lacks cuDeviceGetCount");
    rig_expect_reason(&ash_driver_hip, "install NVIDIA's driver");
}

Test(hip_cuda, a_driver_that_does_not_start_says_why, .init = set_up)
{
    static const struct {
        const char *code, *word;
    } cases[] = {
        { "100", "libcuda finds no card (CUDA_ERROR_NO_DEVICE): does nvidia-smi" },
        { "803", "(CUDA_ERROR_SYSTEM_DRIVER_MISMATCH)" },
        { "34", "(CUDA's error 34)" }, /* of the library for linking, which knows no names */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        setenv("HIP_DOUBLE_INIT", cases[i].code, 1);
        rig_expect_reason(&ash_driver_hip, cases[i].word);
    }
    unsetenv("HIP_DOUBLE_INIT");
    setenv("HIP_DOUBLE_DEVICES", "0", 1);
    rig_expect_reason(&ash_driver_hip, "/dev/nvidia*");
    setenv("HIP_DOUBLE_CRASH", "1", 1);
    rig_expect_reason(&ash_driver_hip, "nvidia-smi");
    rig_expect_reason(&ash_driver_hip, "crashes or hangs");
}

/* ---- Cards ---- */

Test(hip_cuda, cards_are_listed_as_what_they_are, .init = set_up)
{
    probe();
    cr_assert_eq(count, 2);
    cr_assert(found[1].usable, "%s", found[1].reason);
    cr_assert(strstr(found[1].name, "NVIDIA") && strstr(found[1].name, "(HIP on CUDA)"), "%s",
        found[1].name);
    cr_assert_str_eq(found[1].pci, "fffe:01:00.0", "as the system spells it");
    cr_assert_eq(found[1].memory_bytes, (size_t)4096 << 20);
}

Test(hip_cuda, every_card_from_sm_70_on_has_kernels, .init = set_up)
{
    static const char *const archs[] = { "sm_70", "sm_75", "sm_89", "sm_90", "sm_103", "sm_120" };
    for (size_t i = 0; i < sizeof archs / sizeof *archs; i++) {
        setenv("HIP_DOUBLE_ARCH", archs[i], 1);
        ash_driver_hip.close(open_device(0));
    }
    setenv("HIP_DOUBLE_ARCH", "sm_61", 1);
    setenv("HIP_DOUBLE_DEVICES", "1", 1);
    rig_expect_reason(&ash_driver_hip, "it is a sm_61, and this build has kernels for sm_80 sm_70");
    setenv("HIP_DOUBLE_ARCH", "nothing", 1);
    rig_expect_reason(&ash_driver_hip, "sm_00");
}

Test(hip_cuda, an_object_is_found_by_age)
{
    const struct hip_object *object = hip_object_find("sm_80");
    cr_assert(object == hip_object_find("sm_120"));
    cr_assert(hip_object_find("sm_70") == hip_object_find("sm_75"));
    cr_assert(!object || object != hip_object_find("sm_70"));
    cr_assert_null(hip_object_find("sm_62"));
    cr_assert_null(hip_object_find("sm_"));
    cr_assert_null(hip_object_find(""));
    cr_assert(!object || memchr(object->bytes, 0, *object->size_bytes + 1) ==
                             object->bytes + *object->size_bytes,
        "text, and its end behind it");
}

/* The library refuses the children of a process that has begun with it. */
Test(hip_cuda, cards_in_use_are_found_again, .init = set_up)
{
    struct ash_device *device = open_device(0), *other = open_device(1);
    probe();
    cr_assert_eq(count, 2);
    cr_assert(found[0].usable && found[1].usable, "%s", found[0].reason);
    ash_driver_hip.close(device);
    ash_driver_hip.close(other);
}

/* ---- What a thread sees ---- */

static void *free_buffer(void *buffer)
{
    ash_driver_hip.free(buffer);
    return NULL;
}

static void *close_device(void *device)
{
    ash_driver_hip.close(device);
    return NULL;
}

static void in_another_thread(void *(*call)(void *), void *argument)
{
    pthread_t thread;
    cr_assert_eq(pthread_create(&thread, NULL, call, argument), 0);
    pthread_join(thread, NULL);
}

static void *symbol_of_double(const char *name)
{
    void *library = dlopen(getenv("ASHLAR_TEST_CUDA"), RTLD_NOW);
    void *symbol = library ? dlsym(library, name) : NULL;
    cr_assert(symbol, "%s", name);
    return symbol;
}

#define FIND(name, to) memcpy(&(to), &(void *){ symbol_of_double(name) }, sizeof(void *))

Test(hip_cuda, threads_that_have_no_context_release_what_others_made, .init = set_up)
{
    hip_double_live *live;
    FIND("hip_double_count", live);
    struct ash_device *device = open_device(0), *other = open_device(1);
    in_another_thread(free_buffer, rig_allocate(other, 64, ASH_MEMORY_STATE));
    in_another_thread(free_buffer, rig_allocate(device, 64, ASH_MEMORY_STATE));
    in_another_thread(close_device, device);
    in_another_thread(close_device, other);
    cr_assert_eq(live(), 0, "%lld things are left", (long long)live());
}

/* One of the ends of a context that HIP has no error for. */
Test(hip_cuda, a_kernel_that_dies_takes_the_card_along_under_its_own_name, .init = set_up)
{
    hip_double_fail_from *fail_from;
    hip_double_delay *set_delay;
    FIND("hip_double_fail", fail_from);
    FIND("hip_double_set_delay", set_delay);
    struct ash_device *device = open_device(0);
    struct ash_tensor inputs[ASH_MAX_INPUTS] = { rig_shape(ASH_EXTENT_TOKENS, TOKENS, COLUMNS),
        rig_shape(ASH_EXTENT_TOKENS, TOKENS, COLUMNS) };
    struct rig rig;
    struct ash_batch batch = { .tokens = TOKENS };
    struct ash_event done;
    cr_assert(rig_init(device, &ash_op_add, inputs, NULL, &rig));
    set_delay(LATE_MS);
    fail_from(HIP_DOUBLE_LOST, 0);
    cr_assert_eq(ash_driver_hip.launch(device, &rig.step, &batch, NULL, 0, &done), ASH_OK);
    cr_assert_eq(ash_driver_hip.wait(device, done), ASH_ERR_DEVICE);
    cr_assert(strstr(ash_error(), "CUDA_ERROR_MISALIGNED_ADDRESS; the device is lost"), "%s",
        ash_error());
    set_delay(0);
    rig_finish(&rig);
    ash_driver_hip.close(device);
}

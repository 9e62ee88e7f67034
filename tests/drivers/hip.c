/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is HIP's own, on the test double of its library: machines without it or with half of it, cards
 * that die, memory that runs out, work that takes long, and copies from card to card.
 */
#include "drivers/hip/hip.h"

#include "drivers/drivers.h"
#include "drivers/hip/hip_arch.h"
#include "drivers/hip/hip_internal.h"
#include "kernels/add/add.h"
#include "kernels/attention/attention.h"
#include "kernels/kv_cache.h"
#include "kernels/matmul/matmul.h"
#include "runtime/trace.h"
#include "tests/drivers/hip_double/hip_double.h"
#include "tests/drivers/rig.h"

#include <criterion/criterion.h>
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LATE_MS = 40 };

static struct ash_device_info found[MAX_DEVICES];
static int count;

/* ---- The double's switches ---- */

static hip_double_fail_from *fail_from;
static hip_double_delay *set_delay;
static hip_double_hold *set_hold;
static hip_double_live *count_live;
static hip_double_peer_copies *count_peer_copies;

static void *symbol_of(void *library, const char *name)
{
    void *found_at = dlsym(library, name);
    cr_assert(found_at, "%s is not in the double", name);
    return found_at;
}

#define FIND(library, name, to) memcpy(&(to), &(void *){ symbol_of(library, name) }, sizeof(void *))

static void probe(void)
{
    cr_assert_eq(ash_driver_hip.probe(NULL, found, MAX_DEVICES, &count), ASH_OK);
}

static void set_up(void)
{
    if (!hip_objects[0].arch)
        cr_skip_test(
            "no kernels for AMD's cards: install clang-22 and lld-22, set the build up anew");
    const char *path = getenv("ASHLAR_HIP_LIBRARY");
    void *library = path ? dlopen(path, RTLD_NOW) : NULL;
    cr_assert(library, "the build names the double");
    FIND(library, "hip_double_fail", fail_from);
    FIND(library, "hip_double_set_delay", set_delay);
    FIND(library, "hip_double_set_hold", set_hold);
    FIND(library, "hip_double_count", count_live);
    FIND(library, "hip_double_count_peer_copies", count_peer_copies);
    probe();
    cr_assert_eq(count, 2);
}

static struct ash_device *open_device(int index)
{
    struct ash_device *device;
    cr_assert_eq(ash_driver_hip.open(&found[index], NULL, &device), ASH_OK, "%s", ash_error());
    return device;
}

/* Everything that was made has been released. */
static void close_all(struct ash_device *first, struct ash_device *second)
{
    ash_driver_hip.close(first);
    ash_driver_hip.close(second);
    cr_assert_eq(count_live(), 0, "%lld things are left", (long long)count_live());
}

/* ---- Machines without the library, or with half of it ---- */

Test(hip, a_missing_or_half_library_says_what_to_install)
{
    const char *lacking = getenv("ASHLAR_TEST_HIP_LACKING");
    cr_assert(lacking, "the build names it");
    static const char *const names[] = { "/not/here.so", "libm.so.6", "/etc/passwd", "/" };
    static const char *const words[] = { "cannot open /not/here.so", "lacks hipInit", "cannot open",
        "cannot open" };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        setenv("ASHLAR_HIP_LIBRARY", names[i], 1);
        rig_expect_reason(&ash_driver_hip, words[i]);
    }
    setenv("ASHLAR_HIP_LIBRARY", lacking, 1);
    rig_expect_reason(&ash_driver_hip, "lacks hipGetDeviceCount");
    rig_expect_reason(&ash_driver_hip, "install");
}

Test(hip, a_machine_without_the_library_is_found_out_in_no_time)
{
    struct hip_api api;
    setenv("ASHLAR_HIP_LIBRARY", "", 1);
    if (hip_api_open(NULL, &api) == ASH_OK)
        cr_skip_test("this machine has a libamdhip64 of its own");
    rig_expect_reason_in_no_time(&ash_driver_hip, "libamdhip64 not found: install");
}

Test(hip_amd, a_library_that_crashes_or_finds_no_card_takes_nobody_along)
{
    setenv("HIP_DOUBLE_CRASH", "1", 1);
    rig_expect_reason(&ash_driver_hip, "crashes or hangs");
    unsetenv("HIP_DOUBLE_CRASH");
    setenv("HIP_DOUBLE_DEVICES", "0", 1);
    rig_expect_reason(&ash_driver_hip, "finds no card");
    rig_expect_reason(&ash_driver_hip, "/dev/kfd");
}

Test(hip_amd, a_card_without_kernels_says_which_there_are, .init = set_up)
{
    static const struct {
        const char *arch, *word;
    } cases[] = { { "gfx1101", "it is a gfx1101" }, { "gfx803", "it is a gfx803" },
        { "", "does not tell" }, { "gfx90a:x gfx942", "does not tell" },
        { "nonsense", "does not tell" } };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        setenv("HIP_DOUBLE_ARCH", cases[i].arch, 1);
        probe();
        cr_assert_eq(count, 2);
        cr_assert(!found[0].usable);
        cr_assert(strstr(found[0].reason, cases[i].word), "%s", found[0].reason);
    }
}

Test(hip, an_architecture_is_found_wherever_it_stands)
{
    static const struct {
        const char *bytes;
        size_t length;
        const char *arch; /* NULL = none */
    } cases[] = {
        { "gfx906", 7, "gfx906" },
        { "gfx906", 6, NULL }, /* may go on behind */
        { "xx\0gfx90a:sramecc+:xnack-", 26, "gfx90a" },
        { "gfx1201\0\0gfx1201:x", 18, "gfx1201" },
        { "gfx906\0gfx90a", 14, NULL },
        { "gfx90\0", 6, NULL },
        { "gfx90A\0", 7, NULL },
        { "gfx123456789abcdef\0", 19, NULL },
        { "gfgfx942\0", 9, "gfx942" },
        { "sm_80", 6, "sm_80" },
        { "sm_120\0sm_120", 14, "sm_120" },
        { "sm_8\0", 6, NULL },
        { "sm_80\0gfx906", 13, NULL },
        { "gfx", 3, NULL },
        { "", 0, NULL },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char arch[HIP_ARCH_BYTES] = "";
        bool is_there = hip_arch_find(cases[i].bytes, cases[i].length, arch);
        cr_assert_eq(is_there, cases[i].arch != NULL, "case %zu: %s", i, arch);
        cr_assert(!is_there || strcmp(arch, cases[i].arch) == 0, "case %zu: %s", i, arch);
    }
}

Test(hip, cards_that_changed_are_not_mistaken, .init = set_up)
{
    struct ash_device *device;
    found[0].name[0] ^= 1;
    cr_assert_eq(ash_driver_hip.open(&found[0], NULL, &device), ASH_ERR_DEVICE);
    cr_assert(strstr(ash_error(), "start again"), "%s", ash_error());
    setenv("HIP_DOUBLE_DEVICES", "1", 1);
    cr_assert_eq(ash_driver_hip.open(&found[1], NULL, &device), ASH_ERR_DEVICE);
    cr_assert(strstr(ash_error(), "gone"), "%s", ash_error());
    close_all(NULL, NULL);
}

/* ---- A step: x + x ---- */

struct sum {
    struct rig rig;
    struct ash_batch batch;
};

static void sum_init(struct ash_device *device, struct sum *sum)
{
    struct ash_tensor inputs[ASH_MAX_INPUTS] = { rig_shape(ASH_EXTENT_TOKENS, TOKENS, COLUMNS),
        rig_shape(ASH_EXTENT_TOKENS, TOKENS, COLUMNS) };
    cr_assert(rig_init(device, &ash_op_add, inputs, NULL, &sum->rig));
    sum->batch = (struct ash_batch){ .tokens = TOKENS };
}

static enum ash_status sum_launch(struct sum *sum, struct ash_event *done)
{
    return ash_driver_hip.launch(sum->rig.device, &sum->rig.step, &sum->batch, NULL, 0, done);
}

static void sum_check(const struct sum *sum, struct ash_place from)
{
    static float result[TOKENS * COLUMNS];
    const float *x = sum->rig.host[0], *y = sum->rig.host[1];
    rig_read(from, sizeof result, result);
    for (int i = 0; i < TOKENS * COLUMNS; i++)
        cr_assert_eq(result[i], x[i] + y[i]);
}

/* The step runs as it should, and is the last thing that there was on its card. */
static void sum_run_and_finish(struct sum *sum)
{
    struct ash_event done;
    cr_assert_eq(sum_launch(sum, &done), ASH_OK, "%s", ash_error());
    rig_wait(done);
    sum_check(sum, sum->rig.step.out);
    rig_finish(&sum->rig);
}

/* ---- What goes wrong ---- */

Test(hip, exhausted_memory_changes_nothing, .init = set_up)
{
    struct ash_device *device = open_device(0);
    struct ash_buffer *buffer = NULL;
    struct sum sum;
    fail_from(HIP_DOUBLE_OUT_OF_MEMORY, 0);
    cr_assert_eq(ash_driver_hip.alloc(device, 4096, ASH_MEMORY_STATE, &buffer), ASH_ERR_NO_MEMORY);
    cr_assert(strstr(ash_error(), "smaller model"), "%s", ash_error());
    cr_assert_null(buffer);
    fail_from(HIP_DOUBLE_OUT_OF_MEMORY, -1);
    sum_init(device, &sum);
    sum_run_and_finish(&sum);
    close_all(device, NULL);
}

Test(hip, every_allocation_of_a_card_may_fail, .init = set_up)
{
    struct ash_device *device = open_device(0);
    int64_t dim[] = { 48, 64 };
    struct ash_tensor weight;
    struct ash_args args = { .in = { rig_shape(ASH_EXTENT_TOKENS, TOKENS, 64) } };
    cr_assert_eq(ash_tensor_init(ASH_F16, 2, dim, &weight), ASH_OK);
    args.in[1] = weight;
    args.out = rig_shape(ASH_EXTENT_TOKENS, TOKENS, 48);
    weight.data = calloc(1, ash_tensor_bytes(&weight));
    enum ash_status status = ASH_ERR_NO_MEMORY;
    for (int64_t nth = 0; status == ASH_ERR_NO_MEMORY; nth++) {
        struct ash_loaded *loaded = NULL;
        struct ash_buffer *buffer = NULL;
        fail_from(HIP_DOUBLE_OUT_OF_MEMORY, nth);
        status = ash_driver_hip.load(device, &ash_op_matmul, &args, &loaded);
        if (status == ASH_OK)
            status =
                ash_driver_hip.alloc(device, loaded->packed_bytes, ASH_MEMORY_WEIGHTS, &buffer);
        if (status == ASH_OK)
            status =
                ash_driver_hip.upload(device, loaded, 1, &weight, (struct ash_place){ buffer, 0 });
        fail_from(HIP_DOUBLE_OUT_OF_MEMORY, -1);
        ash_driver_hip.free(buffer);
        ash_driver_hip.unload(device, loaded);
        cr_assert_lt(nth, 10);
    }
    cr_assert_eq(status, ASH_OK, "%s", ash_error());
    free(weight.data);
    close_all(device, NULL);
}

Test(hip, a_launch_that_is_refused_is_told_and_the_next_one_works, .init = set_up)
{
    struct ash_device *device = open_device(0);
    struct sum sum;
    struct ash_event done;
    sum_init(device, &sum);
    fail_from(HIP_DOUBLE_LAUNCH, 0);
    cr_assert_eq(sum_launch(&sum, &done), ASH_ERR_DEVICE);
    cr_assert(strstr(ash_error(), "run a step"), "%s", ash_error());
    fail_from(HIP_DOUBLE_LAUNCH, -1);
    sum_run_and_finish(&sum);
    close_all(device, NULL);
}

Test(hip, a_lost_card_is_told_once_stays_lost_and_leaves_the_other_alone, .init = set_up)
{
    struct ash_device *device = open_device(0), *other = open_device(1);
    struct sum sum, sum_of_other;
    struct ash_event done;
    struct ash_buffer *buffer = NULL;
    sum_init(device, &sum);
    sum_init(other, &sum_of_other);
    set_delay(LATE_MS);
    fail_from(HIP_DOUBLE_LOST, 0);
    cr_assert_eq(sum_launch(&sum, &done), ASH_OK, "a kernel dies later");
    cr_assert_eq(ash_driver_hip.wait(device, done), ASH_ERR_DEVICE);
    set_delay(0);
    cr_assert(strstr(ash_error(), "lost") && strstr(ash_error(), "start again"), "%s", ash_error());
    cr_assert_eq(ash_driver_hip.wait(device, done), ASH_OK, "told once");
    fail_from(HIP_DOUBLE_LOST, -1);
    for (int i = 0; i < 2; i++) {
        cr_assert_eq(sum_launch(&sum, &done), ASH_ERR_DEVICE);
        cr_assert(strstr(ash_error(), "was lost earlier"), "%s", ash_error());
        cr_assert_eq(ash_driver_hip.alloc(device, 64, ASH_MEMORY_ARENA, &buffer), ASH_ERR_DEVICE);
    }
    sum_run_and_finish(&sum_of_other);
    rig_finish(&sum.rig);
    close_all(device, other);
}

Test(hip, work_that_takes_long_is_waited_for, .init = set_up)
{
    struct ash_device *device = open_device(0);
    struct sum sum;
    struct ash_event done;
    sum_init(device, &sum);
    set_delay(LATE_MS);
    int64_t start_ns = ash_now_ns();
    cr_assert_eq(sum_launch(&sum, &done), ASH_OK);
    int64_t queued_ns = ash_now_ns() - start_ns;
    cr_assert_eq(ash_driver_hip.wait(device, done), ASH_OK);
    cr_assert_geq(ash_now_ns() - start_ns, LATE_MS * 1000000LL);
    fprintf(stderr, "queued in %.2f ms\n", (double)queued_ns / 1e6);
    set_delay(0);
    sum_check(&sum, sum.rig.step.out);
    rig_finish(&sum.rig);
    close_all(device, NULL);
}

Test(hip, old_events_have_happened_also_when_the_ring_has_forgotten_them, .init = set_up)
{
    struct ash_device *device = open_device(0);
    struct ash_buffer *buffer = rig_allocate(device, 64, ASH_MEMORY_STATE);
    struct ash_place to = { buffer, 0 }, from = { buffer, 32 };
    struct ash_event first, done;
    cr_assert_eq(ash_driver_hip.copy(device, to, from, 32, NULL, 0, &first), ASH_OK);
    for (int i = 0; i < 3 * DEVICE_RING; i++)
        cr_assert_eq(ash_driver_hip.copy(device, to, from, 32, NULL, 0, &done), ASH_OK);
    cr_assert_eq(done.value, first.value + 3 * DEVICE_RING);
    cr_assert_eq(ash_driver_hip.wait(device, first), ASH_OK);
    cr_assert_eq(ash_driver_hip.wait(device, done), ASH_OK);
    done.value++;
    cr_assert_eq(ash_driver_hip.wait(device, done), ASH_ERR_ARGUMENT);
    ash_driver_hip.free(buffer);
    close_all(device, NULL);
}

/* ---- Steps and copies ---- */

Test(hip, copies_and_steps_of_a_card_run_beside_each_other, .init = set_up, .timeout = 60)
{
    struct ash_device *device = open_device(0);
    struct ash_buffer *buffer = rig_allocate(device, 64, ASH_MEMORY_STATE);
    struct ash_place to = { buffer, 0 }, from = { buffer, 32 };
    struct ash_event stepped, copied;
    struct sum sum;
    sum_init(device, &sum);
    set_hold(HIP_DOUBLE_KERNELS);
    cr_assert_eq(sum_launch(&sum, &stepped), ASH_OK);
    cr_assert_eq(ash_driver_hip.copy(device, to, from, 32, NULL, 0, &copied), ASH_OK);
    rig_wait(copied); /* for ever, behind the step */
    set_hold(HIP_DOUBLE_COPIES);
    rig_wait(stepped);
    cr_assert_eq(ash_driver_hip.copy(device, to, from, 32, NULL, 0, &copied), ASH_OK);
    cr_assert_eq(sum_launch(&sum, &stepped), ASH_OK);
    rig_wait(stepped); /* for ever, behind the copy */
    set_hold(HIP_DOUBLE_NOTHING);
    rig_wait(copied);
    ash_driver_hip.free(buffer);
    sum_run_and_finish(&sum);
    close_all(device, NULL);
}

Test(hip, a_copy_waits_for_the_step_that_it_was_given, .init = set_up)
{
    struct ash_device *device = open_device(0);
    struct sum sum;
    struct ash_event done;
    static float result[TOKENS * COLUMNS];
    struct ash_buffer host;
    sum_init(device, &sum);
    cr_assert(ash_driver_hip.pin(device, result, sizeof result), "else the host would wait");
    set_hold(HIP_DOUBLE_KERNELS);
    cr_assert_eq(sum_launch(&sum, &done), ASH_OK);
    cr_assert_eq(ash_driver_hip.copy(device, rig_host_place(result, sizeof result, &host),
                     sum.rig.step.out, sizeof result, &done, 1, &done),
        ASH_OK);
    usleep(LATE_MS * 1000); /* for a copy that does not wait to be wrong */
    set_hold(HIP_DOUBLE_NOTHING);
    rig_wait(done);
    for (int i = 0; i < TOKENS * COLUMNS; i++)
        cr_assert_eq(result[i], ((float *)sum.rig.host[0])[i] + ((float *)sum.rig.host[1])[i]);
    ash_driver_hip.unpin(device, result);
    rig_finish(&sum.rig);
    close_all(device, NULL);
}

/* ---- Two cards ---- */

/* Copies the sum to the other card, after `done`. */
static enum ash_status copy_over(struct ash_device *other, const struct sum *sum,
    struct ash_buffer *buffer, struct ash_event *done)
{
    struct ash_event after = *done;
    return ash_driver_hip.copy(other, (struct ash_place){ buffer, 0 }, sum->rig.step.out,
        TOKENS * COLUMNS * sizeof(float), &after, 1, done);
}

Test(hip, a_copy_from_card_to_card_follows_the_others_work_without_the_host, .init = set_up)
{
    struct ash_device *device = open_device(0), *other = open_device(1);
    struct ash_buffer *buffer =
        rig_allocate(other, TOKENS * COLUMNS * sizeof(float), ASH_MEMORY_STATE);
    struct sum sum;
    struct ash_event done;
    sum_init(device, &sum);
    set_delay(LATE_MS);
    int64_t start_ns = ash_now_ns();
    cr_assert_eq(sum_launch(&sum, &done), ASH_OK);
    cr_assert_eq(copy_over(other, &sum, buffer, &done), ASH_OK, "%s", ash_error());
    cr_assert_lt(ash_now_ns() - start_ns, LATE_MS * 1000000LL, "nobody waited for the first card");
    cr_assert_eq(done.device, other);
    cr_assert_eq(ash_driver_hip.wait(other, done), ASH_OK, "%s", ash_error());
    set_delay(0);
    cr_assert_eq(count_peer_copies(), 1);
    sum_check(&sum, (struct ash_place){ buffer, 0 });
    ash_driver_hip.free(buffer);
    rig_finish(&sum.rig);
    close_all(device, other);
}

Test(hip, whoever_waits_for_a_copy_hears_of_the_other_cards_end, .init = set_up)
{
    struct ash_device *device = open_device(0), *other = open_device(1);
    struct ash_buffer *buffer =
        rig_allocate(other, TOKENS * COLUMNS * sizeof(float), ASH_MEMORY_STATE);
    struct sum sum;
    struct ash_event done;
    sum_init(device, &sum);
    set_delay(LATE_MS);
    fail_from(HIP_DOUBLE_LOST, 0);
    cr_assert_eq(sum_launch(&sum, &done), ASH_OK);
    cr_assert_eq(copy_over(other, &sum, buffer, &done), ASH_OK, "%s", ash_error());
    cr_assert_eq(ash_driver_hip.wait(other, done), ASH_ERR_DEVICE);
    cr_assert(strstr(ash_error(), "hip:0"), "%s", ash_error());
    set_delay(0);
    fail_from(HIP_DOUBLE_LOST, -1);
    cr_assert_eq(sum_launch(&sum, &done), ASH_ERR_DEVICE);
    ash_driver_hip.free(buffer);
    rig_finish(&sum.rig);
    close_all(device, other);
}

Test(hip, a_copy_between_two_strangers_is_refused, .init = set_up)
{
    struct ash_device *device = open_device(0), *other = open_device(1);
    struct ash_buffer *buffer = rig_allocate(other, 64, ASH_MEMORY_STATE);
    struct ash_event done;
    struct ash_place place = { buffer, 0 };
    cr_assert_eq(ash_driver_hip.copy(device, place, place, 32, NULL, 0, &done), ASH_ERR_ARGUMENT);
    ash_driver_hip.free(buffer);
    close_all(device, other);
}

/* ---- Kernels ---- */

Test(hip, every_width_of_attention_and_every_cache_was_built, .init = set_up)
{
    struct ash_device *device = open_device(0);
    const struct ash_attention_params params = { .heads = 2, .scale = 1 };
    const enum ash_type types[] = { ASH_F32, ASH_F16, ASH_Q8_0 };
    for (size_t t = 0; t < 3; t++)
        for (int64_t size = 32; size <= ASH_KV_MAX_HEAD_SIZE; size += 32) {
            struct ash_loaded *loaded = NULL;
            struct ash_args args = { .in = { rig_shape(ASH_EXTENT_TOKENS, TOKENS, 2 * size) },
                .params = &params };
            const int64_t dim[] = { 4, 1, ASH_PAGE_POSITIONS, size };
            cr_assert_eq(ash_tensor_init(types[t], 4, dim, &args.in[1]), ASH_OK);
            args.in[2] = args.in[1];
            args.out = args.in[0];
            cr_assert_eq(ash_driver_hip.load(device, &ash_op_attention, &args, &loaded), ASH_OK,
                "%s", ash_error());
            ash_driver_hip.unload(device, loaded);
        }
    close_all(device, NULL);
}

Test(hip_amd, every_card_takes_the_object_that_was_built_for_it, .init = set_up)
{
    for (const struct hip_object *object = hip_objects; object->arch; object++) {
        if (strncmp(object->arch, "gfx", 3) != 0)
            continue;
        struct sum sum;
        setenv("HIP_DOUBLE_ARCH", object->arch, 1);
        probe();
        struct ash_device *device = open_device(1);
        sum_init(device, &sum);
        sum_run_and_finish(&sum);
        close_all(device, NULL);
    }
}

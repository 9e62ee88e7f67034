/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is PJRT's own, where a real plugin is given (tests/drivers/pjrt.sh): its errors, its other chips, its
 * programs on disk. Plugins of no use are pjrt_faults.c's.
 */
#include "drivers/pjrt/pjrt.h"

#include "drivers/pjrt/pjrt_internal.h"
#include "kernels/add/add.h"
#include "tests/drivers/folder_rig.h"
#include "tests/drivers/rig.h"
#include "tests/support/tiny_ops.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static struct ash_device_info first;

static struct ash_device *open_configured(int index, const struct ash_config *config)
{
    struct ash_device *device;
    int count;
    cr_assert_eq(ash_driver_pjrt.probe(NULL, &first, 1, &count), ASH_OK);
    if (!first.usable)
        cr_skip_test("no PJRT plugin: see tests/drivers/pjrt.sh");
    first.index = index;
    cr_assert_eq(ash_driver_pjrt.open(&first, config, &device), ASH_OK, "%s", ash_error());
    return device;
}

static struct ash_device *open_chip(int index)
{
    return open_configured(index, NULL);
}

/* Queues a sum of `tokens` rows, the most there can be TOKENS. */
static struct ash_event launch_add(struct ash_device *device, int tokens, struct rig *rig)
{
    static struct tiny_batch batch;
    struct ash_event done;
    struct ash_tensor inputs[ASH_MAX_INPUTS] = { rig_shape(ASH_EXTENT_TOKENS, TOKENS, COLUMNS),
        rig_shape(ASH_EXTENT_TOKENS, TOKENS, COLUMNS) };
    cr_assert(rig_init(device, &ash_op_add, inputs, NULL, rig));
    tiny_batch_init(&batch, tokens, 1);
    cr_assert_eq(device->driver->launch(device, &rig->step, &batch.batch, NULL, 0, &done), ASH_OK,
        "%s", ash_error());
    return done;
}

static void check_sum(const struct rig *rig, struct ash_place place, int tokens)
{
    float sum[TOKENS * COLUMNS];
    rig_read(place, (size_t)tokens * COLUMNS * sizeof *sum, sum);
    for (int i = 0; i < tokens * COLUMNS; i++)
        cr_assert_eq(sum[i], ((float *)rig->host[0])[i] + ((float *)rig->host[1])[i]);
}

static void run_add(struct ash_device *device)
{
    struct rig rig;
    rig_wait(launch_add(device, TOKENS, &rig));
    check_sum(&rig, rig.step.out, TOKENS);
    rig_finish(&rig);
}

Test(pjrt, other_chips_of_a_plugin_run_their_own_programs)
{
    struct ash_device *device = open_chip(1); /* plugins for the processor have four */
    run_add(device);
    ash_driver_pjrt.close(device);
    first.index = 1000;
    cr_assert_eq(ash_driver_pjrt.open(&first, NULL, &device), ASH_ERR_DEVICE);
    cr_assert(strstr(ash_error(), "is gone now"), "%s", ash_error());
}

/* Copies `tokens` rows that are still being computed; whether they are there without the host's doing. */
static bool copy_rows(struct ash_device *from, struct ash_device *to, int tokens,
    enum ash_memory_use use, size_t offset_bytes)
{
    struct rig rig;
    size_t bytes = (size_t)tokens * COLUMNS * sizeof(float);
    struct ash_buffer *buffer = rig_allocate(to, 1 << 20, use);
    struct ash_place there = { buffer, offset_bytes };
    struct ash_event after = launch_add(from, tokens, &rig), done;
    cr_assert_eq(to->driver->copy(to, there, rig.step.out, bytes, &after, 1, &done), ASH_OK, "%s",
        ash_error());
    cr_assert_eq(done.device, to);
    const struct pjrt_buffer *self = (const struct pjrt_buffer *)buffer;
    bool direct = self->count == 1 && self->piece[0].array[0] && !self->piece[0].host;
    check_sum(&rig, there, tokens);
    rig_wait(done);
    to->driver->free(buffer);
    rig_finish(&rig);
    return direct;
}

Test(pjrt, devices_of_a_plugin_share_its_client_and_copy_without_the_host)
{
    struct ash_device *a = open_chip(0), *b = open_chip(1);
    cr_assert_eq(((struct pjrt_device *)a)->client, ((struct pjrt_device *)b)->client);
    cr_assert(copy_rows(a, b, TOKENS, ASH_MEMORY_STATE, 256));
    cr_assert(copy_rows(b, a, 5, ASH_MEMORY_ARENA, 0));
    cr_assert_not(copy_rows(a, b, 5, ASH_MEMORY_STATE, 0)); /* what is behind them stays */
    ash_driver_pjrt.close(a);
    run_add(b);
    a = open_chip(0); /* which probes again, by the client that is open */
    run_add(a);
    ash_driver_pjrt.close(b);
    ash_driver_pjrt.close(a);
    a = open_chip(0);
    run_add(a);
    ash_driver_pjrt.close(a);
}

/* In an arena: over a value that is dead another came by a copy, then a step's result over the rest of it. */
Test(pjrt, a_result_leaves_the_bytes_beside_it)
{
    enum { RESULT = TOKENS * COLUMNS * sizeof(float), KEPT = 64 };
    struct ash_device *device = open_chip(0);
    struct rig rig;
    struct tiny_batch batch;
    struct ash_event done;
    struct ash_buffer *buffer = rig_allocate(device, 2 * RESULT, ASH_MEMORY_ARENA), host;
    static char dead[RESULT + KEPT], kept[KEPT], found[KEPT];
    memset(dead, 1, sizeof dead);
    memset(kept, 2, sizeof kept);
    rig_copy(device, (struct ash_place){ buffer, 0 }, rig_host_place(dead, sizeof dead, &host),
        sizeof dead);
    rig_copy(device, (struct ash_place){ buffer, RESULT }, rig_host_place(kept, KEPT, &host), KEPT);
    rig_wait(launch_add(device, TOKENS, &rig));
    rig.step.out = (struct ash_place){ buffer, 0 };
    tiny_batch_init(&batch, TOKENS, 1);
    cr_assert_eq(device->driver->launch(device, &rig.step, &batch.batch, NULL, 0, &done), ASH_OK);
    rig_wait(done);
    check_sum(&rig, rig.step.out, TOKENS);
    rig_read((struct ash_place){ buffer, RESULT }, KEPT, found);
    cr_assert_arr_eq(found, kept, KEPT);
    device->driver->free(buffer);
    rig_finish(&rig);
    ash_driver_pjrt.close(device);
}

static void run_once(void)
{
    struct ash_device *device = open_configured(0, &rig_config);
    run_add(device);
    ash_driver_pjrt.close(device);
}

Test(pjrt, a_program_is_kept_and_a_damaged_one_made_again, .init = rig_cache_set_up,
    .fini = rig_cache_tear_down)
{
    rig_check_kept_programs("pjrt", run_once);
}

Test(pjrt, a_cache_that_cannot_be_written_costs_time_only, .init = rig_cache_set_up,
    .fini = rig_cache_tear_down)
{
    rig_check_programs_that_cannot_be_kept("pjrt", run_once);
}

Test(pjrt, the_compilers_words_are_passed_on_and_nothing_is_lost)
{
    struct ash_device *device = open_chip(0);
    struct pjrt_device *self = (struct pjrt_device *)device;
    struct pjrt_executable *executable = NULL;
    char words[] = "module { nonsense }";
    struct pjrt_text text = { .text = words, .length = strlen(words) };
    cr_assert_eq(pjrt_compile_text(self, &text, &executable), ASH_ERR_DEVICE);
    cr_assert(strstr(ash_error(), "cannot compile a program: "), "%s", ash_error());
    cr_assert(strstr(ash_error(), "nonsense"), "%s", ash_error());
    run_add(device);
    ash_driver_pjrt.close(device);
}

Test(pjrt, writes_across_pieces_keep_what_is_around_them)
{
    struct ash_device *device = open_chip(0);
    struct ash_buffer host, *buffer = rig_allocate(device, 4096, ASH_MEMORY_STATE);
    unsigned char model[4096] = { 0 }, bytes[4096];
    static const struct {
        size_t offset, length;
    } writes[] = { { 100, 50 }, { 200, 50 }, { 120, 100 }, { 0, 110 }, { 4000, 96 }, { 50, 4000 } };
    for (size_t i = 0; i < sizeof writes / sizeof *writes; i++) {
        memset(bytes, (int)i + 1, sizeof bytes);
        memset(model + writes[i].offset, (int)i + 1, writes[i].length);
        rig_copy(device, (struct ash_place){ buffer, writes[i].offset },
            rig_host_place(bytes, sizeof bytes, &host), writes[i].length);
        rig_read((struct ash_place){ buffer, 0 }, sizeof bytes, bytes);
        cr_assert_arr_eq(bytes, model, sizeof model, "after write %zu", i);
    }
    device->driver->free(buffer);
    ash_driver_pjrt.close(device);
}

Test(pjrt, a_lost_device_stays_lost)
{
    struct ash_device *device = open_chip(0);
    struct ash_buffer *buffer = rig_allocate(device, 64, ASH_MEMORY_STATE);
    ((struct pjrt_device *)device)->lost = true;
    rig_expect_lost(device, buffer);
    device->driver->free(buffer);
    ash_driver_pjrt.close(device);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pinned host memory, on the double of HIP's library, which holds the host for every copy from or to other
 * memory of the host: by the driver, and in plans. A test that hangs has something that is not pinned.
 */
#include "drivers/drivers.h"
#include "drivers/hip/hip.h"
#include "drivers/hip/hip_arch.h"
#include "kernels/add/add.h"
#include "runtime/config.h"
#include "runtime/memory.h"
#include "scheduler/plan_internal.h"
#include "tests/drivers/hip_double/hip_double.h"
#include "tests/drivers/rig.h"
#include "tests/support/lazy_device.h"
#include "tests/support/tiny_ops.h"

#include <criterion/criterion.h>
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

enum { WATCHDOG_S = 60, BYTES = 10000, ROWS_MICRO = 8, MOST = 3 };

/* ---- The double's switches ---- */

static hip_double_fail_from *fail_from;
static hip_double_hold *set_hold;
static hip_double_live *count_live;
static hip_double_held_copies *count_held;

static void *symbol_of(void *library, const char *name)
{
    void *found_at = dlsym(library, name);
    cr_assert(found_at, "%s is not in the double", name);
    return found_at;
}

#define FIND(library, name, to) memcpy(&(to), &(void *){ symbol_of(library, name) }, sizeof(void *))

static void set_up(void)
{
    if (!hip_objects[0].arch)
        cr_skip_test("no kernels for cards: install clang-22 and lld-22, set the build up anew");
    const char *path = getenv("ASHLAR_HIP_LIBRARY");
    void *library = path ? dlopen(path, RTLD_NOW) : NULL;
    cr_assert(library, "the build names the double");
    FIND(library, "hip_double_fail", fail_from);
    FIND(library, "hip_double_set_hold", set_hold);
    FIND(library, "hip_double_count", count_live);
    FIND(library, "hip_double_count_held_copies", count_held);
}

/* ---- Devices ---- */

/* "lazy" is another maker's card, which copies by way of the host. */
static struct ash_device *open_named(const char *name)
{
    struct ash_device_info infos[8];
    const struct ash_device_info *info;
    struct ash_device *device;
    struct ash_config config = { .threads = 2 };
    int count;
    if (strcmp(name, "lazy") == 0)
        return lazy_open(0, 1 << 30);
    cr_assert_eq(ash_devices_probe_for(NULL, name, infos, 8, &count), ASH_OK, "%s", ash_error());
    cr_assert_eq(ash_device_find(infos, count, name, &info), ASH_OK, "%s", ash_error());
    cr_assert_eq(info->driver->open(info, &config, &device), ASH_OK, "%s", ash_error());
    return device;
}

static void close_all(struct ash_device *const *device)
{
    for (int i = 0; i < MOST; i++)
        device[i]->driver->close(device[i]);
    cr_assert_eq(count_live(), 0, "%lld things are left", (long long)count_live());
}

/* ---- The driver ---- */

/* Once there and once back, of which the second waits for the first. */
static struct ash_event queue_copies(
    struct ash_device *device, struct ash_buffer *buffer, char *up, char *down)
{
    struct ash_buffer host_up, host_down;
    struct ash_event sent, fetched;
    const struct ash_place there = { buffer, 0 };
    cr_assert_eq(device->driver->copy(
                     device, there, rig_host_place(up, BYTES, &host_up), BYTES, NULL, 0, &sent),
        ASH_OK);
    cr_assert_eq(device->driver->copy(device, rig_host_place(down, BYTES, &host_down), there, BYTES,
                     &sent, 1, &fetched),
        ASH_OK);
    return fetched;
}

Test(hip, copies_of_pinned_memory_do_not_hold_the_host, .init = set_up, .timeout = WATCHDOG_S)
{
    struct ash_device *device[MOST] = { open_named("hip:0"), open_named("hip:1"),
        open_named("null") };
    struct ash_buffer *buffer[] = { rig_allocate(device[0], BYTES, ASH_MEMORY_STATE),
        rig_allocate(device[1], BYTES, ASH_MEMORY_STATE) };
    char *up = ash_alloc_pages(BYTES), *down = ash_alloc_pages(BYTES);
    cr_assert(ash_host_pin(device[0], up, BYTES) && ash_host_pin(device[0], down, BYTES));
    cr_assert(!ash_host_pin(device[1], up, BYTES), "one has pinned it for all");
    cr_assert(!ash_host_pin(device[2], up, BYTES), "its copies need nothing pinned");
    for (int i = 0; i < 2; i++) { /* of either card */
        memset(up, 3 + i, BYTES);
        set_hold(HIP_DOUBLE_COPIES);
        struct ash_event done = queue_copies(device[i], buffer[i], up, down);
        set_hold(HIP_DOUBLE_NOTHING);
        rig_wait(done);
        cr_assert_arr_eq(up, down, BYTES);
    }
    cr_assert_eq(count_held(), 0);
    ash_host_unpin(device[0], up);
    rig_wait(queue_copies(device[0], buffer[0], up, down));
    cr_assert_eq(count_held(), 1, "what is unpinned is as other memory");
    ash_host_unpin(device[0], down);
    ash_free(up);
    ash_free(down);
    device[0]->driver->free(buffer[0]);
    device[1]->driver->free(buffer[1]);
    close_all(device);
}

/* ---- Plans ---- */

/* x by the first device, y = x + x by the second, z = y + x by the one that is `last`; all are outputs. */
struct line {
    const char *name[MOST];
    int32_t last;
};

/* Two cards read the first's arena, or one reads and writes it; the last has what it reads by way of the host, or is
 * the host. */
static const struct line lines[] = {
    { { "cpu", "hip:0", "hip:1" }, 2 },
    { { "cpu", "hip:0", "hip:1" }, 0 },
    { { "null", "hip:1", "lazy" }, 2 },
    { { "cpu", "hip:0", "null" }, 2 },
    { { "null", "hip:1", "cpu" }, 2 },
};

enum { LINES = sizeof lines / sizeof *lines, STAGED = 2 };

struct work {
    struct ash_device *device[MOST];
    int32_t placement[MOST];
    struct ash_graph *graph;
    ash_value value[MOST];
    struct ash_plan_options options;
};

static void work_init(const struct line *line, struct work *out)
{
    const struct tiny_source_params params = { COLUMNS };
    for (int i = 0; i < MOST; i++)
        out->device[i] = open_named(line->name[i]);
    cr_assert_eq(ash_graph_create(TOKENS, OUTPUTS, &out->graph), ASH_OK);
    ash_value *x = out->value;
    x[0] = ash_graph_add(out->graph, "x", &tiny_source, NULL, 0, &params);
    x[1] = ash_graph_add(out->graph, "y", &ash_op_add, (ash_value[]){ x[0], x[0] }, 2, NULL);
    x[2] = ash_graph_add(out->graph, "z", &ash_op_add, (ash_value[]){ x[1], x[0] }, 2, NULL);
    for (int i = 0; i < MOST; i++)
        ash_graph_mark_output(out->graph, x[i]);
    out->placement[0] = 0;
    out->placement[1] = 1;
    out->placement[2] = line->last;
    out->options = (struct ash_plan_options){ out->device, MOST, .placement = out->placement,
        .no_fusion = true };
}

static struct ash_plan *work_plan(const struct work *work)
{
    struct ash_plan *plan;
    cr_assert_eq(ash_plan_create(work->graph, &work->options, &plan), ASH_OK, "%s", ash_error());
    return plan;
}

static void work_finish(struct work *work)
{
    ash_graph_destroy(work->graph);
    close_all(work->device);
}

/* y is 2 x and z is 3 x, row by row, of all rows. */
static void work_check(const struct work *work, struct ash_plan *plan)
{
    const struct ash_tensor *out[MOST];
    for (int i = 0; i < MOST; i++)
        out[i] = ash_plan_output(plan, work->value[i]);
    cr_assert_eq(out[2]->dim[0], TOKENS);
    for (int i = 0; i < TOKENS * COLUMNS; i++) {
        float x = ((const float *)out[0]->data)[i];
        cr_assert_eq(((const float *)out[1]->data)[i], x + x, "y, element %d", i);
        cr_assert_eq(((const float *)out[2]->data)[i], x + x + x, "z, element %d", i);
    }
}

/* Whether queueing a segment waits for devices by nature: the host computes or copies it itself, and not at first. */
static bool is_hosts(const struct ash_plan *plan, int32_t index)
{
    const struct plan_segment *segment = &plan->segment[index];
    bool by_source = segment->from >= 0 && plan->step[segment->first].out.buffer->host;
    int32_t by = by_source ? segment->from : segment->device;
    return index > 0 && plan->device[by].device->info.host_memory;
}

/* As ash_plan_run(), but that no copy of a card begins before all is queued that the host can queue. */
static void run_held(struct ash_plan *plan, const struct ash_batch *batch)
{
    plan_begin(plan);
    set_hold(HIP_DOUBLE_COPIES);
    for (int32_t s = 0; s < plan->segments; s++) {
        if (is_hosts(plan, s))
            set_hold(HIP_DOUBLE_NOTHING);
        cr_assert_eq(plan_queue_segment(plan, s, batch), ASH_OK, "%s", ash_error());
    }
    for (int32_t i = 0; i < plan->output_count; i++)
        cr_assert_eq(
            plan_queue_output(plan, i, batch, (struct ash_place){ &plan->output[i].copy, 0 }),
            ASH_OK);
    set_hold(HIP_DOUBLE_NOTHING);
    cr_assert_eq(plan_finish(plan, ASH_OK), ASH_OK, "%s", ash_error());
}

Test(hip, the_host_queues_a_plan_while_no_copy_begins, .init = set_up, .timeout = WATCHDOG_S)
{
    for (size_t i = 0; i < LINES; i++) {
        struct work work;
        struct tiny_batch batch;
        work_init(&lines[i], &work);
        tiny_batch_init(&batch, TOKENS, 1);
        struct ash_plan *plan = work_plan(&work);
        run_held(plan, &batch.batch);
        work_check(&work, plan);
        cr_assert_eq(count_held(), 0, "line %zu", i);
        ash_plan_destroy(plan);
        work_finish(&work);
    }
}

Test(hip, micro_batches_copy_pinned_memory_only, .init = set_up, .timeout = WATCHDOG_S)
{
    for (size_t i = 0; i < LINES; i++) {
        struct work work;
        struct tiny_batch batch;
        struct ash_plan_summary summary;
        work_init(&lines[i], &work);
        tiny_batch_init(&batch, TOKENS, 1);
        struct ash_plan *plan = work_plan(&work);
        cr_assert_eq(ash_plan_add_micro(plan, work.graph, &work.options, ROWS_MICRO), ASH_OK);
        ash_plan_summary(plan, &summary);
        cr_assert_eq(summary.micro_tokens, ROWS_MICRO);
        cr_assert_eq(ash_plan_run(plan, &batch.batch), ASH_OK, "%s", ash_error());
        work_check(&work, plan);
        cr_assert_eq(count_held(), 0, "line %zu", i);
        ash_plan_destroy(plan);
        work_finish(&work);
    }
}

/* From the nth piece of memory on. */
Test(hip, what_cannot_be_pinned_is_copied_all_the_same, .init = set_up, .timeout = WATCHDOG_S)
{
    for (size_t i = 0; i < LINES; i++)
        for (int64_t nth = 0; nth < 3; nth++) {
            struct work work;
            struct tiny_batch batch;
            work_init(&lines[i], &work);
            tiny_batch_init(&batch, TOKENS, 1);
            fail_from(HIP_DOUBLE_PIN, nth);
            int64_t held = count_held();
            struct ash_plan *plan = work_plan(&work);
            fail_from(HIP_DOUBLE_PIN, -1);
            cr_assert_eq(ash_plan_run(plan, &batch.batch), ASH_OK, "%s", ash_error());
            work_check(&work, plan);
            cr_assert(nth > 0 || count_held() > held);
            ash_plan_destroy(plan);
            work_finish(&work);
        }
}

/* Whether there was memory for all: a plan goes without micro-batches where there is none for them. */
static bool plan_with_failing_memory(const struct work *work, int64_t nth)
{
    struct ash_plan_summary summary = { 0 };
    struct ash_plan *plan = NULL;
    ash_memory_fail_from(nth);
    enum ash_status status = ash_plan_create(work->graph, &work->options, &plan);
    if (status == ASH_OK)
        status = ash_plan_add_micro(plan, work->graph, &work->options, ROWS_MICRO);
    ash_memory_fail_from(-1);
    cr_assert(status == ASH_OK || status == ASH_ERR_NO_MEMORY, "%s", ash_error());
    if (plan)
        ash_plan_summary(plan, &summary);
    ash_plan_destroy(plan);
    return summary.micro_tokens > 0;
}

Test(hip, a_plan_that_fails_leaves_nothing_pinned, .init = set_up, .timeout = WATCHDOG_S)
{
    struct work work;
    work_init(&lines[STAGED], &work);
    int64_t live = count_live(), nth = 0;
    while (!plan_with_failing_memory(&work, nth++))
        cr_assert_eq(count_live(), live, "allocation %lld", (long long)nth);
    cr_assert_eq(count_live(), live);
    work_finish(&work);
}

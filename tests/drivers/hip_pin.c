/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pinned host memory, on the double of HIP's library, which holds the host for every copy from or to other
 * memory of the host. A test that hangs has something that is not pinned.
 */
#include "drivers/drivers.h"
#include "drivers/hip/hip.h"
#include "drivers/hip/hip_arch.h"
#include "runtime/config.h"
#include "runtime/memory.h"
#include "tests/drivers/hip_double/hip_double.h"
#include "tests/drivers/rig.h"

#include <criterion/criterion.h>
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

enum { WATCHDOG_S = 60, BYTES = 10000, MOST = 3 };

/* ---- The double's switches ---- */

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
    FIND(library, "hip_double_set_hold", set_hold);
    FIND(library, "hip_double_count", count_live);
    FIND(library, "hip_double_count_held_copies", count_held);
}

/* ---- Devices ---- */

static struct ash_device *open_named(const char *name)
{
    struct ash_device_info infos[8];
    const struct ash_device_info *info;
    struct ash_device *device;
    struct ash_config config = { .threads = 2 };
    int count;
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

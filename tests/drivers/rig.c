/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/drivers/rig.h"

#include "drivers/drivers.h"
#include "runtime/memory.h"
#include "runtime/trace.h"
#include "tests/support/tiny_ops.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

void rig_for_each_device(void (*check)(struct ash_device *device))
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

void rig_expect_reason(const struct ash_driver *driver, const char *word)
{
    struct ash_device_info found[MAX_DEVICES];
    int count;
    cr_assert_eq(driver->probe(NULL, found, MAX_DEVICES, &count), ASH_OK, "%s", ash_error());
    cr_assert_eq(count, 1);
    cr_assert_not(found[0].usable);
    cr_assert(strstr(found[0].reason, word), "%s", found[0].reason);
}

void rig_expect_reason_in_no_time(const struct ash_driver *driver, const char *word)
{
    enum { MILLISECONDS = 150 };
    int64_t least_ns = INT64_MAX;
    for (int i = 0; i < 5; i++) {
        int64_t start_ns = ash_now_ns();
        rig_expect_reason(driver, word);
        int64_t took_ns = ash_now_ns() - start_ns;
        least_ns = took_ns < least_ns ? took_ns : least_ns;
    }
    fprintf(stderr, "%s, %s: %.2f ms\n", driver->name, word, (double)least_ns / 1e6);
#ifdef NDEBUG /* a sanitizer's process takes longer to start */
    cr_assert_lt(least_ns, MILLISECONDS * 1000000LL);
#endif
}

void rig_expect_lost(struct ash_device *device, struct ash_buffer *buffer)
{
    struct ash_event done;
    for (int i = 0; i < 2; i++) {
        cr_assert_eq(device->driver->copy(device, (struct ash_place){ buffer, 0 },
                         (struct ash_place){ buffer, 32 }, 32, NULL, 0, &done),
            ASH_ERR_DEVICE);
        cr_assert(strstr(ash_error(), "was lost earlier"), "%s", ash_error());
    }
}

struct ash_place rig_host_place(void *memory, size_t size_bytes, struct ash_buffer *buffer)
{
    *buffer = (struct ash_buffer){ .size_bytes = size_bytes, .host = memory };
    return (struct ash_place){ buffer, 0 };
}

struct ash_buffer *rig_allocate(
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

void rig_wait(struct ash_event event)
{
    cr_assert_eq(event.device->driver->wait(event.device, event), ASH_OK, "%s", ash_error());
}

void rig_copy(
    struct ash_device *device, struct ash_place to, struct ash_place from, size_t size_bytes)
{
    struct ash_event done;
    cr_assert_eq(device->driver->copy(device, to, from, size_bytes, NULL, 0, &done), ASH_OK,
        "%s: %s", device->driver->name, ash_error());
    cr_assert_eq(done.device, device);
    rig_wait(done);
}

void rig_read(struct ash_place from, size_t size_bytes, void *out)
{
    struct ash_buffer host;
    rig_copy(from.buffer->device, rig_host_place(out, size_bytes, &host), from, size_bytes);
}

struct ash_tensor rig_shape(enum ash_extent extent, int64_t rows, int64_t columns)
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
    *buffer = rig_allocate(device, size_bytes, use);
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

bool rig_init(struct ash_device *device, const struct ash_op *op, const struct ash_tensor *inputs,
    const void *params, struct rig *rig)
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

void rig_finish(struct rig *rig)
{
    for (int i = 0; i < ASH_MAX_INPUTS; i++) {
        rig->device->driver->free(rig->in[i]);
        ash_free(rig->host[i]);
    }
    rig->device->driver->free(rig->out);
    rig->device->driver->unload(rig->device, rig->step.loaded);
}

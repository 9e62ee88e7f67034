/* SPDX-License-Identifier: Apache-2.0 */
#include "drivers/cpu/cpu_internal.h"
#include "drivers/drivers.h"
#include "runtime/memory.h"
#include "runtime/pool.h"

#include <string.h>

enum { ALIGNMENT = 64 };

struct cpu_buffer {
    struct ash_buffer base;
    struct ash_pool *pool; /* of this buffer alone */
};

static enum ash_status create_pool(
    int numa_node, size_t size_bytes, enum ash_memory_use use, struct ash_pool **out)
{
    return use == ASH_MEMORY_WEIGHTS ? ash_pool_create_unfilled(numa_node, size_bytes, out)
                                     : ash_pool_create_lazy(numa_node, size_bytes, out);
}

enum ash_status cpu_alloc(
    struct ash_device *device, size_t size_bytes, enum ash_memory_use use, struct ash_buffer **out)
{
    struct cpu_buffer *buffer = ash_alloc_zero(sizeof *buffer);
    if (!buffer)
        return ash_fail_memory(sizeof *buffer, "a buffer");
    enum ash_status status = create_pool(device->info.numa_node, size_bytes, use, &buffer->pool);
    if (status != ASH_OK) {
        ash_free(buffer);
        return status;
    }
    buffer->base = (struct ash_buffer){ .device = device,
        .size_bytes = size_bytes,
        .host = ash_pool_alloc(buffer->pool, size_bytes, ALIGNMENT) };
    *out = &buffer->base;
    return ASH_OK;
}

void cpu_free(struct ash_buffer *buffer)
{
    if (!buffer)
        return;
    ash_pool_destroy(((struct cpu_buffer *)buffer)->pool);
    ash_free(buffer);
}

static char *host_at(struct ash_place place)
{
    return (char *)place.buffer->host + place.offset_bytes;
}

/* A weight on its way into a buffer, in runs of rows. */
struct packing {
    const struct ash_kernel *kernel; /* NULL = as it is */
    const struct ash_tensor *weight;
    char *to;
    int64_t rows;
    int64_t grain;
};

static void pack_run(void *ctx, int64_t first, int64_t end, int worker)
{
    const struct packing *packing = ctx;
    (void)worker;
    first *= packing->grain;
    end = end * packing->grain < packing->rows ? end * packing->grain : packing->rows;
    if (packing->kernel) {
        packing->kernel->pack(packing->weight, first, end, packing->to);
        return;
    }
    size_t row_bytes = ash_tensor_row_bytes(packing->weight);
    memcpy(packing->to + (size_t)first * row_bytes,
        (const char *)packing->weight->data + (size_t)first * row_bytes,
        (size_t)(end - first) * row_bytes);
}

enum ash_status cpu_upload(struct ash_device *device, const struct ash_loaded *loaded, int input,
    const struct ash_tensor *weight, struct ash_place to)
{
    const struct ash_kernel *kernel = ((const struct cpu_loaded *)loaded)->kernel;
    bool packs = loaded->packed_input && loaded->packed_input == input;
    struct packing packing = { .kernel = packs ? kernel : NULL,
        .weight = weight,
        .to = host_at(to),
        .rows = ash_tensor_rows(weight),
        .grain = packs ? kernel->grain : 1 };
    int64_t runs = (packing.rows + packing.grain - 1) / packing.grain;
    ash_parallel_for(((struct cpu_device *)device)->team, runs, 0, pack_run, &packing);
    return ASH_OK;
}

enum ash_status cpu_copy(struct ash_device *device, struct ash_place to, struct ash_place from,
    size_t size_bytes, const struct ash_event *after, int after_count, struct ash_event *done)
{
    ASH_TRY(ash_events_wait(after, after_count));
    memmove(host_at(to), host_at(from), size_bytes);
    *done = cpu_next_event(device);
    return ASH_OK;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "drivers/cpu/cpu_internal.h"
#include "drivers/drivers.h"
#include "runtime/memory.h"
#include "runtime/numa_node.h"
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

/*
 * What any worker may write and every worker reads, activations and caches, lies on all nodes by turns:
 * on the node of whoever came first, its memory would serve all.
 */
static void spread(struct ash_device *device, const struct ash_buffer *buffer)
{
    const struct cpu_device *self = (const struct cpu_device *)device;
    if (ash_team_nodes(self->team) > 1)
        ash_numa_interleave(
            buffer->host, buffer->size_bytes, self->node, ash_team_threads(self->team));
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
    if (use != ASH_MEMORY_WEIGHTS)
        spread(device, &buffer->base);
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

/* ---- Weights on the nodes of the workers that read them ---- */

static void lay_stream(const struct cpu_stream *stream, int node)
{
    for (int32_t i = 0; i < stream->ranges; i++) {
        const struct cpu_range *range = &stream->range[i];
        if (!ash_numa_is_laid(range->at + range->bytes / 2)) /* by another program */
            ash_numa_prefer(range->at, (size_t)range->bytes, node);
    }
}

static void lay_weights(const struct cpu_device *device, struct ash_program *program)
{
    static const int32_t zero = 0;
    const struct ash_span span = { .tokens = 1, .page = &zero };
    program->batch = (struct ash_batch){ .tokens = 1,
        .outputs = 1,
        .spans = 1,
        .token = &zero,
        .token_span = &zero,
        .output = &zero,
        .span = &span };
    cpu_bind_weights(program);
    for (int worker = 0; worker < program->threads; worker++) {
        cpu_ahead_fill(&program->stream[worker], program, worker);
        lay_stream(&program->stream[worker], device->node[worker]);
    }
}

/*
 * As a decoding step of one token will be cut: there the machine waits for memory, and the cuts of small
 * batches hardly differ. Pages are exact to 4 KiB; the kernel makes huge ones of what lies within one
 * worker's node.
 */
enum ash_status cpu_settle(struct ash_device *device, const struct ash_step *steps, int32_t count)
{
    struct cpu_device *self = (struct cpu_device *)device;
    struct ash_program *program;
    if (ash_team_nodes(self->team) == 1)
        return ASH_OK;
    ASH_TRY(cpu_compile(device, steps, count, NULL, &program));
    lay_weights(self, program);
    cpu_discard(device, program);
    return ASH_OK;
}

/* ---- Writing ---- */

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

/* SPDX-License-Identifier: Apache-2.0 */
#include "drivers/drivers.h"
#include "runtime/memory.h"
#include "scheduler/plan_internal.h"

#include <unistd.h>

/*
 * Copies between a card and host memory that may move hold up whoever queues them. So what a plan's copies
 * have on the host is pinned: that of staged copies and of outputs, and of the arenas of devices that compute in host
 * memory the part that cards read or write.
 */

/* One of a driver's devices pins for all of them. */
static bool is_pinned(
    const struct ash_plan *plan, const struct ash_driver *driver, const void *host)
{
    for (size_t i = 0; i < plan->pins; i++)
        if (plan->pin[i].host == host && plan->pin[i].device->driver == driver)
            return true;
    return false;
}

static enum ash_status pin(struct ash_plan *plan, int32_t by, void *host, size_t size_bytes)
{
    struct ash_device *device = plan->device[by].device;
    if (is_pinned(plan, device->driver, host))
        return ASH_OK;
    ASH_TRY(ASH_GROW(plan->pin, plan->pin_capacity, plan->pins));
    if (ash_host_pin(device, host, size_bytes))
        plan->pin[plan->pins++] = (struct plan_pin){ device, host };
    return ASH_OK;
}

/* ---- Arenas ---- */

struct range {
    uintptr_t first, end;
};

/* Where a copy touches the arena of a device that computes in host memory, with a card at its other end. */
struct host_end {
    const struct ash_buffer *arena; /* NULL = nowhere */
    int32_t card;
    struct range range;
};

static struct host_end host_end(const struct ash_plan *plan, const struct plan_segment *segment)
{
    const struct ash_step *step = &plan->step[segment->first];
    if (segment->from < 0 || !step->out.buffer->host == !step->in[0].buffer->host)
        return (struct host_end){ 0 };
    const bool to_host = step->out.buffer->host;
    const struct ash_place *place = to_host ? &step->out : &step->in[0];
    uintptr_t first = (uintptr_t)place->buffer->host + place->offset_bytes;
    return (struct host_end){ .arena = place->buffer,
        .card = to_host ? segment->from : segment->device,
        .range = { first, first + ash_tensor_bytes(&step->args.out) } };
}

/* Whole pages, which are the arena's own, from the first to the last that any card touches: some does. Not all of it, as
 * pinned pages are there whether a batch reaches them or not. */
static struct range touched(const struct ash_plan *plan, const struct ash_buffer *arena)
{
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    struct range all = { UINTPTR_MAX, 0 };
    for (int32_t s = 0; s < plan->segments; s++) {
        struct host_end end = host_end(plan, &plan->segment[s]);
        if (end.arena != arena)
            continue;
        all.first = end.range.first < all.first ? end.range.first : all.first;
        all.end = end.range.end > all.end ? end.range.end : all.end;
    }
    return (struct range){ all.first / page * page, (all.end + page - 1) / page * page };
}

static enum ash_status pin_arena(struct ash_plan *plan, const struct plan_segment *segment)
{
    struct host_end end = host_end(plan, segment);
    if (!end.arena)
        return ASH_OK;
    struct range all = touched(plan, end.arena);
    return pin(plan, end.card, (void *)all.first, all.end - all.first);
}

/* ---- All of it ---- */

static enum ash_status pin_staging(struct ash_plan *plan, const struct plan_segment *segment)
{
    const struct ash_buffer *staging = &segment->staging;
    if (!staging->host)
        return ASH_OK;
    ASH_TRY(pin(plan, segment->from, staging->host, staging->size_bytes));
    return pin(plan, segment->device, staging->host, staging->size_bytes);
}

enum ash_status plan_pin_host(struct ash_plan *plan)
{
    for (int32_t s = 0; s < plan->segments; s++) {
        ASH_TRY(pin_arena(plan, &plan->segment[s]));
        ASH_TRY(pin_staging(plan, &plan->segment[s]));
    }
    for (int32_t i = 0; i < plan->output_count; i++) {
        const struct plan_output *output = &plan->output[i];
        if (output->copy.host)
            ASH_TRY(pin(plan, plan->value[output->value].device, output->copy.host,
                output->copy.size_bytes));
    }
    return ASH_OK;
}

void plan_unpin_host(struct ash_plan *plan)
{
    for (size_t i = 0; i < plan->pins; i++)
        ash_host_unpin(plan->pin[i].device, plan->pin[i].host);
}

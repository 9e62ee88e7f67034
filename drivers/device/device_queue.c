/* SPDX-License-Identifier: Apache-2.0 */
#include "drivers/device/device_queue.h"

#include "drivers/drivers.h"

enum ash_status ash_device_fail(struct ash_device_queue *queue, enum ash_device_trouble trouble,
    const char *code, const char *what)
{
    const struct ash_device_info *info = &queue->base.info;
    const char *driver = queue->base.driver->name;
    if (trouble == ASH_DEVICE_NO_MEMORY)
        return ash_fail(ASH_ERR_NO_MEMORY,
            "%s:%d (%s) has no memory left to %s (%s): take a smaller model, context or batch, or "
            "another device",
            driver, info->index, info->name, what, code);
    queue->lost = queue->lost || trouble == ASH_DEVICE_LOST;
    return ash_fail(ASH_ERR_DEVICE, "%s:%d (%s) cannot %s: %s%s", driver, info->index, info->name,
        what, code,
        queue->lost ? "; the device is lost: see the system's log, then start again" : "");
}

/* ---- The timeline ---- */

/* What has been forgotten by the ring came before the oldest that it knows. */
static void *find_slot(const struct ash_device_queue *queue, uint64_t value)
{
    if (value + DEVICE_RING <= queue->queued)
        value = queue->queued - DEVICE_RING + 1;
    return queue->ring[value % DEVICE_RING];
}

/* The last event of each device tells of all before it. */
static bool note_foreign(struct ash_device_queue *queue, struct ash_event event)
{
    int i = 0;
    while (i < queue->foreign_count && queue->foreign[i].device != event.device)
        i++;
    if (i == DEVICE_RING)
        return false;
    bool later = i == queue->foreign_count || event.value > queue->foreign[i].value;
    queue->foreign_count += i == queue->foreign_count;
    if (later)
        queue->foreign[i] = event;
    return true;
}

/* Has the queue wait for work of another device; the host does not. What becomes of that work, the next
 * wait asks. */
static enum ash_status follow(struct ash_device_queue *queue, struct ash_event event)
{
    const struct ash_device_queue *other = (const struct ash_device_queue *)event.device;
    if (event.value <= other->waited)
        return ASH_OK;
    if (other->lost || event.value > other->queued || !note_foreign(queue, event))
        return ash_events_wait(&event, 1);
    return queue->calls->follow(queue, find_slot(other, event.value));
}

static enum ash_status follow_all(
    struct ash_device_queue *queue, const struct ash_event *after, int after_count)
{
    for (int i = 0; i < after_count; i++) {
        if (!after[i].device || after[i].device == &queue->base) /* its own are in order anyway */
            continue;
        bool can = queue->calls->follow && after[i].device->driver == queue->base.driver;
        ASH_TRY(can ? follow(queue, after[i]) : ash_events_wait(&after[i], 1));
    }
    return ASH_OK;
}

enum ash_status ash_device_order(struct ash_device_queue *queue)
{
    return queue->calls->order ? queue->calls->order(queue) : ASH_OK;
}

enum ash_status ash_device_begin(
    struct ash_device_queue *queue, const struct ash_event *after, int after_count)
{
    const struct ash_device_calls *calls = queue->calls;
    if (queue->lost)
        return ash_fail(ASH_ERR_DEVICE, "%s:%d (%s) was lost earlier: start again",
            queue->base.driver->name, queue->base.info.index, queue->base.info.name);
    if (calls->select)
        ASH_TRY(calls->select(queue));
    ASH_TRY(follow_all(queue, after, after_count));
    return ash_device_order(queue);
}

enum ash_status ash_device_mark(struct ash_device_queue *queue, struct ash_event *done)
{
    ASH_TRY(queue->calls->mark(queue, &queue->ring[(queue->queued + 1) % DEVICE_RING]));
    *done = (struct ash_event){ &queue->base, ++queue->queued };
    return ASH_OK;
}

enum ash_status ash_device_wait(struct ash_device *device, struct ash_event event)
{
    struct ash_device_queue *queue = (struct ash_device_queue *)device;
    if (event.value > queue->queued)
        return ash_fail(ASH_ERR_ARGUMENT, "no work was queued under event %llu",
            (unsigned long long)event.value);
    if (event.value <= queue->waited)
        return ASH_OK;
    queue->waited = event.value; /* also after an error, which is told once */
    ASH_TRY(queue->calls->await(queue, find_slot(queue, event.value)));
    int count = queue->foreign_count;
    queue->foreign_count = 0;
    return ash_events_wait(queue->foreign, count); /* has happened: only its errors are new */
}

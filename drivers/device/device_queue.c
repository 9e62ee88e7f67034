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

/* ---- Events: the two highest bits of their value are the lane, the rest numbers its points from 1 on ---- */

enum { LANE_BIT = 62 };

static struct ash_event event_of(
    struct ash_device_queue *queue, enum ash_device_lane lane, uint64_t point)
{
    return (struct ash_event){ &queue->base, (uint64_t)lane << LANE_BIT | point };
}

static enum ash_device_lane lane_of(struct ash_event event)
{
    return (enum ash_device_lane)(event.value >> LANE_BIT);
}

static uint64_t point_of(struct ash_event event)
{
    return event.value & (((uint64_t)1 << LANE_BIT) - 1);
}

/* ---- Timelines ---- */

/* What has been forgotten by the ring came before the oldest that it knows. */
static void *find_slot(const struct ash_device_timeline *line, uint64_t point)
{
    if (point + DEVICE_RING <= line->queued)
        point = line->queued - DEVICE_RING + 1;
    return line->ring[point % DEVICE_RING];
}

/* The last event of each timeline tells of all before it. */
static bool note_foreign(struct ash_device_timeline *line, struct ash_event event)
{
    int i = 0;
    while (i < line->foreign_count &&
           (line->foreign[i].device != event.device || lane_of(line->foreign[i]) != lane_of(event)))
        i++;
    if (i == DEVICE_RING)
        return false;
    bool later = i == line->foreign_count || event.value > line->foreign[i].value;
    line->foreign_count += i == line->foreign_count;
    if (later)
        line->foreign[i] = event;
    return true;
}

/* Has a lane wait for another, of this device or of another one; the host does not. What becomes of
 * that work, the lane's next wait asks. */
static enum ash_status follow(
    struct ash_device_queue *queue, enum ash_device_lane lane, struct ash_event event)
{
    struct ash_device_queue *other = (struct ash_device_queue *)event.device;
    const struct ash_device_timeline *line = &other->lane[lane_of(event)];
    uint64_t point = point_of(event);
    if (point <= line->waited)
        return ASH_OK;
    if (other->lost || point > line->queued || !note_foreign(&queue->lane[lane], event))
        return ash_events_wait(&event, 1);
    return queue->calls->follow(queue, lane, other, find_slot(line, point));
}

static enum ash_status follow_all(struct ash_device_queue *queue, enum ash_device_lane lane,
    const struct ash_event *after, int after_count)
{
    for (int i = 0; i < after_count; i++) {
        bool own = after[i].device == &queue->base;
        if (!after[i].device || (own && lane_of(after[i]) == lane)) /* a lane is in order anyway */
            continue;
        bool can = after[i].device->driver == queue->base.driver;
        ASH_TRY(can ? follow(queue, lane, after[i]) : ash_events_wait(&after[i], 1));
    }
    return ASH_OK;
}

enum ash_device_lane ash_device_copy_lane(const struct ash_device *device, struct ash_place to)
{
    return to.buffer->device == device ? DEVICE_ARRIVALS : DEVICE_DEPARTURES;
}

enum ash_status ash_device_order(struct ash_device_queue *queue)
{
    return queue->calls->order ? queue->calls->order(queue) : ASH_OK;
}

enum ash_status ash_device_begin(struct ash_device_queue *queue, enum ash_device_lane lane,
    const struct ash_event *after, int after_count)
{
    const struct ash_device_calls *calls = queue->calls;
    if (queue->lost)
        return ash_fail(ASH_ERR_DEVICE, "%s:%d (%s) was lost earlier: start again",
            queue->base.driver->name, queue->base.info.index, queue->base.info.name);
    if (calls->select)
        ASH_TRY(calls->select(queue));
    ASH_TRY(follow_all(queue, lane, after, after_count));
    return lane == DEVICE_STEPS ? ash_device_order(queue) : ASH_OK;
}

enum ash_status ash_device_mark(
    struct ash_device_queue *queue, enum ash_device_lane lane, struct ash_event *done)
{
    struct ash_device_timeline *line = &queue->lane[lane];
    ASH_TRY(queue->calls->mark(queue, lane, &line->ring[(line->queued + 1) % DEVICE_RING]));
    *done = event_of(queue, lane, ++line->queued);
    return ASH_OK;
}

enum ash_status ash_device_wait(struct ash_device *device, struct ash_event event)
{
    struct ash_device_queue *queue = (struct ash_device_queue *)device;
    struct ash_device_timeline *line = &queue->lane[lane_of(event)];
    uint64_t point = point_of(event);
    if (point > line->queued)
        return ash_fail(ASH_ERR_ARGUMENT, "no work was queued under event %llu of its %s",
            (unsigned long long)point, lane_of(event) == DEVICE_STEPS ? "steps" : "copies");
    if (point <= line->waited)
        return ASH_OK;
    line->waited = point; /* also after an error, which is told once */
    ASH_TRY(queue->calls->await(queue, find_slot(line, point)));
    int count = line->foreign_count;
    line->foreign_count = 0;
    return ash_events_wait(line->foreign, count); /* has happened: only its errors are new */
}

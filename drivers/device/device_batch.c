/* SPDX-License-Identifier: Apache-2.0 */
#include "drivers/device/device_queue.h"
#include "runtime/memory.h"

#include <limits.h>
#include <string.h>

/*
 * The numbers of batches on a device. It holds those of the last few: a replay that comes back to the device after an
 * exchange, or one micro-batch between two others, sends nothing again, and nobody waits for the staging of numbers
 * that stand behind other steps.
 */

static enum ash_status write_numbers(
    struct ash_device_numbers *numbers, const struct ash_batch *batch)
{
    ash_device_batch(batch, numbers->item, numbers->capacity, &numbers->count);
    if (numbers->count <= numbers->capacity)
        return ASH_OK;
    if (numbers->count > INT_MAX)
        return ash_fail(ASH_ERR_LIMIT, "a batch of %zu numbers; a device counts to %d",
            numbers->count, INT_MAX);
    size_t capacity = numbers->count + numbers->count / 2; /* soon large enough */
    ash_free(numbers->item);
    *numbers =
        (struct ash_device_numbers){ .item = ash_alloc_array(capacity, sizeof *numbers->item) };
    if (!numbers->item)
        return ash_fail_memory(capacity * sizeof *numbers->item, "a batch");
    numbers->capacity = capacity;
    ash_device_batch(batch, numbers->item, capacity, &numbers->count);
    return ASH_OK;
}

/* The one that has these numbers, else the one that was wanted least lately. */
static struct ash_device_held *find(
    struct ash_device_queue *queue, const struct ash_device_numbers *numbers, bool *found)
{
    struct ash_device_held *oldest = &queue->held[0];
    for (int i = 0; i < DEVICE_BATCHES; i++) {
        struct ash_device_held *held = &queue->held[i];
        *found = held->numbers.count == numbers->count && numbers->count > 0 &&
                 memcmp(held->numbers.item, numbers->item, numbers->count * sizeof(int32_t)) == 0;
        if (*found)
            return held;
        oldest = held->wanted < oldest->wanted ? held : oldest;
    }
    return oldest;
}

static enum ash_status grow(
    struct ash_device_queue *queue, struct ash_device_held *held, size_t size_bytes)
{
    size_t room = size_bytes + size_bytes / 2;
    if (held->memory) { /* whoever reads it is done first */
        ASH_TRY(queue->calls->finish(queue, DEVICE_STEPS));
        queue->calls->release(queue, held->memory);
        queue->batch = queue->batch == held->memory ? NULL : queue->batch;
    }
    held->memory = NULL;
    held->size_bytes = 0;
    ASH_TRY(queue->calls->hold(queue, room, false, &held->memory));
    held->size_bytes = room;
    return ash_device_order(queue);
}

static enum ash_status send(struct ash_device_queue *queue, struct ash_device_held *held,
    const struct ash_device_numbers *numbers)
{
    size_t size_bytes = numbers->count * sizeof(int32_t);
    ASH_TRY(ash_device_staging_get(queue, &held->staging, size_bytes));
    memcpy(held->staging.host, numbers->item, size_bytes);
    if (size_bytes > held->size_bytes)
        ASH_TRY(grow(queue, held, size_bytes));
    ASH_TRY(ash_device_staging_send(queue, &held->staging, size_bytes, held->memory, 0));
    return ash_device_order(queue);
}

enum ash_status ash_device_batch_send(struct ash_device_queue *queue, const struct ash_batch *batch)
{
    struct ash_device_numbers *now = &queue->numbers, before;
    bool found;
    ASH_TRY(write_numbers(now, batch));
    struct ash_device_held *held = find(queue, now, &found);
    if (!found) {
        held->numbers.count = 0; /* until they are on their way */
        ASH_TRY(send(queue, held, now));
        before = held->numbers;
        held->numbers = *now;
        *now = before;
    }
    held->wanted = ++queue->wanted;
    queue->batch = held->memory;
    return ASH_OK;
}

void ash_device_batches_release(struct ash_device_queue *queue)
{
    for (int i = 0; i < DEVICE_BATCHES; i++) {
        struct ash_device_held *held = &queue->held[i];
        ash_device_staging_release(queue, &held->staging);
        if (held->memory)
            queue->calls->release(queue, held->memory);
        ash_free(held->numbers.item);
        *held = (struct ash_device_held){ 0 };
    }
    ash_free(queue->numbers.item);
    queue->numbers = (struct ash_device_numbers){ 0 };
}

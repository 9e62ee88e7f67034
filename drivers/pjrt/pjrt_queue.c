/* SPDX-License-Identifier: Apache-2.0 */
#include "drivers/drivers.h"
#include "drivers/pjrt/pjrt_internal.h"

enum ash_status pjrt_device_check(
    struct pjrt_device *device, struct pjrt_error *error, const char *what)
{
    enum ash_status status = pjrt_check(device->api, error, device->who, what);
    device->lost = device->lost || status == ASH_ERR_DEVICE;
    return status;
}

enum ash_status pjrt_device_finish(
    struct pjrt_device *device, struct pjrt_event *event, const char *what)
{
    enum ash_status status = pjrt_finish(device->api, event, device->who, what);
    device->lost = device->lost || status == ASH_ERR_DEVICE;
    return status;
}

enum ash_status pjrt_device_fail(struct pjrt_device *device, const char *what)
{
    device->lost = true;
    return ash_fail(ASH_ERR_DEVICE, "%s cannot %s: the plugin says that it did and gives nothing",
        device->who, what);
}

bool pjrt_is_sibling(const struct pjrt_device *device, const struct ash_device *other)
{
    return other && other->driver == &ash_driver_pjrt &&
           ((const struct pjrt_device *)other)->plugin == device->plugin;
}

enum ash_status pjrt_begin(
    struct pjrt_device *device, const struct ash_event *after, int after_count)
{
    for (int i = 0; i < after_count; i++)
        if (!pjrt_is_sibling(device, after[i].device)) /* a client orders work by its arrays */
            ASH_TRY(ash_events_wait(&after[i], 1));
    if (device->lost)
        return ash_fail(ASH_ERR_DEVICE, "%s was lost earlier: start again", device->who);
    return ASH_OK;
}

/* Waits for the run that ends with `value`. */
static enum ash_status finish(struct pjrt_device *device, uint64_t value)
{
    struct pjrt_event **slot = &device->ring[value % PJRT_RING];
    enum ash_status status = pjrt_device_finish(device, *slot, "finish its work");
    *slot = NULL;
    return status;
}

struct ash_event pjrt_note(struct pjrt_device *device, struct pjrt_event *event)
{
    device->queued++;
    if (device->queued > PJRT_RING && device->queued - PJRT_RING > device->waited) {
        enum ash_status status = finish(device, device->queued);
        device->late = device->late == ASH_OK ? status : device->late;
        device->waited = device->queued - PJRT_RING;
    }
    device->ring[device->queued % PJRT_RING] = event;
    return (struct ash_event){ &device->base, device->queued };
}

enum ash_status pjrt_wait(struct ash_device *device, struct ash_event event)
{
    struct pjrt_device *self = (struct pjrt_device *)device;
    if (event.value > self->queued)
        return ash_fail(ASH_ERR_ARGUMENT, "no work was queued under event %llu",
            (unsigned long long)event.value);
    enum ash_status status = self->late;
    self->late = ASH_OK;
    if (status != ASH_OK)
        status = ash_fail(status, "%s could not finish its work", self->who);
    while (self->waited < event.value) {
        enum ash_status next = finish(self, ++self->waited);
        status = status == ASH_OK ? next : status;
    }
    return status;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "drivers/cards.h"

#include "drivers/costs.h"

#include <stdio.h>
#include <string.h>

/* ---- One card by two ways ---- */

/* "0000:3b:00.0" as numbers, as libraries differ in their spelling. What has no address says so by zeros, where
 * no card ever is. */
static bool read_address(const char *pci, unsigned out[4])
{
    int length = 0;
    if (sscanf(pci, "%8x:%8x:%8x.%8x%n", &out[0], &out[1], &out[2], &out[3], &length) != 4 ||
        pci[length])
        return false;
    return (out[0] | out[1] | out[2] | out[3]) != 0;
}

bool ash_card_is_same(const struct ash_device_info *a, const struct ash_device_info *b)
{
    unsigned at[2][4];
    if (a->driver == b->driver && strcmp(a->name, b->name) == 0)
        return false;
    return read_address(a->pci, at[0]) && read_address(b->pci, at[1]) &&
           memcmp(at[0], at[1], sizeof at[0]) == 0;
}

const struct ash_device_info *ash_card_find(
    const struct ash_device_info *devices, int count, const struct ash_device_info *info)
{
    for (int i = 0; i < count; i++)
        if (devices[i].usable && ash_card_is_same(&devices[i], info))
            return &devices[i];
    return NULL;
}

const struct ash_device_info *ash_card_in_use(
    const struct ash_runtime *runtime, const struct ash_device_info *info)
{
    for (int i = 0; i < runtime->device_count; i++) {
        const struct ash_device_info *open = &runtime->device[i]->info;
        if ((open->driver == info->driver && open->index == info->index) ||
            ash_card_is_same(open, info))
            return open;
    }
    return NULL;
}

/* ---- What nobody uses ---- */

enum ash_status ash_cards_unused(const struct ash_runtime *runtime, char *names, size_t capacity)
{
    struct ash_device_info found[ASH_MAX_DEVICES];
    const char *directory = runtime->config.cache_dir;
    size_t used = 0;
    int count = 0;
    names[0] = '\0';
    if (strcmp(runtime->config.device, "auto") != 0)
        return ASH_OK;
    ASH_TRY(ash_devices_probe_cards(found, ASH_MAX_DEVICES, &count));
    for (int i = 0; i < count && used < capacity; i++)
        if (found[i].usable && found[i].is_card && !ash_card_in_use(runtime, &found[i]) &&
            !ash_card_find(found, i, &found[i]) &&
            !(directory && ash_costs_has(directory, &found[i])))
            used += (size_t)snprintf(names + used, capacity - used, "%s%s:%d", used ? "," : "",
                found[i].driver->name, found[i].index);
    return ASH_OK;
}

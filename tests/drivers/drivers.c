/* SPDX-License-Identifier: Apache-2.0 */
#include "drivers/drivers.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

enum { MAX_DEVICES = 32 };

static struct ash_device_info devices[MAX_DEVICES];
static int count;

static void probe(void)
{
    cr_assert_eq(ash_devices_probe(NULL, devices, MAX_DEVICES, &count), ASH_OK, "%s", ash_error());
}

Test(drivers, devices_are_found_by_name, .init = probe)
{
    static const struct {
        const char *name;
        enum ash_status expect;
        const char *driver; /* or what the message says */
    } cases[] = {
        { "cpu", ASH_OK, "cpu" },
        { "auto", ASH_OK, "cpu" },
        { "null", ASH_OK, "null" },
        { "null:0", ASH_OK, "null" },
        { "null:1", ASH_ERR_NOT_FOUND, "null:0" },
        { "nul", ASH_ERR_NOT_FOUND, "null:0" },
        { "null:", ASH_ERR_NOT_FOUND, "null:0" },
        { "", ASH_ERR_NOT_FOUND, "auto" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct ash_device_info *info = NULL;
        cr_assert_eq(ash_device_find(devices, count, cases[i].name, &info), cases[i].expect,
            "\"%s\"", cases[i].name);
        if (info)
            cr_assert_str_eq(info->driver->name, cases[i].driver);
        else
            cr_assert(strstr(ash_error(), cases[i].driver), "%s", ash_error());
    }
}

Test(drivers, an_unusable_device_says_why, .init = probe)
{
    const struct ash_device_info *info;
    devices[0].usable = false;
    snprintf(devices[0].reason, sizeof devices[0].reason, "no driver: install one");
    cr_assert_eq(
        ash_device_find(devices, count, devices[0].driver->name, &info), ASH_ERR_UNSUPPORTED);
    cr_assert(strstr(ash_error(), "install one"));
}

Test(drivers, only_the_drivers_that_are_named_are_asked)
{
    static const struct {
        const char *names;
        const char *drivers; /* in their order */
    } cases[] = {
        { "auto", "cpu" },
        { "cpu", "cpu" },
        { "null:0", "null" },
        { "null,cpu:0", "cpu null" },
        { "nothing", "" },
        { "", "" },
        { ",", "" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char drivers[64] = "";
        cr_assert_eq(
            ash_devices_probe_for(NULL, cases[i].names, devices, MAX_DEVICES, &count), ASH_OK);
        for (int k = 0; k < count; k++)
            snprintf(drivers + strlen(drivers), sizeof drivers - strlen(drivers), "%s%s",
                k ? " " : "", devices[k].driver->name);
        cr_assert_str_eq(drivers, cases[i].drivers, "\"%s\" asked %s", cases[i].names, drivers);
    }
    cr_assert_eq(ash_devices_probe_for(NULL, "cpu", devices, 0, &count), ASH_ERR_LIMIT);
}

Test(drivers, too_little_room_is_an_error)
{
    int found = -1;
    cr_assert_eq(ash_devices_probe(NULL, devices, 0, &found), ASH_ERR_LIMIT);
    cr_assert_eq(found, -1);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "drivers/cards.h"

#include <criterion/criterion.h>
#include <stdio.h>

static struct ash_device_info device(const char *driver, const char *name, const char *pci)
{
    struct ash_device_info info = { .usable = true, .is_card = true };
    for (int i = 0; ash_drivers[i]; i++)
        if (strcmp(ash_drivers[i]->name, driver) == 0)
            info.driver = ash_drivers[i];
    snprintf(info.name, sizeof info.name, "%s", name);
    snprintf(info.pci, sizeof info.pci, "%s", pci);
    return info;
}

Test(cards, one_card_is_known_by_its_address)
{
    static const struct {
        const char *driver[2], *name[2], *pci[2];
        bool same;
    } cases[] = {
        { { "hip", "opencl" }, { "A", "B" }, { "0000:3b:00.0", "0000:3b:00.0" }, true },
        { { "hip", "opencl" }, { "A", "A" }, { "0000:3b:00.0", "0000:3b:00.0" }, true },
        { { "hip", "opencl" }, { "A", "A" }, { "0000:3B:00.0", "000000:3b:00.0" }, true },
        { { "hip", "opencl" }, { "A", "A" }, { "0000:3b:00.0", "0000:3b:00.1" }, false },
        { { "hip", "opencl" }, { "A", "A" }, { "0000:3b:00.0", "0001:3b:00.0" }, false },
        { { "hip", "opencl" }, { "A", "A" }, { "", "" }, false },
        { { "hip", "opencl" }, { "A", "A" }, { "0000:00:00.0", "0000:00:00.0" }, false },
        { { "hip", "opencl" }, { "A", "A" }, { "no address", "no address" }, false },
        { { "hip", "opencl" }, { "A", "A" }, { "0000:3b:00.0!", "0000:3b:00.0!" }, false },
        /* Two drivers for OpenCL have one card each; parts of one have one name. */
        { { "opencl", "opencl" }, { "A", "B" }, { "0000:3b:00.0", "0000:3b:00.0" }, true },
        { { "opencl", "opencl" }, { "A", "A" }, { "0000:3b:00.0", "0000:3b:00.0" }, false },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct ash_device_info pair[2];
        for (int k = 0; k < 2; k++)
            pair[k] = device(cases[i].driver[k], cases[i].name[k], cases[i].pci[k]);
        cr_expect_eq(ash_card_is_same(&pair[0], &pair[1]), cases[i].same, "case %zu", i);
        cr_expect_eq(ash_card_is_same(&pair[1], &pair[0]), cases[i].same, "case %zu", i);
    }
}

Test(cards, one_that_cannot_be_used_stands_for_none)
{
    struct ash_device_info devices[] = { device("hip", "A", "0000:3b:00.0"),
        device("opencl", "A", "0000:3b:00.0"), device("opencl", "A", "0000:af:00.0") };
    cr_assert_eq(ash_card_find(devices, 3, &devices[0]), &devices[1]);
    cr_assert_eq(ash_card_find(devices, 3, &devices[1]), &devices[0]);
    cr_assert_null(ash_card_find(devices, 3, &devices[2]));
    devices[0].usable = false;
    cr_assert_null(ash_card_find(devices, 3, &devices[1]));
}

/* SPDX-License-Identifier: Apache-2.0 */
/* NVIDIA's cards: modules are PTX, text that ends with a 0. */
#include "tests/drivers/hip_double/double_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { INVALID_PTX = 218, MISALIGNED_ADDRESS = 716 };

static int check_image(const char *image, size_t *bytes)
{
    const char *version = strstr(image, "\n.version "), *target = strstr(image, "\n.target sm_");
    if (!version || !target || !strstr(image, "\n.address_size 64\n"))
        return INVALID_PTX;
    long least = strtol(target + strlen("\n.target sm_"), NULL, 10);
    if (strncmp(arch_name(), "sm_", 3) != 0 || strtol(arch_name() + 3, NULL, 10) < least)
        return NO_BINARY_FOR_GPU;
    *bytes = strlen(image);
    return SUCCESS;
}

static bool has_entry(const char *image, size_t bytes, const char *name)
{
    char text[160];
    int length = snprintf(text, sizeof text, ".visible .entry %s(\n", name);
    return memmem(image, bytes, text, (size_t)length) != NULL;
}

const struct double_maker maker = { "NVIDIA", "sm_80", MISALIGNED_ADDRESS, check_image, has_entry };

/* SPDX-License-Identifier: Apache-2.0 */
/* AMD's cards: modules are the ELF objects that the driver embeds. */
#include "tests/drivers/hip_double/double_internal.h"

#include <elf.h>
#include <stdio.h>
#include <string.h>

/* Of LLVM's "User Guide for AMDGPU Backend", table "ELF e_flags". */
static unsigned mach_of(const char *arch)
{
    static const struct {
        const char *arch;
        unsigned mach;
    } known[] = { { "gfx906", 0x2f }, { "gfx90a", 0x3f }, { "gfx942", 0x4c }, { "gfx950", 0x4f },
        { "gfx1030", 0x36 }, { "gfx1100", 0x41 }, { "gfx1151", 0x4a }, { "gfx1201", 0x4e } };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(known[i].arch, arch) == 0)
            return known[i].mach;
    return 0;
}

static int check_image(const char *image, size_t *bytes)
{
    Elf64_Ehdr header;
    memcpy(&header, image, sizeof header);
    if (memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 || header.e_machine != 224 /* AMDGPU */)
        return INVALID_IMAGE;
    if ((header.e_flags & 0xff) != mach_of(arch_name()))
        return NO_BINARY_FOR_GPU;
    *bytes = header.e_shoff + (size_t)header.e_shnum * header.e_shentsize;
    return SUCCESS;
}

static bool has_entry(const char *image, size_t bytes, const char *name)
{
    char symbol[128];
    int length = snprintf(symbol, sizeof symbol, "%s.kd", name); /* of its descriptor */
    return memmem(image, bytes, symbol, (size_t)length + 1) != NULL;
}

const struct double_maker maker = { "AMD", "gfx90a", LAUNCH_FAILURE, check_image, has_entry };

/* SPDX-License-Identifier: Apache-2.0 */
/* What a library says of a card: an instruction set's name is found, whole and in bounds, or it is not. */
#include "drivers/hip/hip_arch.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char arch[HIP_ARCH_BYTES];
    if (!hip_arch_find(data, size, arch))
        return 0;
    size_t length = strnlen(arch, sizeof arch);
    if (length == sizeof arch || (strncmp(arch, "gfx", 3) != 0 && strncmp(arch, "sm_", 3) != 0) ||
        strspn(arch + 3, "0123456789abcdef") != length - 3 || !memmem(data, size, arch, length))
        abort();
    (void)hip_object_find(arch);
    return 0;
}

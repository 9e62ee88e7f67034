/* SPDX-License-Identifier: Apache-2.0 */
#include "drivers/hip/hip_arch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Which one a card has ---- */

static bool is_digit(unsigned char letter)
{
    return (letter >= '0' && letter <= '9') || (letter >= 'a' && letter <= 'f');
}

/* The length of a name that begins at `at` and ends as one does; 0 if none does. */
static size_t measure(const unsigned char *at, size_t left)
{
    size_t length = 3;
    if (left < 3 || (memcmp(at, "gfx", 3) != 0 && memcmp(at, "sm_", 3) != 0))
        return 0;
    size_t least = at[0] == 'g' ? 6 : 5; /* with its digits: gfx906, sm_70 */
    while (length < left && length < HIP_ARCH_BYTES && is_digit(at[length]))
        length++;
    bool ends = length < left && (at[length] == '\0' || at[length] == ':');
    return ends && length >= least && length < HIP_ARCH_BYTES ? length : 0;
}

bool hip_arch_find(const void *properties, size_t size_bytes, char out[HIP_ARCH_BYTES])
{
    const unsigned char *bytes = properties;
    char name[HIP_ARCH_BYTES] = "";
    for (size_t at = 0; at < size_bytes; at++) {
        size_t length = measure(bytes + at, size_bytes - at);
        if (length == 0)
            continue;
        if (name[0] && (strlen(name) != length || memcmp(name, bytes + at, length) != 0))
            return false;
        memcpy(name, bytes + at, length);
    }
    if (!name[0])
        return false;
    memcpy(out, name, sizeof name);
    return true;
}

/* ---- Kernels for it ---- */

#define HIP_OBJECT(arch)                                                                           \
    extern const unsigned char hip_object_##arch[];                                                \
    extern const size_t hip_object_##arch##_bytes;
#include "drivers/hip/hip_objects.inc"
#undef HIP_OBJECT

const struct hip_object hip_objects[] = {
#define HIP_OBJECT(arch) { #arch, hip_object_##arch, &hip_object_##arch##_bytes },
#include "drivers/hip/hip_objects.inc"
#undef HIP_OBJECT
    { 0 },
};

/* N of "sm_N"; 0 of anything else. */
static long capability(const char *arch)
{
    return strncmp(arch, "sm_", 3) == 0 ? strtol(arch + 3, NULL, 10) : 0;
}

static bool suits(const struct hip_object *object, const char *arch)
{
    long least = capability(object->arch);
    return least ? capability(arch) >= least : strcmp(object->arch, arch) == 0;
}

const struct hip_object *hip_object_find(const char *arch)
{
    for (const struct hip_object *object = hip_objects; object->arch; object++)
        if (suits(object, arch))
            return object;
    return NULL;
}

char *hip_objects_describe(const char *prefix, char *text, size_t capacity)
{
    size_t used = 0;
    text[0] = '\0';
    for (const struct hip_object *object = hip_objects; object->arch && used < capacity; object++)
        if (strncmp(object->arch, prefix, strlen(prefix)) == 0)
            used += (size_t)snprintf(
                text + used, capacity - used, "%s%s", used ? " " : "", object->arch);
    return text;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The cards themselves; calls are as ROCm's documentation has them. hip_double.h says what this is. */
#include "tests/drivers/hip_double/double_hip.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

_Thread_local int current;

static long setting(const char *name, long fallback)
{
    const char *text = getenv(name);
    return text && text[0] ? strtol(text, NULL, 10) : fallback;
}

const char *arch_name(void)
{
    const char *name = getenv("HIP_DOUBLE_ARCH");
    return name ? name : maker.arch;
}

static int card_count(void)
{
    long count = setting("HIP_DOUBLE_DEVICES", 2);
    return count < 0 ? 0 : count > MOST_DEVICES ? MOST_DEVICES : (int)count;
}

static bool is_card(int device)
{
    return device >= 0 && device < card_count();
}

size_t card_bytes(void)
{
    return (size_t)setting("HIP_DOUBLE_MEMORY", 4096) << 20;
}

int hipInit(unsigned flags)
{
    if (setting("HIP_DOUBLE_CRASH", 0))
        raise(SIGSEGV);
    return flags ? INVALID_VALUE : SUCCESS;
}

int hipGetDeviceCount(int *count)
{
    *count = card_count();
    return *count ? SUCCESS : 100;
}

int hipSetDevice(int device)
{
    if (!is_card(device))
        return INVALID_DEVICE;
    current = device;
    return SUCCESS;
}

int hipDeviceGetName(char *name, int length, int device)
{
    if (!is_card(device))
        return INVALID_DEVICE;
    snprintf(
        name, (size_t)length, "Test double %d of an %s card (C of the host)", device, maker.name);
    return SUCCESS;
}

int hipDeviceGetPCIBusId(char *name, int length, int device)
{
    if (!is_card(device))
        return INVALID_DEVICE;
    snprintf(name, (size_t)length, "fffe:%02x:00.0", (unsigned)device);
    return SUCCESS;
}

int hipDeviceTotalMem(size_t *bytes, int device)
{
    if (!is_card(device))
        return INVALID_DEVICE;
    *bytes = card_bytes();
    return SUCCESS;
}

/* Some struct, and the name somewhere in it: no version has it there. */
int hipGetDevicePropertiesR0600(void *properties, int device)
{
    if (!is_card(device))
        return INVALID_DEVICE;
    memset(properties, 0x67, 900);
    snprintf((char *)properties + 900, 256, "%s:sramecc+:xnack-", arch_name());
    return SUCCESS;
}

int hipDeviceCanAccessPeer(int *can, int device, int peer)
{
    *can = is_card(device) && is_card(peer) && device != peer;
    return SUCCESS;
}

int hipDeviceEnablePeerAccess(int peer, unsigned flags)
{
    return flags || !is_card(peer) || peer == current ? INVALID_DEVICE : SUCCESS;
}

const char *hipGetErrorName(int error)
{
    static _Thread_local char name[48];
    snprintf(name, sizeof name, "hipError %d of a test double", error);
    return name;
}

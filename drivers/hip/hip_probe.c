/* SPDX-License-Identifier: Apache-2.0 */
#include "drivers/device/device_probe.h"
#include "drivers/hip/hip.h"
#include "drivers/hip/hip_arch.h"
#include "drivers/hip/hip_internal.h"

#include <stdio.h>
#include <string.h>

/* ---- One device ---- */

static void find_arch(const struct hip_api *api, int index, char out[HIP_ARCH_BYTES])
{
    _Alignas(16) unsigned char properties[HIP_PROPERTIES_BYTES] = { 0 };
    if (api->GetDeviceProperties(properties, index) != HIP_SUCCESS ||
        !hip_arch_find(properties, sizeof properties, out))
        out[0] = '\0';
}

static void judge(const struct hip_maker *maker, struct ash_device_info *out, const char *arch)
{
    char built[128];
    if (!hip_objects_describe(maker->prefix, built, sizeof built)[0])
        snprintf(out->reason, sizeof out->reason,
            "this build has no kernels for %s's cards: install %s, then set it up anew (meson setup "
            "--wipe)",
            maker->name, maker->compiler);
    else if (!arch[0])
        snprintf(out->reason, sizeof out->reason,
            "%s does not tell its instruction set: install another version of it", maker->library);
    else if (!hip_object_find(arch))
        snprintf(out->reason, sizeof out->reason, "it is a %s, and this build has kernels for %s",
            arch, built);
    out->usable = !out->reason[0];
}

/* Text of a library, printable ASCII only. */
static void clean(char *text)
{
    for (char *letter = text; *letter; letter++)
        if (*letter < ' ' || *letter > '~')
            *letter = '?';
}

void hip_describe(
    const struct hip_api *api, int index, struct ash_device_info *out, char arch[static 16])
{
    size_t total = 0;
    *out = (struct ash_device_info){
        .driver = &ash_driver_hip, .index = index, .numa_node = -1, .is_card = true
    };
    find_arch(api, index, arch);
    if (api->DeviceGetName(out->name, (int)sizeof out->name - 1, index) != HIP_SUCCESS ||
        !out->name[0])
        snprintf(out->name, sizeof out->name, "%s %s", api->maker->name, arch[0] ? arch : "card");
    if (api->DeviceGetPCIBusId(out->pci, (int)sizeof out->pci, index) != HIP_SUCCESS)
        out->pci[0] = '\0';
    out->name[sizeof out->name - 1] = out->pci[sizeof out->pci - 1] = '\0';
    clean(out->name);
    clean(out->pci);
    if (api->DeviceTotalMem(&total, index) != HIP_SUCCESS || total == 0)
        snprintf(out->reason, sizeof out->reason,
            "%s cannot tell how much memory it has: see the system's log", api->maker->library);
    out->memory_bytes = total;
    if (!out->reason[0])
        judge(api->maker, out, arch);
}

/* ---- All of them, asked in a process of its own ---- */

static enum ash_status list_cards(const struct hip_api *api, struct ash_device_report *report)
{
    int code = api->Init(0), count = 0;
    if (code == HIP_SUCCESS)
        code = api->GetDeviceCount(&count);
    if (code != HIP_SUCCESS || count < 1) {
        const char *name = code == HIP_SUCCESS ? "no card" : api->GetErrorName(code);
        return ash_fail(ASH_ERR_NOT_FOUND, "%s finds no card (%.40s): %s", api->maker->library,
            name ? name : "no reason given", api->maker->advice);
    }
    report->count = count < ASH_DEVICE_MOST_REPORTED ? count : ASH_DEVICE_MOST_REPORTED;
    for (int i = 0; i < report->count; i++) {
        char arch[HIP_ARCH_BYTES];
        hip_describe(api, i, &report->info[i], arch);
    }
    return ASH_OK;
}

static enum ash_status fill_report(const void *context, struct ash_device_report *report)
{
    struct hip_api api;
    (void)context;
    ASH_TRY(hip_api_open(NULL, &api));
    return list_cards(&api, report);
}

enum ash_status hip_probe(
    const struct ash_topology *topology, struct ash_device_info *out, int capacity, int *count)
{
    struct ash_device_report report;
    /* What a process has begun, its children cannot use: a card in use would be gone. A library that is
     * loaded here has shown that it does no harm. */
    if (hip_api_is_loaded())
        ash_device_report_fill(fill_report, NULL, &report);
    else
        ash_device_report_ask(fill_report, NULL,
            "libamdhip64 (or libcuda in its place) crashes or hangs when asked for its devices: see "
            "rocminfo or nvidia-smi, and whether its packages are of one version",
            &report);
    return ash_device_report_list(&report, &ash_driver_hip, topology, out, capacity, count);
}

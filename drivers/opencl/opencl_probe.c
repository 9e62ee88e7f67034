/* SPDX-License-Identifier: Apache-2.0 */
#include "drivers/opencl/opencl.h"

#include "drivers/device/device_probe.h"
#include "drivers/opencl/opencl_internal.h"

#include <CL/cl_ext.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Of cl_nv_device_attribute_query, whose numbers Debian's header lacks. */
enum { PCI_BUS_ID_NV = 0x4008, PCI_SLOT_ID_NV = 0x4009, PCI_DOMAIN_ID_NV = 0x400a };

/* What a kernel of this house needs of a device. */
enum { LEAST_LOCAL_BYTES = 32 << 10, MOST_PLATFORMS = 16 };

/* ---- One device ---- */

void opencl_device_text(
    const struct opencl_api *api, cl_device_id id, cl_device_info what, char *out, size_t capacity)
{
    char text[1024] = "";
    size_t length = 0;
    if (api->GetDeviceInfo(id, what, sizeof text - 1, text, &length) != CL_SUCCESS)
        text[0] = '\0';
    text[length < sizeof text ? length : sizeof text - 1] = '\0';
    size_t at = 0;
    for (const char *from = text; *from && at + 1 < capacity; from++)
        if (*from >= ' ' && *from <= '~' && (at || *from != ' '))
            out[at++] = *from;
    while (at > 0 && out[at - 1] == ' ')
        at--;
    out[at] = '\0';
}

uint64_t opencl_device_number(const struct opencl_api *api, cl_device_id id, cl_device_info what)
{
    uint64_t number = 0; /* little-endian: smaller ones fill its lower bytes */
    if (api->GetDeviceInfo(id, what, sizeof number, &number, NULL) != CL_SUCCESS)
        return 0;
    return number;
}

/* Where the card is, by the first of three extensions that knows. */
static void find_pci(const struct opencl_api *api, cl_device_id id, char out[16])
{
    cl_device_pci_bus_info_khr khr;
    unsigned char amd[24]; /* cl_device_topology_amd: type, then bus, device, function at the end */
    out[0] = '\0';
    if (api->GetDeviceInfo(id, CL_DEVICE_PCI_BUS_INFO_KHR, sizeof khr, &khr, NULL) == CL_SUCCESS)
        snprintf(out, 16, "%04x:%02x:%02x.%x", khr.pci_domain & 0xffff, khr.pci_bus & 0xff,
            khr.pci_device & 0xff, khr.pci_function & 0xf);
    else if (api->GetDeviceInfo(id, CL_DEVICE_TOPOLOGY_AMD, sizeof amd, amd, NULL) == CL_SUCCESS)
        snprintf(out, 16, "0000:%02x:%02x.%x", amd[21], amd[22], amd[23] & 0xf);
    else if (opencl_device_number(api, id, PCI_BUS_ID_NV)) {
        unsigned slot = (unsigned)opencl_device_number(api, id, PCI_SLOT_ID_NV);
        snprintf(out, 16, "%04x:%02x:%02x.%x",
            (unsigned)opencl_device_number(api, id, PCI_DOMAIN_ID_NV) & 0xffff,
            (unsigned)opencl_device_number(api, id, PCI_BUS_ID_NV) & 0xff, slot >> 3 & 0xff,
            slot & 7);
    }
}

static void judge(const struct opencl_api *api, cl_device_id id, struct ash_device_info *out)
{
    uint64_t group = opencl_device_number(api, id, CL_DEVICE_MAX_WORK_GROUP_SIZE);
    uint64_t local = opencl_device_number(api, id, CL_DEVICE_LOCAL_MEM_SIZE);
    char version[64];
    opencl_device_text(api, id, CL_DEVICE_VERSION, version, sizeof version);
    if (!opencl_device_number(api, id, CL_DEVICE_AVAILABLE))
        snprintf(out->reason, sizeof out->reason,
            "its driver says that it is not available: see clinfo and the system's log");
    else if (!opencl_device_number(api, id, CL_DEVICE_ENDIAN_LITTLE))
        snprintf(out->reason, sizeof out->reason, "its numbers are big-endian");
    else if (strncmp(version, "OpenCL 1.0", 10) == 0 || strncmp(version, "OpenCL 1.1", 10) == 0)
        snprintf(out->reason, sizeof out->reason,
            "it has %.20s, 1.2 is needed: install a newer driver", version);
    else if (group < DEVICE_GROUP || local < LEAST_LOCAL_BYTES)
        snprintf(out->reason, sizeof out->reason,
            "work-groups of %llu items with %llu KiB of local memory; %d and %d KiB are needed",
            (unsigned long long)group, (unsigned long long)local >> 10, DEVICE_GROUP,
            LEAST_LOCAL_BYTES >> 10);
    out->usable = !out->reason[0];
}

static void describe(const struct opencl_api *api, const struct opencl_entry *entry, int index,
    struct ash_device_info *out)
{
    *out = (struct ash_device_info){ .index = index, .numa_node = -1 };
    opencl_device_text(api, entry->id, CL_DEVICE_NAME, out->name, sizeof out->name);
    out->memory_bytes = opencl_device_number(api, entry->id, CL_DEVICE_GLOBAL_MEM_SIZE);
    find_pci(api, entry->id, out->pci);
    uint64_t type = opencl_device_number(api, entry->id, CL_DEVICE_TYPE);
    out->is_card =
        !(type & CL_DEVICE_TYPE_CPU) &&
        (type & (CL_DEVICE_TYPE_GPU | CL_DEVICE_TYPE_ACCELERATOR | CL_DEVICE_TYPE_CUSTOM));
    judge(api, entry->id, out);
}

/* ---- All of them ---- */

/* What ASHLAR_OPENCL_SPLIT asks for: parts of a device by NUMA node, or as many equal ones. */
static bool find_partition(
    const struct opencl_api *api, cl_device_id id, cl_device_partition_property out[3])
{
    const char *text = getenv("ASHLAR_OPENCL_SPLIT");
    uint64_t units = opencl_device_number(api, id, CL_DEVICE_MAX_COMPUTE_UNITS);
    if (!text || !text[0])
        return false;
    out[2] = 0;
    if (strcmp(text, "numa") == 0) {
        out[0] = CL_DEVICE_PARTITION_BY_AFFINITY_DOMAIN;
        out[1] = CL_DEVICE_AFFINITY_DOMAIN_NUMA;
        return true;
    }
    long parts = strtol(text, NULL, 10);
    out[0] = CL_DEVICE_PARTITION_EQUALLY;
    out[1] = parts > 1 ? (cl_device_partition_property)(units / (uint64_t)parts) : 0;
    return out[1] > 0;
}

static int add_parts(
    const struct opencl_api *api, struct opencl_entry whole, struct opencl_entry *out, int room)
{
    cl_device_id part[OPENCL_MOST_DEVICES];
    cl_device_partition_property how[3];
    cl_uint count = 0;
    if (!find_partition(api, whole.id, how) ||
        api->CreateSubDevices(whole.id, how, 0, NULL, &count) != CL_SUCCESS || count < 1 ||
        count > (cl_uint)room ||
        api->CreateSubDevices(whole.id, how, count, part, NULL) != CL_SUCCESS)
        return 0;
    for (cl_uint i = 0; i < count; i++)
        out[i] = (struct opencl_entry){ whole.platform, part[i], true };
    return (int)count;
}

static int list_platform(
    const struct opencl_api *api, cl_platform_id platform, struct opencl_entry *out, int room)
{
    cl_device_id id[OPENCL_MOST_DEVICES];
    cl_uint found = 0;
    int count = 0;
    if (api->GetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, OPENCL_MOST_DEVICES, id, &found) !=
        CL_SUCCESS)
        return 0;
    for (cl_uint i = 0; i < found && i < OPENCL_MOST_DEVICES && count < room; i++) {
        struct opencl_entry whole = { platform, id[i], false };
        int parts = add_parts(api, whole, out + count, room - count);
        if (parts == 0)
            out[count] = whole;
        count += parts ? parts : 1;
    }
    return count;
}

enum ash_status opencl_list(
    const struct opencl_api *api, struct opencl_entry out[OPENCL_MOST_DEVICES], int *count)
{
    cl_platform_id platform[MOST_PLATFORMS];
    cl_uint platforms = 0;
    *count = 0;
    if (api->GetPlatformIDs(MOST_PLATFORMS, platform, &platforms) != CL_SUCCESS || platforms == 0)
        return ash_fail(ASH_ERR_NOT_FOUND,
            "the OpenCL loader knows no driver: install the one of the card's maker (for the "
            "processor: pocl-opencl-icd)");
    for (cl_uint i = 0; i < platforms && i < MOST_PLATFORMS; i++)
        *count += list_platform(api, platform[i], out + *count, OPENCL_MOST_DEVICES - *count);
    return ASH_OK;
}

void opencl_list_finish(const struct opencl_api *api, struct opencl_entry *entry, int count)
{
    for (int i = 0; i < count; i++)
        if (entry[i].is_part)
            (void)api->ReleaseDevice(entry[i].id);
}

/* ---- In a process of its own: half-installed drivers crash, hang and print ---- */

static enum ash_status fill_report(const void *context, struct ash_device_report *report)
{
    struct opencl_api api;
    struct opencl_entry entry[OPENCL_MOST_DEVICES];
    (void)context;
    ASH_TRY(opencl_api_open(NULL, &api));
    ASH_TRY(opencl_list(&api, entry, &report->count));
    if (report->count == 0)
        return ash_fail(
            ASH_ERR_NOT_FOUND, "the OpenCL drivers of this machine know no device: see clinfo");
    for (int i = 0; i < report->count; i++)
        describe(&api, &entry[i], i, &report->info[i]);
    return ASH_OK;
}

/* The loader, too, is only opened there: of a file cut short, opening alone can crash. */
enum ash_status opencl_probe(
    const struct ash_topology *topology, struct ash_device_info *out, int capacity, int *count)
{
    struct ash_device_report report;
    ash_device_report_ask(fill_report, NULL,
        "libOpenCL.so.1 or a driver behind it crashes or hangs when asked for its devices: see clinfo, "
        "and the files in /etc/OpenCL/vendors",
        &report);
    return ash_device_report_list(&report, &ash_driver_opencl, topology, out, capacity, count);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A layer of the OpenCL loader (OPENCL_LAYERS) under which every device is a card, on the PCI bus where the
 * HIP double has its own: the first is the double's first, the next its second.
 */
#include <CL/cl_ext.h>
#include <CL/cl_layer.h>
#include <string.h>

#define EXPORTED __attribute__((visibility("default")))

enum { MOST = 8, DOMAIN = 0xfffe };

static const cl_icd_dispatch *below;
static cl_icd_dispatch layer;
static cl_device_id seen[MOST];

static cl_uint number_of(cl_device_id device)
{
    cl_uint i = 0;
    while (i + 1 < MOST && seen[i] && seen[i] != device)
        i++;
    seen[i] = device;
    return i;
}

static cl_int CL_API_CALL get_device_info(
    cl_device_id device, cl_device_info what, size_t capacity, void *out, size_t *size)
{
    const cl_device_type type = CL_DEVICE_TYPE_GPU;
    const cl_device_pci_bus_info_khr at = { DOMAIN, number_of(device), 0, 0 };
    if (what == CL_DEVICE_TYPE && out && capacity >= sizeof type)
        memcpy(out, &type, sizeof type);
    else if (what == CL_DEVICE_PCI_BUS_INFO_KHR && out && capacity >= sizeof at)
        memcpy(out, &at, sizeof at);
    else
        return below->clGetDeviceInfo(device, what, capacity, out, size);
    return CL_SUCCESS;
}

EXPORTED cl_int CL_API_CALL clGetLayerInfo(
    cl_layer_info what, size_t capacity, void *out, size_t *size)
{
    const cl_layer_api_version version = CL_LAYER_API_VERSION_100;
    if (what != CL_LAYER_API_VERSION || (out && capacity < sizeof version))
        return CL_INVALID_VALUE;
    if (out)
        memcpy(out, &version, sizeof version);
    if (size)
        *size = sizeof version;
    return CL_SUCCESS;
}

EXPORTED cl_int CL_API_CALL clInitLayer(
    cl_uint count, const cl_icd_dispatch *target, cl_uint *count_out, const cl_icd_dispatch **out)
{
    const cl_uint known = sizeof layer / sizeof(void *);
    below = target;
    memcpy(&layer, target, (count < known ? count : known) * sizeof(void *));
    layer.clGetDeviceInfo = get_device_info;
    *count_out = known;
    *out = &layer;
    return CL_SUCCESS;
}

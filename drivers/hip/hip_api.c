/* SPDX-License-Identifier: Apache-2.0 */
#include "drivers/hip/hip_api.h"

#include "drivers/hip/hip_cuda.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

static const struct hip_maker amd = {
    .library = "libamdhip64",
    .name = "AMD",
    .prefix = "gfx",
    .compiler = "clang-22 and lld-22",
    .advice =
        "is the driver amdgpu loaded, and /dev/kfd open to this user (groups render and video)?",
};

/* ISO C has no cast from data to function. */
bool hip_symbol_find(void *handle, const char *name, void *out)
{
    void *call = dlsym(handle, name);
    memcpy(out, &call, sizeof call);
    return call != NULL;
}

/* Every call but one, or the name of the first that is missing. */
static const char *find_calls(void *handle, struct hip_api *out)
{
#define HIP_FIND(call, parameters)                                                                 \
    if (!hip_symbol_find(handle, "hip" #call, &out->call))                                         \
        return "hip" #call;
    HIP_CALLS(HIP_FIND)
#undef HIP_FIND
    if (!hip_symbol_find(handle, "hipGetErrorName", &out->GetErrorName))
        return "hipGetErrorName";
    /* From version 6 on the plain name fills the struct of version 5. */
    if (!hip_symbol_find(handle, "hipGetDevicePropertiesR0600", &out->GetDeviceProperties) &&
        !hip_symbol_find(handle, "hipGetDeviceProperties", &out->GetDeviceProperties))
        return "hipGetDeviceProperties";
    return NULL;
}

static enum ash_status open_one(const char *name, void *handle, struct hip_api *out)
{
    struct hip_api api = { .maker = &amd };
    const char *missing = find_calls(handle, &api);
    if (missing)
        return ash_fail(ASH_ERR_NOT_FOUND,
            "%s lacks %s: it is no libamdhip64 of ROCm 5 or later; install the maker's hip-runtime-amd",
            name, missing);
    *out = api;
    return ASH_OK;
}

static enum ash_status open_named(const char *name, struct hip_api *out)
{
    void *handle = dlopen(name, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (!handle) {
        const char *why = dlerror();
        return ash_fail(
            ASH_ERR_NOT_FOUND, "cannot open %s: %s", name, why ? why : "no reason given");
    }
    bool is_cuda = dlsym(handle, "cuInit") && !dlsym(handle, "hipInit");
    return is_cuda ? hip_cuda_open(name, handle, out) : open_one(name, handle, out);
}

static const char *const names[] = { "libamdhip64.so.7", "libamdhip64.so.6", "libamdhip64.so.5",
    "libamdhip64.so" };

static bool is_loaded(const char *name)
{
    void *handle = dlopen(name, RTLD_LAZY | RTLD_LOCAL | RTLD_NOLOAD);
    if (handle)
        dlclose(handle);
    return handle != NULL;
}

bool hip_api_is_loaded(void)
{
    const char *given = getenv("ASHLAR_HIP_LIBRARY");
    if (given && given[0])
        return is_loaded(given);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (is_loaded(names[i]))
            return true;
    return is_loaded(HIP_CUDA_LIBRARY);
}

enum ash_status hip_api_open(const char *library, struct hip_api *out)
{
    const char *given = library ? library : getenv("ASHLAR_HIP_LIBRARY");
    enum ash_status status = ASH_ERR_NOT_FOUND;
    bool found = false;
    if (given && given[0])
        return open_named(given, out);
    for (size_t i = 0; i < sizeof names / sizeof *names && status != ASH_OK; i++) {
        void *handle = dlopen(names[i], RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
        if (handle)
            status = open_one(names[i], handle, out);
        found = found || handle;
    }
    if (found)
        return status;
    void *handle = dlopen(HIP_CUDA_LIBRARY, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (handle)
        return hip_cuda_open(HIP_CUDA_LIBRARY, handle, out);
    return ash_fail(ASH_ERR_NOT_FOUND,
        "libamdhip64 not found: install the maker's hip-runtime-amd (ROCm 5, 6 or 7) or, for NVIDIA's "
        "cards, their driver (libcuda); ASHLAR_HIP_LIBRARY names another");
}

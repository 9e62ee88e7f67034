/* SPDX-License-Identifier: Apache-2.0 */
#include "drivers/opencl/opencl_api.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

static enum ash_status find_call(void *library, const char *name, void *out)
{
    void *call = dlsym(library, name);
    if (!call)
        return ash_fail(ASH_ERR_NOT_FOUND,
            "libOpenCL.so.1 lacks %s: it is older than OpenCL 1.2; install ocl-icd-libopencl1",
            name);
    memcpy(out, &call, sizeof call); /* ISO C has no cast from data to function */
    return ASH_OK;
}

enum ash_status opencl_api_open(const char *library, struct opencl_api *out)
{
    struct opencl_api api;
    const char *name = library ? library : "libOpenCL.so.1";
    void *handle = dlopen(name, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    const char *why = handle ? NULL : dlerror();
    if (why && !strstr(why, "No such file"))
        return ash_fail(ASH_ERR_NOT_FOUND,
            "cannot open %s: %.100s: install ocl-icd-libopencl1 again", name, why);
    if (!handle)
        return ash_fail(ASH_ERR_NOT_FOUND,
            "%s not found: install ocl-icd-libopencl1 and the driver of the card's maker", name);
#define OPENCL_FIND(call) ASH_TRY(find_call(handle, "cl" #call, &api.call));
    OPENCL_CALLS(OPENCL_FIND)
#undef OPENCL_FIND
    *out = api;
    return ASH_OK;
}

const char *opencl_error_name(cl_int code)
{
    static _Thread_local char number[32];
    static const struct {
        cl_int code;
        const char *name;
    } names[] = {
        { CL_DEVICE_NOT_FOUND, "CL_DEVICE_NOT_FOUND" },
        { CL_DEVICE_NOT_AVAILABLE, "CL_DEVICE_NOT_AVAILABLE" },
        { CL_COMPILER_NOT_AVAILABLE, "CL_COMPILER_NOT_AVAILABLE" },
        { CL_MEM_OBJECT_ALLOCATION_FAILURE, "CL_MEM_OBJECT_ALLOCATION_FAILURE" },
        { CL_OUT_OF_RESOURCES, "CL_OUT_OF_RESOURCES" },
        { CL_OUT_OF_HOST_MEMORY, "CL_OUT_OF_HOST_MEMORY" },
        { CL_BUILD_PROGRAM_FAILURE, "CL_BUILD_PROGRAM_FAILURE" },
        { CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST,
            "CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST" },
        { CL_INVALID_BINARY, "CL_INVALID_BINARY" },
        { CL_INVALID_BUFFER_SIZE, "CL_INVALID_BUFFER_SIZE" },
        { CL_INVALID_KERNEL_NAME, "CL_INVALID_KERNEL_NAME" },
        { CL_INVALID_WORK_GROUP_SIZE, "CL_INVALID_WORK_GROUP_SIZE" },
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (names[i].code == code)
            return names[i].name;
    snprintf(number, sizeof number, "OpenCL error %d", code);
    return number;
}

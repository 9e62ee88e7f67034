/* SPDX-License-Identifier: Apache-2.0 */
/* A half-installed OpenCL driver: the loader finds it, and it crashes when asked for its platforms. */
#include <signal.h>

__attribute__((visibility("default"))) void *clGetExtensionFunctionAddress(const char *name);

void *clGetExtensionFunctionAddress(const char *name)
{
    (void)name;
    raise(SIGSEGV);
    return (void *)0;
}

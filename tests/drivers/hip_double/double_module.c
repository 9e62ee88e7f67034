/* SPDX-License-Identifier: Apache-2.0 */
/* Modules: objects as the driver embeds them, their entry points in C of the host. */
#include "tests/drivers/hip_double/double_hip.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

struct hip_module {
    const char *image; /* borrowed, as ours outlives it; a real one is copied */
    size_t bytes;
};

struct hip_function {
    struct hip_function *next;
    kernel_function *kernel;
};

static struct hip_function *functions; /* for the process: nothing releases them one by one */

int hipModuleLoadData(struct hip_module **module, const void *image)
{
    size_t bytes;
    int code = maker.check_image(image, &bytes);
    if (code != SUCCESS)
        return code;
    *module = calloc(1, sizeof **module);
    **module = (struct hip_module){ image, bytes };
    pthread_mutex_lock(&lock);
    live_count++;
    pthread_mutex_unlock(&lock);
    return SUCCESS;
}

int hipModuleUnload(struct hip_module *module)
{
    pthread_mutex_lock(&lock);
    live_count--;
    pthread_mutex_unlock(&lock);
    free(module);
    return SUCCESS;
}

/* The same entry point in C of the host: a symbol of this library. */
static kernel_function *find_kernel(const char *name)
{
    Dl_info about;
    kernel_function *kernel = NULL;
    if (!dladdr((void *)&functions, &about))
        return NULL;
    void *self = dlopen(about.dli_fname, RTLD_LAZY | RTLD_NOLOAD);
    void *found = self ? dlsym(self, name) : NULL;
    memcpy(&kernel, &found, sizeof kernel);
    if (self)
        dlclose(self);
    return kernel;
}

int hipModuleGetFunction(
    struct hip_function **function, struct hip_module *module, const char *name)
{
    kernel_function *kernel =
        maker.has_entry(module->image, module->bytes, name) ? find_kernel(name) : NULL;
    if (!kernel)
        return NOT_FOUND;
    pthread_mutex_lock(&lock);
    struct hip_function *found = functions;
    while (found && found->kernel != kernel)
        found = found->next;
    if (!found) {
        found = calloc(1, sizeof *found);
        *found = (struct hip_function){ functions, kernel };
        functions = found;
    }
    pthread_mutex_unlock(&lock);
    *function = found;
    return SUCCESS;
}

/* Reads the parameters where a card's loader reads them: one pointer each, the struct by value. */
static bool read_parameters(void **parameters, int device, struct job *out)
{
    bool allowed = true;
    for (int i = 0; i <= DEVICE_INPUTS; i++) {
        memcpy(&out->memory[i], parameters[i], sizeof out->memory[i]);
        allowed = allowed && (!out->memory[i] || is_on(out->memory[i], 1, device));
    }
    memcpy(&out->batch, parameters[DEVICE_INPUTS + 1], sizeof out->batch);
    memcpy(&out->args, parameters[DEVICE_INPUTS + 2], sizeof out->args);
    return allowed && (!out->batch || is_on(out->batch, 1, device));
}

int hipModuleLaunchKernel(struct hip_function *function, unsigned groups_x, unsigned groups_y,
    unsigned groups_z, unsigned items_x, unsigned items_y, unsigned items_z, unsigned shared_bytes,
    struct hip_stream *stream, void **parameters, void **extra)
{
    struct work work = { .kind = WORK_RUN,
        .job = { .kernel = function->kernel, .groups = (i32)groups_x } };
    bool allowed = groups_x > 0 && (uint64_t)groups_x * DEVICE_GROUP <= UINT32_MAX &&
                   groups_y == 1 && groups_z == 1 && items_x == DEVICE_GROUP && items_y == 1 &&
                   items_z == 1 && shared_bytes == 0 && !extra;
    pthread_mutex_lock(&lock);
    int code = LAUNCH_OUT_OF_RESOURCES;
    if (!happens(HIP_DOUBLE_LAUNCH)) {
        allowed = read_parameters(parameters, stream->device, &work.job) && allowed;
        code = stream_add(stream, allowed, work);
    }
    pthread_mutex_unlock(&lock);
    return code;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The calls, as ROCm's documentation has them: hip_double.h says what this is. */
#include "tests/drivers/hip_double/double_internal.h"

#include <dlfcn.h>
#include <elf.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static _Thread_local int current;
static int64_t peer_copies;

/* ---- Cards ---- */

static long setting(const char *name, long fallback)
{
    const char *text = getenv(name);
    return text && text[0] ? strtol(text, NULL, 10) : fallback;
}

static const char *arch_name(void)
{
    const char *name = getenv("HIP_DOUBLE_ARCH");
    return name ? name : "gfx90a";
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

static size_t card_bytes(void)
{
    return (size_t)setting("HIP_DOUBLE_MEMORY", 4096) << 20;
}

EXPORT int hipInit(unsigned flags);
int hipInit(unsigned flags)
{
    if (setting("HIP_DOUBLE_CRASH", 0))
        raise(SIGSEGV);
    return flags ? INVALID_VALUE : SUCCESS;
}

EXPORT int hipGetDeviceCount(int *count);
int hipGetDeviceCount(int *count)
{
    *count = card_count();
    return *count ? SUCCESS : 100;
}

EXPORT int hipSetDevice(int device);
int hipSetDevice(int device)
{
    if (!is_card(device))
        return INVALID_DEVICE;
    current = device;
    return SUCCESS;
}

EXPORT int hipDeviceGetName(char *name, int length, int device);
int hipDeviceGetName(char *name, int length, int device)
{
    if (!is_card(device))
        return INVALID_DEVICE;
    snprintf(name, (size_t)length, "Test double %d of an AMD card (C of the host)", device);
    return SUCCESS;
}

EXPORT int hipDeviceGetPCIBusId(char *name, int length, int device);
int hipDeviceGetPCIBusId(char *name, int length, int device)
{
    if (!is_card(device))
        return INVALID_DEVICE;
    snprintf(name, (size_t)length, "fffe:%02x:00.0", (unsigned)device);
    return SUCCESS;
}

EXPORT int hipDeviceTotalMem(size_t *bytes, int device);
int hipDeviceTotalMem(size_t *bytes, int device)
{
    if (!is_card(device))
        return INVALID_DEVICE;
    *bytes = card_bytes();
    return SUCCESS;
}

/* Some struct, and the name somewhere in it: no version has it there. */
EXPORT int hipGetDevicePropertiesR0600(void *properties, int device);
int hipGetDevicePropertiesR0600(void *properties, int device)
{
    if (!is_card(device))
        return INVALID_DEVICE;
    memset(properties, 0x67, 900);
    snprintf((char *)properties + 900, 256, "%s:sramecc+:xnack-", arch_name());
    return SUCCESS;
}

EXPORT int hipDeviceCanAccessPeer(int *can, int device, int peer);
int hipDeviceCanAccessPeer(int *can, int device, int peer)
{
    *can = is_card(device) && is_card(peer) && device != peer;
    return SUCCESS;
}

EXPORT int hipDeviceEnablePeerAccess(int peer, unsigned flags);
int hipDeviceEnablePeerAccess(int peer, unsigned flags)
{
    return flags || !is_card(peer) || peer == current ? INVALID_DEVICE : SUCCESS;
}

EXPORT const char *hipGetErrorName(int error);
const char *hipGetErrorName(int error)
{
    static _Thread_local char name[48];
    snprintf(name, sizeof name, "hipError %d of a test double", error);
    return name;
}

/* ---- Memory: every block, so that a stray pointer is found ---- */

struct block {
    struct block *next;
    int device; /* -1 = pinned memory of the host */
    size_t bytes;
    char *memory;
};

static struct block *blocks;
static size_t used_bytes[MOST_DEVICES];

static struct block *find_block(const void *memory, size_t bytes)
{
    uintptr_t at = (uintptr_t)memory;
    for (struct block *block = blocks; block; block = block->next)
        if (at >= (uintptr_t)block->memory && at - (uintptr_t)block->memory <= block->bytes &&
            block->bytes - (at - (uintptr_t)block->memory) >= bytes)
            return block;
    return NULL;
}

static bool is_on(const void *memory, size_t bytes, int device)
{
    const struct block *block = find_block(memory, bytes);
    return block && block->device == device;
}

/* Not in any card's memory. */
static bool is_of_host(const void *memory)
{
    const struct block *block = find_block(memory, 0);
    return memory && (!block || block->device < 0);
}

static int add_block(void **memory, size_t bytes, int device)
{
    int code = OUT_OF_MEMORY;
    pthread_mutex_lock(&lock);
    bool fails = happens(HIP_DOUBLE_OUT_OF_MEMORY);
    struct block *block = NULL;
    if (!fails && (device < 0 || bytes <= card_bytes() - used_bytes[device]))
        block = calloc(1, sizeof *block);
    if (block && (block->memory = aligned_alloc(256, (bytes + 255) / 256 * 256))) {
        memset(block->memory, 0xa5, bytes); /* as it comes: never zeros by chance */
        block->device = device;
        block->bytes = bytes;
        block->next = blocks;
        blocks = block;
        if (device >= 0)
            used_bytes[device] += bytes;
        *memory = block->memory;
        live_count++;
        code = SUCCESS;
    } else {
        free(block);
    }
    pthread_mutex_unlock(&lock);
    return code;
}

/* Waits for the card's work, as hipFree() does. */
static int remove_block(void *memory, bool of_host)
{
    pthread_mutex_lock(&lock);
    for (struct block **at = &blocks; *at; at = &(*at)->next) {
        struct block *block = *at;
        if (block->memory != memory || (block->device < 0) != of_host)
            continue;
        *at = block->next;
        if (!of_host)
            used_bytes[block->device] -= block->bytes;
        live_count--;
        pthread_mutex_unlock(&lock);
        free(block->memory);
        free(block);
        return SUCCESS;
    }
    pthread_mutex_unlock(&lock);
    return INVALID_VALUE;
}

static struct hip_stream *streams[64];

static void wait_for_card(int device)
{
    for (int i = 0; i < 64; i++) {
        pthread_mutex_lock(&lock);
        struct hip_stream *stream = streams[i];
        uint64_t point = stream ? stream->queued : 0;
        pthread_mutex_unlock(&lock);
        if (stream && stream->device == device)
            (void)queue_wait(stream, point);
    }
}

EXPORT int hipMalloc(void **memory, size_t bytes);
int hipMalloc(void **memory, size_t bytes)
{
    return card_error[current] ? card_error[current] : add_block(memory, bytes, current);
}

EXPORT int hipFree(void *memory);
int hipFree(void *memory)
{
    pthread_mutex_lock(&lock);
    const struct block *block = find_block(memory, 0);
    int device = block ? block->device : -1;
    pthread_mutex_unlock(&lock);
    if (device >= 0)
        wait_for_card(device);
    return remove_block(memory, false);
}

EXPORT int hipHostMalloc(void **memory, size_t bytes, unsigned flags);
int hipHostMalloc(void **memory, size_t bytes, unsigned flags)
{
    return flags ? INVALID_VALUE : add_block(memory, bytes, -1);
}

EXPORT int hipHostFree(void *memory);
int hipHostFree(void *memory)
{
    return remove_block(memory, true);
}

/* ---- Streams and events ---- */

EXPORT int hipStreamCreateWithFlags(struct hip_stream **stream, unsigned flags);
int hipStreamCreateWithFlags(struct hip_stream **stream, unsigned flags)
{
    if (flags > 1)
        return INVALID_VALUE;
    int code = stream_start(current, stream);
    pthread_mutex_lock(&lock);
    for (int i = 0; code == SUCCESS && i < 64; i++)
        if (!streams[i]) {
            streams[i] = *stream;
            break;
        }
    live_count += code == SUCCESS;
    pthread_mutex_unlock(&lock);
    return code;
}

EXPORT int hipStreamDestroy(struct hip_stream *stream);
int hipStreamDestroy(struct hip_stream *stream)
{
    pthread_mutex_lock(&lock);
    for (int i = 0; i < 64; i++)
        if (streams[i] == stream)
            streams[i] = NULL;
    live_count--;
    pthread_mutex_unlock(&lock);
    stream_end(stream);
    return SUCCESS;
}

EXPORT int hipStreamSynchronize(struct hip_stream *stream);
int hipStreamSynchronize(struct hip_stream *stream)
{
    pthread_mutex_lock(&lock);
    uint64_t point = stream->queued;
    pthread_mutex_unlock(&lock);
    return queue_wait(stream, point);
}

EXPORT int hipEventCreateWithFlags(struct hip_event **event, unsigned flags);
int hipEventCreateWithFlags(struct hip_event **event, unsigned flags)
{
    if (flags != 2)
        return INVALID_VALUE;
    *event = calloc(1, sizeof **event);
    (*event)->device = current;
    pthread_mutex_lock(&lock);
    live_count++;
    pthread_mutex_unlock(&lock);
    return SUCCESS;
}

EXPORT int hipEventDestroy(struct hip_event *event);
int hipEventDestroy(struct hip_event *event)
{
    pthread_mutex_lock(&lock);
    live_count--;
    pthread_mutex_unlock(&lock);
    free(event);
    return SUCCESS;
}

EXPORT int hipEventRecord(struct hip_event *event, struct hip_stream *stream);
int hipEventRecord(struct hip_event *event, struct hip_stream *stream)
{
    if (event->device != stream->device)
        return INVALID_HANDLE;
    pthread_mutex_lock(&lock);
    event->stream = stream;
    event->point = stream->queued;
    int code = card_error[stream->device];
    pthread_mutex_unlock(&lock);
    return code;
}

EXPORT int hipEventSynchronize(struct hip_event *event);
int hipEventSynchronize(struct hip_event *event)
{
    return event->stream ? queue_wait(event->stream, event->point) : SUCCESS;
}

/* Queues work on a stream of the current card, if that lives. */
static int add(struct hip_stream *stream, bool allowed, struct work work)
{
    int code = card_error[stream->device];
    if (code == SUCCESS && stream->device != current)
        code = INVALID_HANDLE;
    if (code == SUCCESS && !allowed)
        code = INVALID_VALUE;
    return code == SUCCESS ? queue_add(stream, &work) : code;
}

EXPORT int hipStreamWaitEvent(struct hip_stream *stream, struct hip_event *event, unsigned flags);
int hipStreamWaitEvent(struct hip_stream *stream, struct hip_event *event, unsigned flags)
{
    pthread_mutex_lock(&lock);
    struct work work = { .kind = WORK_WAIT, .stream = event->stream, .point = event->point };
    int code = event->stream ? add(stream, flags == 0, work) : SUCCESS;
    pthread_mutex_unlock(&lock);
    return code;
}

EXPORT int hipMemsetAsync(void *memory, int value, size_t bytes, struct hip_stream *stream);
int hipMemsetAsync(void *memory, int value, size_t bytes, struct hip_stream *stream)
{
    pthread_mutex_lock(&lock);
    int code = add(stream, is_on(memory, bytes, stream->device),
        (struct work){ .kind = WORK_SET, .to = memory, .value = value, .bytes = bytes });
    pthread_mutex_unlock(&lock);
    return code;
}

EXPORT int hipMemcpyAsync(
    void *to, const void *from, size_t bytes, int kind, struct hip_stream *stream);
int hipMemcpyAsync(void *to, const void *from, size_t bytes, int kind, struct hip_stream *stream)
{
    pthread_mutex_lock(&lock);
    bool to_card = is_on(to, bytes, stream->device), from_card = is_on(from, bytes, stream->device);
    bool allowed = kind == 1   ? to_card && is_of_host(from)
                   : kind == 2 ? from_card && is_of_host(to)
                               : kind == 3 && to_card && from_card;
    int code = add(stream, allowed,
        (struct work){ .kind = WORK_COPY, .to = to, .from = from, .bytes = bytes });
    pthread_mutex_unlock(&lock);
    return code;
}

EXPORT int hipMemcpyPeerAsync(void *to, int to_device, const void *from, int from_device,
    size_t bytes, struct hip_stream *stream);
int hipMemcpyPeerAsync(void *to, int to_device, const void *from, int from_device, size_t bytes,
    struct hip_stream *stream)
{
    pthread_mutex_lock(&lock);
    bool allowed = is_on(to, bytes, to_device) && is_on(from, bytes, from_device) &&
                   (stream->device == to_device || stream->device == from_device);
    int code = add(stream, allowed,
        (struct work){ .kind = WORK_COPY, .to = to, .from = from, .bytes = bytes });
    peer_copies += code == SUCCESS;
    pthread_mutex_unlock(&lock);
    return code;
}

EXPORT hip_double_peer_copies hip_double_count_peer_copies;
int64_t hip_double_count_peer_copies(void)
{
    pthread_mutex_lock(&lock);
    int64_t count = peer_copies;
    pthread_mutex_unlock(&lock);
    return count;
}

/* ---- Modules ---- */

struct hip_module {
    const char *image; /* borrowed, as ours outlives it; a real one is copied */
    size_t bytes;
};

struct hip_function {
    struct hip_function *next;
    kernel_function *kernel;
};

static struct hip_function *functions; /* for the process: nothing releases them one by one */

/* Of LLVM's "User Guide for AMDGPU Backend", table "ELF e_flags". */
static unsigned mach_of(const char *arch)
{
    static const struct {
        const char *arch;
        unsigned mach;
    } known[] = { { "gfx906", 0x2f }, { "gfx90a", 0x3f }, { "gfx942", 0x4c }, { "gfx950", 0x4f },
        { "gfx1030", 0x36 }, { "gfx1100", 0x41 }, { "gfx1151", 0x4a }, { "gfx1201", 0x4e } };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(known[i].arch, arch) == 0)
            return known[i].mach;
    return 0;
}

EXPORT int hipModuleLoadData(struct hip_module **module, const void *image);
int hipModuleLoadData(struct hip_module **module, const void *image)
{
    Elf64_Ehdr header;
    memcpy(&header, image, sizeof header);
    if (memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 || header.e_machine != 224 /* AMDGPU */)
        return INVALID_IMAGE;
    if ((header.e_flags & 0xff) != mach_of(arch_name()))
        return NO_BINARY_FOR_GPU;
    *module = calloc(1, sizeof **module);
    (*module)->image = image;
    (*module)->bytes = header.e_shoff + (size_t)header.e_shnum * header.e_shentsize;
    pthread_mutex_lock(&lock);
    live_count++;
    pthread_mutex_unlock(&lock);
    return SUCCESS;
}

EXPORT int hipModuleUnload(struct hip_module *module);
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

EXPORT int hipModuleGetFunction(
    struct hip_function **function, struct hip_module *module, const char *name);
int hipModuleGetFunction(
    struct hip_function **function, struct hip_module *module, const char *name)
{
    char symbol[128];
    int length = snprintf(symbol, sizeof symbol, "%s.kd", name); /* of its descriptor */
    if (!memmem(module->image, module->bytes, symbol, (size_t)length + 1))
        return NOT_FOUND;
    kernel_function *kernel = find_kernel(name);
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

EXPORT int hipModuleLaunchKernel(struct hip_function *function, unsigned groups_x,
    unsigned groups_y, unsigned groups_z, unsigned items_x, unsigned items_y, unsigned items_z,
    unsigned shared_bytes, struct hip_stream *stream, void **parameters, void **extra);
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
        code = add(stream, allowed, work);
    }
    pthread_mutex_unlock(&lock);
    return code;
}

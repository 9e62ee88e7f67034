/* SPDX-License-Identifier: Apache-2.0 */
#include "models/gguf.h"

#include "models/gguf_internal.h"
#include "runtime/memory.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static enum ash_status fail_system(const char *doing)
{
    int error = errno;
    return ash_fail(error == ENOENT || error == ENOTDIR ? ASH_ERR_NOT_FOUND : ASH_ERR_IO,
        "cannot %s the model file: %s", doing, strerror(error));
}

/* Opens and maps; what was opened stays in *gguf for ash_gguf_close(). */
static enum ash_status map_file(const char *path, struct ash_gguf *gguf)
{
    struct stat info;
    gguf->fd =
        open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* or a FIFO would wait for a writer */
    if (gguf->fd < 0)
        return fail_system("open");
    if (fstat(gguf->fd, &info) != 0)
        return fail_system("look at");
    if (!S_ISREG(info.st_mode))
        return ash_fail(ASH_ERR_FORMAT, "a model must be a regular file");
    if (info.st_size == 0)
        return ash_fail(ASH_ERR_FORMAT, "the model file is empty");
    void *bytes = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE, gguf->fd, 0);
    if (bytes == MAP_FAILED)
        return fail_system("map");
    /* Or one row read of an embedding maps 2 MiB where the page cache holds large folios. */
    madvise(bytes, (size_t)info.st_size, MADV_NOHUGEPAGE);
    gguf->bytes = bytes;
    gguf->size_bytes = (uint64_t)info.st_size;
    gguf->changed = info.st_mtim;
    return ASH_OK;
}

/* Shared tail of both ways to open: takes `gguf`, and `status` of what happened so far. */
static enum ash_status finish_open(
    enum ash_status status, const char *name, struct ash_gguf *gguf, struct ash_gguf **out)
{
    if (status == ASH_OK)
        status = ash_gguf_parse(gguf);
    /* The getters used while parsing put no name before their messages yet. */
    if (status == ASH_OK && !(gguf->path = ash_strdup(name)))
        status = ash_fail_memory(strlen(name) + 1, "a file name");
    if (status != ASH_OK) {
        ash_gguf_close(gguf);
        return ash_fail_in(status, "%s", name);
    }
    *out = gguf;
    return ASH_OK;
}

enum ash_status ash_gguf_open(const char *path, struct ash_gguf **out)
{
    struct ash_gguf *gguf = ash_alloc_zero(sizeof *gguf);
    if (!gguf)
        return ash_fail_memory(sizeof *gguf, "a model file");
    return finish_open(map_file(path, gguf), path, gguf, out);
}

enum ash_status ash_gguf_open_memory(
    const char *name, const void *bytes, size_t size_bytes, struct ash_gguf **out)
{
    assert((uintptr_t)bytes % 8 == 0);
    struct ash_gguf *gguf = ash_alloc_zero(sizeof *gguf);
    if (!gguf)
        return ash_fail_memory(sizeof *gguf, "a model file");
    gguf->fd = -1;
    gguf->bytes = bytes;
    gguf->size_bytes = size_bytes;
    return finish_open(ASH_OK, name, gguf, out);
}

void ash_gguf_close(struct ash_gguf *gguf)
{
    if (!gguf)
        return;
    if (gguf->fd >= 0) {
        if (gguf->bytes)
            munmap((void *)(uintptr_t)gguf->bytes, gguf->size_bytes);
        close(gguf->fd);
    }
    ash_free(gguf->value);
    ash_free(gguf->sorted_value);
    ash_free(gguf->tensor);
    ash_free(gguf->sorted_tensor);
    ash_free(gguf->path);
    ash_free(gguf);
}

enum ash_status ash_gguf_check_unchanged(const struct ash_gguf *gguf)
{
    struct stat info;
    if (gguf->fd < 0)
        return ASH_OK;
    if (fstat(gguf->fd, &info) != 0)
        return ash_fail_in(fail_system("look at"), "%s", gguf->path);
    if ((uint64_t)info.st_size != gguf->size_bytes || info.st_mtim.tv_sec != gguf->changed.tv_sec ||
        info.st_mtim.tv_nsec != gguf->changed.tv_nsec)
        return ash_fail(ASH_ERR_IO,
            "%s: the model file was changed while it was being read; try again", gguf->path);
    return ASH_OK;
}

const char *ash_gguf_path(const struct ash_gguf *gguf)
{
    return gguf->path;
}

uint32_t ash_gguf_version(const struct ash_gguf *gguf)
{
    return gguf->version;
}

uint64_t ash_gguf_file_bytes(const struct ash_gguf *gguf)
{
    return gguf->size_bytes;
}

size_t ash_gguf_value_count(const struct ash_gguf *gguf)
{
    return gguf->value_count;
}

const struct ash_gguf_value *ash_gguf_value_at(const struct ash_gguf *gguf, size_t index)
{
    assert(index < gguf->value_count);
    return &gguf->value[index];
}

size_t ash_gguf_tensor_count(const struct ash_gguf *gguf)
{
    return gguf->tensor_count;
}

const struct ash_gguf_tensor *ash_gguf_tensor_at(const struct ash_gguf *gguf, size_t index)
{
    assert(index < gguf->tensor_count);
    return &gguf->tensor[index];
}

uint64_t ash_gguf_tensor_bytes(const struct ash_gguf *gguf)
{
    return gguf->tensor_bytes;
}

static const struct ash_gguf_tensor *find(const struct ash_gguf *gguf, const char *name)
{
    struct ash_gguf_string wanted = { name, strlen(name) };
    size_t low = 0, high = gguf->tensor_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = ash_gguf_string_compare(gguf->sorted_tensor[middle]->name, wanted);
        if (order == 0)
            return gguf->sorted_tensor[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

bool ash_gguf_has_tensor(const struct ash_gguf *gguf, const char *name)
{
    return find(gguf, name) != NULL;
}

enum ash_status ash_gguf_find_tensor(
    const struct ash_gguf *gguf, const char *name, struct ash_tensor *out)
{
    const struct ash_gguf_tensor *tensor = find(gguf, name);
    if (!tensor)
        return ash_fail(ASH_ERR_NOT_FOUND,
            "%s: the model file has no tensor \"%s\"; it is incomplete or of another architecture",
            gguf->path, name);
    if (!tensor->supported)
        return ash_fail(ASH_ERR_UNSUPPORTED,
            "%s: the tensor \"%s\" is stored as %s, which this version cannot compute with; "
            "use a file in F32, F16, BF16, Q8_0, Q4_0 or Q4_1",
            gguf->path, name, tensor->type_name);
    ASH_TRY(ash_fail_in(
        ash_tensor_init(tensor->type, tensor->rank, tensor->dim, out), "%s: %s", gguf->path, name));
    out->data = (void *)(uintptr_t)tensor->data; /* the mapping is read-only; so are weights */
    return ASH_OK;
}

/* The most that Linux maps at a page fault in a file: a whole large folio of its page cache. */
enum { FOLIO_BYTES = 2 << 20 };

void ash_gguf_release(const struct ash_gguf *gguf, const struct ash_tensor *tensor)
{
    const uint8_t *data = tensor->data;
    if (gguf->fd < 0 || !data || data < gguf->bytes || data >= gguf->bytes + gguf->size_bytes)
        return;
    /* Outwards to whole folios: the system has mapped those of the first and the last page, and what
     * neighbours still need comes back when they read it. */
    uintptr_t base = (uintptr_t)gguf->bytes;
    uintptr_t first = (uintptr_t)data / FOLIO_BYTES * FOLIO_BYTES;
    uintptr_t end = (uintptr_t)data + ash_tensor_bytes(tensor) + FOLIO_BYTES;
    first = first > base ? first : base;
    end = end < base + gguf->size_bytes ? end : base + gguf->size_bytes;
    madvise((void *)first, end - first, MADV_DONTNEED);
}

void ash_gguf_release_all(const struct ash_gguf *gguf)
{
    if (gguf->fd >= 0)
        madvise((void *)(uintptr_t)gguf->bytes, gguf->size_bytes, MADV_DONTNEED);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "drivers/opencl/opencl_internal.h"
#include "runtime/directory.h"
#include "runtime/hash.h"
#include "runtime/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/*
 * A file a program: this header, the key as text, the binary. The name only finds it; the key says
 * whether it is the one, the hash whether it is whole. Whatever does not fit is as good as not there.
 */
struct header {
    char magic[8];
    uint64_t key_bytes, binary_bytes, hash; /* of key and binary */
};

static const char magic[8] = "ashcl01";
enum { MOST_BYTES = 256 << 20 };

static enum ash_status read_all(int file, unsigned char *out, size_t length, const char *path)
{
    for (size_t at = 0; at < length;) {
        ssize_t count = read(file, out + at, length - at);
        if (count < 0 && errno == EINTR)
            continue;
        if (count <= 0)
            return ash_fail(ASH_ERR_IO, "cannot read %s: %s", path,
                count < 0 ? strerror(errno) : "it got shorter");
        at += (size_t)count;
    }
    return ASH_OK;
}

enum ash_status opencl_file_read(
    const char *path, size_t most, unsigned char **out, size_t *out_bytes)
{
    struct stat about;
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return ash_fail(errno == ENOENT ? ASH_ERR_NOT_FOUND : ASH_ERR_IO, "cannot open %s: %s",
            path, strerror(errno));
    enum ash_status status = ASH_OK;
    unsigned char *bytes = NULL;
    if (fstat(file, &about) != 0 || !S_ISREG(about.st_mode) || (uint64_t)about.st_size > most)
        status = ash_fail(ASH_ERR_IO, "%s is no file of at most %zu bytes", path, most);
    if (status == ASH_OK && !(bytes = ash_alloc((size_t)about.st_size + 1)))
        status = ash_fail_memory((size_t)about.st_size, "a file");
    if (status == ASH_OK)
        status = read_all(file, bytes, (size_t)about.st_size, path);
    close(file);
    if (status != ASH_OK) {
        ash_free(bytes);
        return status;
    }
    *out = bytes;
    *out_bytes = (size_t)about.st_size;
    return ASH_OK;
}

static char *path_of(const char *directory, const char *name, const char *key)
{
    return ash_format("%s/%s-%016llx.bin", directory, name,
        (unsigned long long)ash_hash(ASH_HASH_BEGIN, key, strlen(key)));
}

/* The binary inside a file's bytes, or NULL. */
static const unsigned char *find_binary(
    const unsigned char *file, size_t file_bytes, const char *key, size_t *out_bytes)
{
    struct header header;
    size_t key_bytes = strlen(key);
    if (file_bytes < sizeof header)
        return NULL;
    memcpy(&header, file, sizeof header);
    file += sizeof header;
    file_bytes -= sizeof header;
    if (memcmp(header.magic, magic, sizeof magic) != 0 || header.key_bytes != key_bytes ||
        file_bytes < key_bytes || header.binary_bytes != file_bytes - key_bytes ||
        header.binary_bytes == 0 || memcmp(file, key, key_bytes) != 0 ||
        header.hash != ash_hash(ASH_HASH_BEGIN, file, file_bytes))
        return NULL;
    *out_bytes = file_bytes - key_bytes;
    return file + key_bytes;
}

enum ash_status opencl_cache_read(const char *directory, const char *name, const char *key,
    unsigned char **out, size_t *out_bytes)
{
    size_t file_bytes;
    unsigned char *file;
    char *path = path_of(directory, name, key);
    if (!path)
        return ash_fail_memory(strlen(directory), "a path");
    enum ash_status status = opencl_file_read(path, MOST_BYTES, &file, &file_bytes);
    if (status == ASH_OK) {
        const unsigned char *binary = find_binary(file, file_bytes, key, out_bytes);
        if (binary) {
            memmove(file, binary, *out_bytes);
            *out = file;
        } else {
            ash_free(file);
            status = ash_fail(ASH_ERR_NOT_FOUND, "%s is damaged or another program's", path);
        }
    }
    ash_free(path);
    return status;
}

static bool write_all(int file, const void *bytes, size_t length)
{
    const char *at = bytes;
    while (length > 0) {
        ssize_t count = write(file, at, length);
        if (count < 0 && errno == EINTR)
            continue;
        if (count <= 0)
            return false;
        at += count;
        length -= (size_t)count;
    }
    return true;
}

static bool write_file(int file, const char *key, const unsigned char *binary, size_t binary_bytes)
{
    struct header header = { .key_bytes = strlen(key), .binary_bytes = binary_bytes };
    memcpy(header.magic, magic, sizeof magic);
    header.hash = ash_hash(ASH_HASH_BEGIN, key, header.key_bytes);
    header.hash = ash_hash(header.hash, binary, binary_bytes);
    return write_all(file, &header, sizeof header) && write_all(file, key, header.key_bytes) &&
           write_all(file, binary, binary_bytes);
}

enum ash_status opencl_cache_write(const char *directory, const char *name, const char *key,
    const unsigned char *binary, size_t binary_bytes)
{
    int error = ash_directory_make(directory, 0700);
    if (error)
        return ash_fail(ASH_ERR_IO, "cannot make %s: %s", directory, strerror(error));
    char *path = path_of(directory, name, key),
         *draft = path ? ash_format("%s.XXXXXX", path) : NULL;
    enum ash_status status = ASH_OK;
    if (!draft) {
        ash_free(path);
        return ash_fail_memory(strlen(directory), "a path");
    }
    int file = mkostemp(draft, O_CLOEXEC);
    bool done = file >= 0 && write_file(file, key, binary, binary_bytes);
    if (file >= 0)
        done = close(file) == 0 && done;
    if (!done || rename(draft, path) != 0) {
        status = ash_fail(ASH_ERR_IO, "cannot write %s: %s", path, strerror(errno));
        if (file >= 0)
            (void)unlink(draft);
    }
    ash_free(draft);
    ash_free(path);
    return status;
}

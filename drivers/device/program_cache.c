/* SPDX-License-Identifier: Apache-2.0 */
#include "drivers/device/program_cache.h"

#include "runtime/file.h"
#include "runtime/hash.h"
#include "runtime/memory.h"

#include <string.h>

/*
 * A file a program: this header, the key as text, the binary. The name only finds it; the key says
 * whether it is the one, the hash whether it is whole. Whatever does not fit is as good as not there.
 */
struct header {
    char magic[8];
    uint64_t key_bytes, binary_bytes, hash; /* of key and binary */
};

static const char magic[8] = "ashpro1";
enum { MOST_BYTES = 256 << 20 };

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

enum ash_status ash_program_cache_read(const char *directory, const char *name, const char *key,
    unsigned char **out, size_t *out_bytes)
{
    size_t file_bytes;
    char *text;
    char *path = path_of(directory, name, key);
    if (!path)
        return ash_fail_memory(strlen(directory), "a path");
    enum ash_status status = ash_whole_file_read(path, MOST_BYTES, &text, &file_bytes);
    if (status == ASH_OK) {
        unsigned char *file = (unsigned char *)text;
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

enum ash_status ash_program_cache_write(const char *directory, const char *name, const char *key,
    const unsigned char *binary, size_t binary_bytes)
{
    struct header header = { .key_bytes = strlen(key), .binary_bytes = binary_bytes };
    size_t bytes = sizeof header + header.key_bytes + binary_bytes; /* all in memory already */
    char *path = path_of(directory, name, key), *file = path ? ash_alloc(bytes) : NULL;
    if (!file) {
        ash_free(path);
        return ash_fail_memory(bytes, "a program for the cache");
    }
    char *at = file + sizeof header;
    memcpy(at, key, header.key_bytes);
    memcpy(at + header.key_bytes, binary, binary_bytes);
    memcpy(header.magic, magic, sizeof magic);
    header.hash = ash_hash(ASH_HASH_BEGIN, at, header.key_bytes + binary_bytes);
    memcpy(file, &header, sizeof header);
    enum ash_status status = ash_whole_file_replace(path, file, bytes);
    ash_free(file);
    ash_free(path);
    return status;
}

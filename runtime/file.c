/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/file.h"

#include "runtime/directory.h"
#include "runtime/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static enum ash_status read_open(
    int file, const char *path, size_t most, char **out, size_t *length)
{
    struct stat about;
    if (fstat(file, &about) != 0)
        return ash_fail(ASH_ERR_IO, "cannot read %s: %s", path, strerror(errno));
    if (!S_ISREG(about.st_mode) || (uint64_t)about.st_size > most)
        return ash_fail(ASH_ERR_LIMIT, "%s is no file of at most %zu bytes", path, most);
    size_t size = (size_t)about.st_size, at = 0;
    char *text = ash_alloc(size + 1);
    if (!text)
        return ash_fail_memory(size + 1, "a file");
    while (at < size) {
        ssize_t count = read(file, text + at, size - at);
        if (count < 0 && errno == EINTR)
            continue;
        if (count <= 0) {
            ash_free(text);
            return ash_fail(ASH_ERR_IO, "cannot read %s: %s", path,
                count < 0 ? strerror(errno) : "it got shorter");
        }
        at += (size_t)count;
    }
    text[size] = '\0';
    *out = text;
    *length = size;
    return ASH_OK;
}

enum ash_status ash_whole_file_read(const char *path, size_t most, char **out, size_t *length_out)
{
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe must not hold us up */
    if (file < 0)
        return ash_fail(errno == ENOENT || errno == ENOTDIR ? ASH_ERR_NOT_FOUND : ASH_ERR_IO,
            "cannot open %s: %s", path, strerror(errno));
    enum ash_status status = read_open(file, path, most, out, length_out);
    close(file);
    return status;
}

/* 0, or errno. */
static int write_all(int file, const char *text, size_t length)
{
    while (length > 0) {
        ssize_t count = write(file, text, length);
        if (count < 0 && errno == EINTR)
            continue;
        if (count <= 0)
            return count < 0 ? errno : ENOSPC;
        text += count;
        length -= (size_t)count;
    }
    return 0;
}

static int replace(const char *path, char *part, const char *text, size_t length)
{
    int file = mkostemp(part, O_CLOEXEC);
    if (file < 0)
        return errno;
    int error = write_all(file, text, length);
    if (close(file) != 0 && error == 0)
        error = errno;
    if (error == 0 && rename(part, path) != 0)
        error = errno;
    if (error != 0)
        unlink(part);
    return error;
}

enum ash_status ash_whole_file_replace(const char *path, const char *text, size_t length)
{
    const char *slash = strrchr(path, '/');
    char *part = ash_format("%s.XXXXXX", path);
    char *directory = slash ? ash_strndup(path, (size_t)(slash - path)) : ash_strdup(".");
    if (!part || !directory) {
        ash_free(part);
        ash_free(directory);
        return ash_fail_memory(strlen(path), "a path");
    }
    int error = *directory ? ash_directory_make(directory, 0700) : 0;
    if (error == 0)
        error = replace(path, part, text, length);
    ash_free(directory);
    ash_free(part);
    return error ? ash_fail(ASH_ERR_IO, "cannot write %s: %s", path, strerror(error)) : ASH_OK;
}

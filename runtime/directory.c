/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/directory.h"

#include "runtime/memory.h"

#include <errno.h>
#include <stdbool.h>
#include <sys/stat.h>

int ash_directory_make(const char *path, mode_t mode)
{
    if (!*path)
        return ENOENT;
    char *copy = ash_strdup(path);
    int error = copy ? 0 : ENOMEM;
    bool whole = false;
    for (char *end = copy; copy && error == 0 && !whole;) {
        end++; /* past the root's '/' too */
        whole = *end == '\0';
        if (!whole && *end != '/')
            continue;
        *end = '\0';
        if (mkdir(copy, mode) != 0 && errno != EEXIST)
            error = errno;
        if (!whole)
            *end = '/';
    }
    ash_free(copy);
    return error;
}

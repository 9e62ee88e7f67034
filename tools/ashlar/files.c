/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/ashlar/files.h"

#include "runtime/memory.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { FIRST_BYTES = 1 << 16 };

static enum ash_status read_all(
    FILE *file, const char *name, size_t most_bytes, char **text, size_t *length)
{
    size_t capacity = 0, got;
    do {
        if (capacity - *length < 2) {
            size_t wanted = capacity ? capacity * 2 : FIRST_BYTES;
            char *grown = ash_realloc_array(*text, wanted, 1);
            if (!grown)
                return ash_fail_memory(wanted, name);
            *text = grown;
            capacity = wanted;
        }
        got = fread(*text + *length, 1, capacity - *length - 1, file);
        *length += got;
        if (*length > most_bytes)
            return ash_fail(ASH_ERR_LIMIT, "%s is longer than %zu MiB", name, most_bytes >> 20);
    } while (got > 0);
    if (ferror(file))
        return ash_fail(ASH_ERR_IO, "%s: %s", name, strerror(errno));
    (*text)[*length] = '\0';
    return ASH_OK;
}

enum ash_status ash_file_read(const char *path, size_t most_bytes, char **out, size_t *length_out)
{
    bool standard = strcmp(path, "-") == 0;
    const char *name = standard ? "standard input" : path;
    FILE *file = standard ? stdin : fopen(path, "rbe");
    if (!file)
        return ash_fail(
            errno == ENOENT ? ASH_ERR_NOT_FOUND : ASH_ERR_IO, "%s: %s", path, strerror(errno));
    char *text = NULL;
    size_t length = 0;
    enum ash_status status = read_all(file, name, most_bytes, &text, &length);
    if (!standard)
        fclose(file);
    if (status != ASH_OK) {
        ash_free(text);
        return status;
    }
    *out = text;
    *length_out = length;
    return ASH_OK;
}

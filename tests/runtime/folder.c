/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/runtime/folder.h"

#include <criterion/criterion.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static void write_file(const char *folder, const struct ash_test_file *file)
{
    char path[512];
    snprintf(path, sizeof path, "%s%s", folder, file->path);
    for (char *at = path + strlen(folder) + 1; (at = strchr(at, '/')); at++) {
        *at = '\0';
        mkdir(path, 0700);
        *at = '/';
    }
    FILE *stream = fopen(path, "w");
    cr_assert(stream, "%s", path);
    fputs(file->text, stream);
    fclose(stream);
}

void ash_test_folder_create(
    const struct ash_test_file *files, size_t count, char *path, size_t capacity)
{
    snprintf(path, capacity, "/tmp/ashlar-test-XXXXXX");
    cr_assert(mkdtemp(path));
    for (size_t i = 0; i < count && files[i].path; i++)
        write_file(path, &files[i]);
}

static int remove_one(const char *path, const struct stat *stat, int type, struct FTW *walk)
{
    (void)stat, (void)type, (void)walk;
    return remove(path);
}

void ash_test_folder_remove(const char *path)
{
    cr_assert_eq(nftw(path, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
}

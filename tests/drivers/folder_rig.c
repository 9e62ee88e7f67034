/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/drivers/folder_rig.h"

#include "runtime/file.h"
#include "runtime/memory.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

char rig_folder[] = "/tmp/ashlar-drivers-XXXXXX";
struct ash_config rig_config;

void rig_folder_make(void)
{
    cr_assert(mkdtemp(rig_folder));
}

void rig_folder_remove(void)
{
    char command[64];
    snprintf(command, sizeof command, "rm -rf %s", rig_folder);
    cr_assert_eq(system(command), 0);
}

void rig_cache_set_up(void)
{
    rig_folder_make();
    cr_assert_eq(ash_config_init(&rig_config), ASH_OK);
    rig_set("cache_dir", rig_folder);
}

void rig_cache_tear_down(void)
{
    ash_config_finish(&rig_config);
    rig_folder_remove();
}

void rig_set(const char *name, const char *value)
{
    cr_assert_eq(
        ash_config_set(&rig_config, ash_setting_find(name), value, ASH_SOURCE_FLAG), ASH_OK);
}

void rig_write_file(const char *name, const void *bytes, size_t length)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", rig_folder, name);
    FILE *file = fopen(path, "wb");
    cr_assert(file && fwrite(bytes, 1, length, file) == length);
    fclose(file);
}

/* The name in rig_folder of the one file in the cache; "" if there is none. */
static const char *cached_file(const char *driver)
{
    static char name[300];
    char directory[256];
    name[0] = '\0';
    snprintf(directory, sizeof directory, "%s/%s", rig_folder, driver);
    DIR *open = opendir(directory);
    for (struct dirent *entry; open && (entry = readdir(open));)
        if (entry->d_name[0] != '.') {
            cr_assert_str_empty(name, "one file and no drafts");
            snprintf(name, sizeof name, "%s/%s", driver, entry->d_name);
        }
    if (open)
        closedir(open);
    return name;
}

/* To ash_free(). */
static char *read_cached(const char *driver, size_t *length, ino_t *inode)
{
    char path[600], *bytes;
    struct stat about;
    snprintf(path, sizeof path, "%s/%s", rig_folder, cached_file(driver));
    cr_assert_eq(ash_whole_file_read(path, 1 << 28, &bytes, length), ASH_OK, "%s", ash_error());
    cr_assert_eq(stat(path, &about), 0);
    *inode = about.st_ino;
    return bytes;
}

/* A file of which bits have flipped, or the end is missing. */
static void check_damaged(
    const char *driver, const char *good, size_t length, size_t left, void (*run_once)(void))
{
    size_t now;
    ino_t inode;
    char *bad = ash_alloc(length);
    memcpy(bad, good, length);
    bad[length - 1] ^= 1;
    bad[length / 3] ^= 0x40;
    rig_write_file(cached_file(driver), bad, left);
    run_once();
    ash_free(bad);
    ash_free(read_cached(driver, &now, &inode));
    cr_assert_geq(
        now, length / 2, "of %zu bytes %zu were left, and it was not made again", length, left);
}

void rig_check_kept_programs(const char *driver, void (*run_once)(void))
{
    size_t length, again;
    ino_t before, after;
    run_once();
    char *good = read_cached(driver, &length, &before);
    run_once();
    ash_free(read_cached(driver, &again, &after));
    cr_assert_eq(before, after, "a good file is used as it is");
    cr_assert_eq(length, again);
    const size_t lengths[] = { 0, 7, sizeof(uint64_t) * 4, length / 2, length - 1, length };
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++)
        check_damaged(driver, good, length, lengths[i], run_once);
    ash_free(good);
}

void rig_check_programs_that_cannot_be_kept(const char *driver, void (*run_once)(void))
{
    rig_write_file(driver, "a file where the folder should be", 33);
    run_once();
}

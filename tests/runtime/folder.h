/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>

/* A temporary folder of small files, standing in for the system's /proc and /sys. */
struct ash_test_file {
    const char *path; /* below the folder, with a leading slash; NULL ends a list */
    const char *text;
};

/* Writes up to `count` files and the folder's path; fails the test on any error. */
void ash_test_folder_create(
    const struct ash_test_file *files, size_t count, char *path, size_t capacity);
void ash_test_folder_remove(const char *path);

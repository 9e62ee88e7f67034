/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "runtime/status.h"

#include <stddef.h>

/* Whole files that a program keeps for itself: read at once, replaced at once. Threads: any. */

/*
 * Reads a regular file of at most `most` bytes; *out ends with a 0 that *length_out does not count, and is
 * the caller's to ash_free(). ASH_ERR_NOT_FOUND; ASH_ERR_IO; ASH_ERR_LIMIT: larger, or no regular file.
 */
enum ash_status ash_whole_file_read(const char *path, size_t most, char **out, size_t *length_out);

/*
 * Writes `path`, all of it or nothing: by way of a file beside it that takes the name once it is whole, as
 * others may be reading or writing. Makes the folder (mode 0700). ASH_ERR_IO, ASH_ERR_NO_MEMORY.
 */
enum ash_status ash_whole_file_replace(const char *path, const char *text, size_t length);

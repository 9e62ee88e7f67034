/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "runtime/status.h"

#include <stddef.h>

/*
 * Programs that a maker's compiler has built, kept on disk for the next start: a file a program. `name` and
 * a hash of `key` find it; it is believed only if its key, the text of all that the binary depends on, is
 * this one and its checksum is right. Any number of processes may read and write at once. Threads: any.
 */

/* ASH_ERR_NOT_FOUND where there is none for this key, or a damaged one. *out is the caller's to
 * ash_free(). */
enum ash_status ash_program_cache_read(const char *directory, const char *name, const char *key,
    unsigned char **out, size_t *out_bytes);

/* Makes the folder where there is none, and replaces what is there. ASH_ERR_IO, ASH_ERR_NO_MEMORY. */
enum ash_status ash_program_cache_write(const char *directory, const char *name, const char *key,
    const unsigned char *binary, size_t binary_bytes);

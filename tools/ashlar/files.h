/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "runtime/status.h"

#include <stdbool.h>
#include <stddef.h>

/*
 * Reads the whole of a file, or of standard input for "-". A zero byte is put behind the text and not
 * counted. The caller frees *out (ash_free).
 *
 * ASH_ERR_NOT_FOUND, ASH_ERR_IO  as the system says; ASH_ERR_LIMIT  more than `most_bytes`
 */
enum ash_status ash_file_read(const char *path, size_t most_bytes, char **out, size_t *length_out);

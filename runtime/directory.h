/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <sys/types.h>

/*
 * Makes a directory and those above it that are missing, as mkdir -p, each with `mode` (less the
 * umask). 0, or the errno of the one that could not be made: the caller knows what it was for.
 */
int ash_directory_make(const char *path, mode_t mode);

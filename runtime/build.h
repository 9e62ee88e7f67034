/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>

/*
 * Which build of this code is running, as hexadecimal digits: the build ID that the linker put into the
 * program or shared library that this is part of ("0.1.0" where it put none: not as good, since two
 * builds of one version then look alike). For caches of what depends on the code. Writes at most
 * `capacity` bytes, the closing 0 among them; returns `text`. Threads: any.
 */
char *ash_build_describe(char *text, size_t capacity);

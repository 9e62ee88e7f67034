/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "tools/ashlar/cli.h"

/* The help of a command, or of the whole program for NULL, for a terminal of 80 columns. */
void ash_help_print(const struct ash_command *command, FILE *out);

/* The manual page ashlar(1) of the whole program, as mdoc. */
void ash_man_print(FILE *out);

/* "on|off", "0..4096" or "": what an argument may be, for people; cut to `capacity`, returns text. */
char *ash_flag_range(const struct ash_flag *flag, char *text, size_t capacity);

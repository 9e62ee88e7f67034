/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* Quantities as people read them, and how wide a text is on their terminal. Nothing allocates. */

enum { ASH_SHOW_BYTES = 24 };

/* "0 B", "93.8 MiB": three digits or so, units of 1,024. Returns `out`. */
char *ash_show_bytes(uint64_t bytes, char out[ASH_SHOW_BYTES]);

/* "0:07", "12:03", "1:02:03"; "-" for less than nothing. Returns `out`. */
char *ash_show_seconds(double seconds, char out[ASH_SHOW_BYTES]);

/*
 * Columns that UTF-8 takes on a terminal: two for what East Asian Width calls wide and for emoji, none
 * for combining marks, one for each byte that is in no character.
 */
int ash_show_width(const char *text);

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "runtime/status.h"

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/*
 * Texts that a person typed: numbers in a range, words out of a list, and what was probably meant.
 *
 * One reading for all of them, so that a flag, an environment variable and a line of YAML accept the
 * same spellings and fail with the same words. Messages say what was expected and what was found; the
 * caller puts the place in front with ash_fail_in(). Threads: any. Nothing here allocates.
 */

/* A word and what it stands for. Lists end with a NULL name; the first name of a value is its own. */
struct ash_choice {
    const char *name;
    int value;
};

/*
 * The whole text is one decimal number within [least, most], or one of the names (exactly so).
 * ASH_ERR_ARGUMENT otherwise, *out untouched. Reals: finite, no hexadecimal.
 */
enum ash_status ash_text_to_integer(const char *text, int64_t least, int64_t most, int64_t *out);
enum ash_status ash_text_to_real(const char *text, double least, double most, double *out);
enum ash_status ash_text_to_choice(const char *text, const struct ash_choice *choices, int *out);

/* The first name of `value`; NULL when no choice has it. */
const char *ash_choice_name(const struct ash_choice *choices, int value);

/* "f16|q8_0|f32": the first name of each value, cut to `capacity` bytes; returns `text`. */
char *ash_choice_list(const struct ash_choice *choices, char *text, size_t capacity);

/*
 * Which of several known names was meant by a mistyped one. Offer every known name, then ask for the
 * hint: `; did you mean "threads"?`, or "" when nothing is near. Near: at most a third of the letters
 * inserted, deleted, replaced or swapped with their neighbour.
 */
struct ash_guess {
    const char *typed; /* set by the caller */
    const char *best;  /* borrowed from the names offered; NULL = none near so far */
    size_t distance;   /* of best */
    char hint[128];    /* filled by ash_guess_hint() */
};
void ash_guess_offer(struct ash_guess *guess, const char *name);
const char *ash_guess_hint(struct ash_guess *guess);

/* Steps between two texts of at most 63 bytes, as above; SIZE_MAX when either is longer. */
size_t ash_text_distance(const char *a, const char *b);

/*
 * Copies `text` so that it can be shown: control characters (C0, DEL, and C1 as UTF-8 writes them)
 * become \x1b and the like, so that what a file carries neither starts a line nor steers a terminal.
 * Cut between characters to `capacity` bytes; returns `out`.
 */
char *ash_text_visible(const char *text, char *out, size_t capacity);

/* Writes `text` as the text of an XML element: < > and & escaped, the rest as it is. */
void ash_text_write_xml(const char *text, FILE *out);

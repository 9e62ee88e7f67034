/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/text.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_LETTERS = 63 };

enum ash_status ash_text_to_integer(const char *text, int64_t least, int64_t most, int64_t *out)
{
    char *end = NULL;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    bool number = end != text && *end == '\0' && !isspace((unsigned char)*text);
    if (!number || errno == ERANGE || value < least || value > most)
        return ash_fail(ASH_ERR_ARGUMENT, "expected a whole number from %lld to %lld, found \"%s\"",
            (long long)least, (long long)most, text);
    *out = value;
    return ASH_OK;
}

enum ash_status ash_text_to_real(const char *text, double least, double most, double *out)
{
    char *end = NULL;
    double value = strtod(text, &end);
    bool decimal = strspn(text, "+-.0123456789eE") == strlen(text);
    if (end == text || *end != '\0' || !decimal || !(value >= least && value <= most))
        return ash_fail(
            ASH_ERR_ARGUMENT, "expected a number from %g to %g, found \"%s\"", least, most, text);
    *out = value;
    return ASH_OK;
}

enum ash_status ash_text_to_choice(const char *text, const struct ash_choice *choices, int *out)
{
    struct ash_guess guess = { .typed = text };
    for (const struct ash_choice *choice = choices; choice->name; choice++) {
        if (strcmp(choice->name, text) == 0) {
            *out = choice->value;
            return ASH_OK;
        }
        ash_guess_offer(&guess, choice->name);
    }
    char list[256];
    return ash_fail(ASH_ERR_ARGUMENT, "expected %s, found \"%s\"%s",
        ash_choice_list(choices, list, sizeof list), text, ash_guess_hint(&guess));
}

const char *ash_choice_name(const struct ash_choice *choices, int value)
{
    for (const struct ash_choice *choice = choices; choice->name; choice++)
        if (choice->value == value)
            return choice->name;
    return NULL;
}

char *ash_choice_list(const struct ash_choice *choices, char *text, size_t capacity)
{
    size_t used = 0;
    text[0] = '\0';
    for (const struct ash_choice *choice = choices; choice->name; choice++) {
        if (ash_choice_name(choices, choice->value) != choice->name || used >= capacity)
            continue;
        int wrote = snprintf(text + used, capacity - used, "%s%s", used ? "|" : "", choice->name);
        used += wrote > 0 ? (size_t)wrote : 0;
    }
    return text;
}

static size_t least_of(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Optimal string alignment: Damerau's distance in which no part is edited twice. */
size_t ash_text_distance(const char *a, const char *b)
{
    size_t rows = strlen(a), columns = strlen(b);
    if (rows > MOST_LETTERS || columns > MOST_LETTERS)
        return SIZE_MAX;
    size_t cost[3][MOST_LETTERS + 1] = { 0 }; /* row i lives in cost[i % 3] */
    for (size_t j = 0; j <= columns; j++)
        cost[0][j] = j;
    for (size_t i = 1; i <= rows; i++) {
        size_t *row = cost[i % 3], *above = cost[(i + 2) % 3], *above2 = cost[(i + 1) % 3];
        row[0] = i;
        for (size_t j = 1; j <= columns; j++) {
            row[j] = least_of(above[j], row[j - 1]) + 1;
            row[j] = least_of(row[j], above[j - 1] + (a[i - 1] != b[j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[j] = least_of(row[j], above2[j - 2] + 1);
        }
    }
    return cost[rows % 3][columns];
}

void ash_guess_offer(struct ash_guess *guess, const char *name)
{
    size_t letters = strlen(guess->typed);
    size_t distance = ash_text_distance(guess->typed, name);
    bool near = distance != SIZE_MAX && distance <= (letters + 2) / 3 && distance < strlen(name);
    if (near && (!guess->best || distance < guess->distance)) {
        guess->best = name;
        guess->distance = distance;
    }
}

const char *ash_guess_hint(struct ash_guess *guess)
{
    guess->hint[0] = '\0';
    if (guess->best)
        snprintf(guess->hint, sizeof guess->hint, "; did you mean \"%s\"?", guess->best);
    return guess->hint;
}

char *ash_text_visible(const char *text, char *out, size_t capacity)
{
    const unsigned char *from = (const unsigned char *)text;
    size_t used = 0;
    while (*from) {
        /* U+0080..U+009F are C2 80..C2 9F; some terminals obey them. */
        bool c1 = from[0] == 0xC2 && from[1] >= 0x80 && from[1] <= 0x9F;
        bool control = *from < 0x20 || *from == 0x7F;
        size_t bytes = 1;
        while (*from >= 0xC0 && (from[bytes] & 0xC0) == 0x80)
            bytes++;
        if (used + (control || c1 ? 4 : bytes) >= capacity)
            break;
        if (control || c1)
            used += (size_t)snprintf(out + used, capacity - used, "\\x%02x", from[c1]);
        else
            used += (size_t)snprintf(out + used, capacity - used, "%.*s", (int)bytes, from);
        from += bytes;
    }
    out[used] = '\0';
    return out;
}

void ash_text_write_xml(const char *text, FILE *out)
{
    for (; *text; text++)
        switch (*text) {
        case '<':
            fputs("&lt;", out);
            break;
        case '>':
            fputs("&gt;", out);
            break;
        case '&':
            fputs("&amp;", out);
            break;
        default:
            fputc(*text, out);
        }
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/json.h"
#include "runtime/memory.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static const char replacement[] = "\xEF\xBF\xBD"; /* U+FFFD */

void ash_json_init(void)
{
    json_set_alloc_funcs(ash_alloc, ash_free);
}

/*
 * Bytes of the UTF-8 character that `text` starts with; 0 when it starts with none. Table 3-7 of the
 * Unicode Standard: no overlong forms, no surrogates, nothing past U+10FFFF.
 */
static size_t character_bytes(const unsigned char *text, size_t length)
{
    unsigned char first = text[0];
    size_t bytes = first < 0x80 ? 1 : first < 0xC2 ? 0 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
    if (bytes == 0 || first > 0xF4 || bytes > length)
        return 0;
    for (size_t i = 1; i < bytes; i++)
        if ((text[i] & 0xC0) != 0x80)
            return 0;
    bool overlong = (first == 0xE0 && text[1] < 0xA0) || (first == 0xF0 && text[1] < 0x90);
    bool beyond = (first == 0xED && text[1] > 0x9F) || (first == 0xF4 && text[1] > 0x8F);
    return overlong || beyond ? 0 : bytes;
}

/* One character as JSON writes it, into at most 7 bytes; returns how many bytes of `text` it took. */
static size_t escape_character(const char *text, size_t length, char out[8])
{
    static const char shorts[][2] = { { '"', '"' }, { '\\', '\\' }, { '\n', 'n' }, { '\t', 't' },
        { '\r', 'r' }, { '\b', 'b' }, { '\f', 'f' } };
    for (size_t i = 0; i < sizeof shorts / sizeof *shorts; i++) {
        if (text[0] == shorts[i][0]) {
            snprintf(out, 8, "\\%c", shorts[i][1]);
            return 1;
        }
    }
    unsigned char first = (unsigned char)text[0];
    size_t bytes = character_bytes((const unsigned char *)text, length);
    if (first < 0x20 || first == 0x7F)
        snprintf(out, 8, "\\u%04x", first);
    else if (bytes == 0)
        snprintf(out, 8, "%s", replacement);
    else
        snprintf(out, 8, "%.*s", (int)bytes, text);
    return bytes ? bytes : 1;
}

char *ash_json_quote(const char *text, size_t length, char *out, size_t capacity)
{
    size_t used = 1;
    out[0] = '"';
    while (length > 0) {
        char piece[8];
        size_t took = escape_character(text, length, piece), bytes = strlen(piece);
        if (used + bytes + 2 > capacity) /* the closing quote and the 0 */
            break;
        memcpy(out + used, piece, bytes);
        used += bytes;
        text += took;
        length -= took;
    }
    out[used] = '"';
    out[used + 1] = '\0';
    return out;
}

/* Copies `text`, each byte that is in no character replaced; `out` may be NULL, to count. */
static size_t mend(const char *text, size_t length, char *out)
{
    size_t used = 0;
    while (length > 0) {
        size_t bytes = character_bytes((const unsigned char *)text, length);
        const char *from = bytes ? text : replacement;
        size_t count = bytes ? bytes : strlen(replacement);
        if (out)
            memcpy(out + used, from, count);
        used += count;
        text += bytes ? bytes : 1;
        length -= bytes ? bytes : 1;
    }
    return used;
}

json_t *ash_json_text(const char *text, size_t length)
{
    size_t mended = mend(text, length, NULL);
    if (mended == length)
        return json_stringn_nocheck(text, length);
    char *copy = ash_alloc(mended);
    if (!copy)
        return NULL;
    mend(text, length, copy);
    json_t *value = json_stringn_nocheck(copy, mended);
    ash_free(copy);
    return value;
}

enum ash_status ash_json_print(const json_t *value, FILE *out)
{
    if (!value)
        return ash_fail_memory(0, "a JSON document");
    errno = 0;
    int rc = json_dumpf(value, out, JSON_INDENT(2) | JSON_ENCODE_ANY | JSON_REAL_PRECISION(12));
    if (rc != 0 || fputc('\n', out) == EOF)
        return errno ? ash_fail(ASH_ERR_IO, "cannot write JSON: %s", strerror(errno))
                     : ash_fail_memory(0, "printing a JSON document");
    return ASH_OK;
}

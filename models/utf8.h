/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * UTF-8 that may be broken or cut: one character at a time, and a stream for printing.
 *
 * Well-formed is what table 3-7 of the Unicode standard allows: no overlong forms, no surrogates,
 * nothing above U+10FFFF. Allocates nothing, cannot fail. Threads: any.
 */
enum ash_utf8 {
    ASH_UTF8_VALID, /* a whole character */
    ASH_UTF8_CUT,   /* the text ends inside a character that more bytes could complete */
    ASH_UTF8_BAD,   /* no byte that follows could make these bytes a character */
};

/*
 * Looks at the start of `text` (`length` >= 1). *used is the number of bytes judged, 1 to 4: the
 * character, or the longest run that begins one ("maximal subpart", which a decoder that replaces
 * shows as one U+FFFD). *point is the character's number, or U+FFFD where there is none.
 */
enum ash_utf8 ash_utf8_next(const char *text, size_t length, uint32_t *point, size_t *used);

/* How much of `text` may be shown now: `length` less a character cut off at the end. */
size_t ash_utf8_whole(const char *text, size_t length);

/*
 * Turns the bytes of tokens, which may end anywhere, into text that can be printed at once: holds
 * back a character that is not complete yet. Start from { 0 }.
 */
struct ash_utf8_stream {
    bool raw; /* pass bytes that are not UTF-8 on as they are, instead of writing U+FFFD for them */
    unsigned char count;
    char held[4];
};

/* Room that the output of pushing `length` bytes may take: each bad byte can become three. */
#define ASH_UTF8_ROOM(length) (3 * ((length) + 3))

/* Writes what can be shown to `out` (ASH_UTF8_ROOM(length) bytes); returns its length. */
size_t ash_utf8_push(struct ash_utf8_stream *stream, const char *bytes, size_t length, char *out);

/* The end: what is still held back is not going to be completed. ASH_UTF8_ROOM(0) bytes. */
size_t ash_utf8_finish(struct ash_utf8_stream *stream, char *out);

/* SPDX-License-Identifier: Apache-2.0 */
#include "models/utf8.h"

#include <string.h>

/* What the first byte says: how many follow, and which second bytes are allowed (table 3-7). */
struct lead {
    int more; /* 0: no character begins so */
    unsigned char low, high;
};

static struct lead lead_of(unsigned char byte)
{
    if (byte < 0xC2 || byte > 0xF4)
        return (struct lead){ 0 };
    if (byte < 0xE0)
        return (struct lead){ 1, 0x80, 0xBF };
    if (byte < 0xF0)
        return (struct lead){ 2, byte == 0xE0 ? 0xA0 : 0x80, byte == 0xED ? 0x9F : 0xBF };
    return (struct lead){ 3, byte == 0xF0 ? 0x90 : 0x80, byte == 0xF4 ? 0x8F : 0xBF };
}

enum ash_utf8 ash_utf8_next(const char *text, size_t length, uint32_t *point, size_t *used)
{
    unsigned char byte = (unsigned char)text[0];
    *used = 1;
    *point = byte;
    if (byte < 0x80)
        return ASH_UTF8_VALID;
    struct lead lead = lead_of(byte);
    uint32_t bits = byte & (0x3Fu >> lead.more);
    *point = 0xFFFD;
    if (lead.more == 0)
        return ASH_UTF8_BAD;
    for (int i = 0; i < lead.more; i++, ++*used) {
        if (*used == length)
            return ASH_UTF8_CUT;
        byte = (unsigned char)text[*used];
        if (byte < lead.low || byte > lead.high)
            return ASH_UTF8_BAD;
        bits = bits << 6 | (byte & 0x3F);
        lead.low = 0x80;
        lead.high = 0xBF;
    }
    *point = bits;
    return ASH_UTF8_VALID;
}

size_t ash_utf8_whole(const char *text, size_t length)
{
    for (size_t back = 1; back <= 3 && back <= length; back++) {
        unsigned char byte = (unsigned char)text[length - back];
        if ((byte & 0xC0) == 0x80)
            continue; /* inside a character: its first byte is further back */
        uint32_t point;
        size_t used;
        bool cut = ash_utf8_next(text + length - back, back, &point, &used) == ASH_UTF8_CUT;
        return cut ? length - back : length;
    }
    return length;
}

/* Writes bytes as they are, or U+FFFD once for all of them. */
static size_t write_run(bool as_it_is, const char *bytes, size_t length, char *out)
{
    memcpy(out, as_it_is ? bytes : "\xEF\xBF\xBD", as_it_is ? length : 3);
    return as_it_is ? length : 3;
}

size_t ash_utf8_push(struct ash_utf8_stream *stream, const char *bytes, size_t length, char *out)
{
    size_t written = 0;
    for (size_t i = 0; i < length; i++) {
        stream->held[stream->count++] = bytes[i];
        while (stream->count) {
            uint32_t point;
            size_t used;
            enum ash_utf8 kind = ash_utf8_next(stream->held, stream->count, &point, &used);
            if (kind == ASH_UTF8_CUT)
                break;
            written +=
                write_run(kind == ASH_UTF8_VALID || stream->raw, stream->held, used, out + written);
            stream->count = (unsigned char)(stream->count - used);
            memmove(stream->held, stream->held + used, stream->count);
        }
    }
    return written;
}

size_t ash_utf8_finish(struct ash_utf8_stream *stream, char *out)
{
    size_t written = 0;
    if (stream->count) /* the rule of the push: a cut character is one maximal subpart */
        written = write_run(stream->raw, stream->held, stream->count, out);
    stream->count = 0;
    return written;
}

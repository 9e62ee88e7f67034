/* SPDX-License-Identifier: Apache-2.0 */
#include "models/utf8.h"

#include <criterion/criterion.h>

#include <string.h>

Test(utf8, judges_every_row_of_the_standard_s_table)
{
    static const struct {
        const char *text;
        enum ash_utf8 kind;
        uint32_t point;
        size_t used;
    } cases[] = {
        { "a", ASH_UTF8_VALID, 'a', 1 },
        { "\x7F", ASH_UTF8_VALID, 0x7F, 1 },
        { "\xC2\x80", ASH_UTF8_VALID, 0x80, 2 },
        { "\xDF\xBF", ASH_UTF8_VALID, 0x7FF, 2 },
        { "\xE0\xA0\x80", ASH_UTF8_VALID, 0x800, 3 },
        { "\xED\x9F\xBF", ASH_UTF8_VALID, 0xD7FF, 3 },
        { "\xEE\x80\x80", ASH_UTF8_VALID, 0xE000, 3 },
        { "\xEF\xBF\xBF", ASH_UTF8_VALID, 0xFFFF, 3 },
        { "\xF0\x90\x80\x80", ASH_UTF8_VALID, 0x10000, 4 },
        { "\xF4\x8F\xBF\xBF", ASH_UTF8_VALID, 0x10FFFF, 4 },
        { "\x80", ASH_UTF8_BAD, 0xFFFD, 1 },
        { "\xC0\x80", ASH_UTF8_BAD, 0xFFFD, 1 },
        { "\xC1\xBF", ASH_UTF8_BAD, 0xFFFD, 1 },
        { "\xE0\x9F\xBF", ASH_UTF8_BAD, 0xFFFD, 1 },
        { "\xED\xA0\x80", ASH_UTF8_BAD, 0xFFFD, 1 },
        { "\xF0\x8F\xBF\xBF", ASH_UTF8_BAD, 0xFFFD, 1 },
        { "\xF4\x90\x80\x80", ASH_UTF8_BAD, 0xFFFD, 1 },
        { "\xF5\x80\x80\x80", ASH_UTF8_BAD, 0xFFFD, 1 },
        { "\xFF", ASH_UTF8_BAD, 0xFFFD, 1 },
        { "\xE4\xB8(", ASH_UTF8_BAD, 0xFFFD, 2 },
        { "\xF0\x9F\x98(", ASH_UTF8_BAD, 0xFFFD, 3 },
        { "\xC3", ASH_UTF8_CUT, 0xFFFD, 1 },
        { "\xE4\xB8", ASH_UTF8_CUT, 0xFFFD, 2 },
        { "\xF0\x9F\x98", ASH_UTF8_CUT, 0xFFFD, 3 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint32_t point;
        size_t used, length = strlen(cases[i].text);
        cr_expect_eq(ash_utf8_next(cases[i].text, length, &point, &used), cases[i].kind, "%zu", i);
        cr_expect_eq(point, cases[i].point, "case %zu: %x", i, (unsigned)point);
        cr_expect_eq(used, cases[i].used, "case %zu: %zu", i, used);
    }
}

Test(utf8, shows_text_up_to_a_character_that_is_cut)
{
    static const struct {
        const char *text;
        size_t whole;
    } cases[] = { { "", 0 }, { "abc", 3 }, { "a\xE4\xB8\xAD", 4 }, { "a\xE4\xB8", 1 },
        { "a\xE4", 1 }, { "a\xF0\x9F\x98", 1 }, { "a\x80\x80", 3 }, { "a\x80\x80\x80\x80", 5 },
        { "\xE4(", 2 }, { "\xED\xA0", 2 } };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        cr_expect_eq(
            ash_utf8_whole(cases[i].text, strlen(cases[i].text)), cases[i].whole, "%zu", i);
}

/* All of `text` through a stream in pieces of `step` bytes. */
static size_t stream(bool raw, const char *text, size_t length, size_t step, char *out)
{
    struct ash_utf8_stream stream = { .raw = raw };
    size_t written = 0;
    for (size_t at = 0; at < length; at += step) {
        char piece[ASH_UTF8_ROOM(8)];
        size_t size = length - at < step ? length - at : step;
        size_t count = ash_utf8_push(&stream, text + at, size, piece);
        cr_assert_leq(count, (size_t)ASH_UTF8_ROOM(size));
        memcpy(out + written, piece, count);
        written += count;
    }
    return written + ash_utf8_finish(&stream, out + written);
}

Test(utf8, a_stream_gives_the_same_text_however_it_is_cut)
{
    static const struct {
        const char *text, *shown;
    } cases[] = {
        { "a\xE4\xB8\xAD\xF0\x9F\x98\x80z", "a\xE4\xB8\xAD\xF0\x9F\x98\x80z" },
        { "a\x80z", "a\xEF\xBF\xBDz" },
        { "a\xE4\xB8", "a\xEF\xBF\xBD" },
        { "\xE4\xB8\xE4\xB8\xAD", "\xEF\xBF\xBD\xE4\xB8\xAD" },
        { "\xF0\x9F\x98\xF0\x9F\x98\x80", "\xEF\xBF\xBD\xF0\x9F\x98\x80" },
        { "\xFF\xFE\xFD\xFC", "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD" },
        { "\xED\xA0\x80", "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        for (size_t step = 1; step <= 8; step++) {
            char out[100];
            size_t length = strlen(cases[i].text);
            size_t count = stream(false, cases[i].text, length, step, out);
            cr_expect(count == strlen(cases[i].shown) && !memcmp(out, cases[i].shown, count),
                "case %zu by %zu: %.*s", i, step, (int)count, out);
            count = stream(true, cases[i].text, length, step, out);
            cr_expect(count == length && !memcmp(out, cases[i].text, count), "raw case %zu", i);
        }
    }
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "models/stop.h"

#include "runtime/memory.h"

#include <criterion/criterion.h>
#include <stdint.h>
#include <string.h>

enum { TEXT_BYTES = 4096 };

struct stream {
    char text[TEXT_BYTES];
    size_t length;
    int matched;
};

static void append(struct stream *stream, struct ash_stop_text text)
{
    cr_assert_leq(stream->length + text.held_bytes + text.fresh_bytes, TEXT_BYTES);
    memcpy(stream->text + stream->length, text.held, text.held_bytes);
    stream->length += text.held_bytes;
    memcpy(stream->text + stream->length, text.fresh, text.fresh_bytes);
    stream->length += text.fresh_bytes;
    stream->matched = text.matched;
}

static struct ash_stop *create(const char *const *strings, size_t count)
{
    struct ash_stop *stop = NULL;
    cr_assert_eq(ash_stop_create(strings, count, &stop), ASH_OK, "%s", ash_error());
    return stop;
}

static const struct {
    const char *name;
    const char *stops[4];
    const char *pieces[8];
    const char *text;
    int matched;
} streams[] = {
    { "nothing to stop at", { 0 }, { "a", "b" }, "ab", -1 },
    { "in one piece", { "END" }, { "helloENDworld" }, "hello", 0 },
    { "over three pieces", { "END" }, { "helloE", "N", "Dworld" }, "hello", 0 },
    { "a false start is let through", { "END" }, { "E", "N", "E", "ND" }, "EN", 0 },
    { "held until the end", { "END" }, { "xE", "N" }, "xEN", -1 },
    { "the first to end wins", { "abcdef", "cd" }, { "abc", "def" }, "ab", 1 },
    { "of two that end together the longest", { "cd", "bcd" }, { "abcd" }, "a", 1 },
    { "a stop at once", { "\n" }, { "\nx" }, "", 0 },
    { "repeats", { "aab" }, { "aaa", "a", "b" }, "aa", 0 },
    { "characters cut in two", { "\xE4\xB8\xAD" }, { "x\xE4", "\xB8", "\xAD" }, "x", 0 },
    { "pieces after the end are dropped", { "." }, { "a.", "b", "c" }, "a", 0 },
};

Test(stop, a_stream_ends_before_its_first_stop_string)
{
    for (size_t i = 0; i < sizeof streams / sizeof streams[0]; i++) {
        size_t count = 0;
        while (streams[i].stops[count])
            count++;
        struct ash_stop *stop = create(streams[i].stops, count);
        struct stream stream = { 0 };
        for (size_t p = 0; streams[i].pieces[p]; p++)
            append(
                &stream, ash_stop_feed(stop, streams[i].pieces[p], strlen(streams[i].pieces[p])));
        append(&stream, ash_stop_finish(stop));
        cr_assert_eq(stream.matched, streams[i].matched, "%s", streams[i].name);
        cr_assert_eq(stream.length, strlen(streams[i].text), "%s", streams[i].name);
        cr_assert_eq(memcmp(stream.text, streams[i].text, stream.length), 0, "%s", streams[i].name);
        ash_stop_destroy(stop);
    }
}

/* The definition, by search: the match that ends first, and of those the longest. */
static size_t search(
    const char *text, size_t length, const char *const *strings, size_t count, int *matched)
{
    *matched = -1;
    for (size_t end = 1; end <= length; end++) {
        size_t best = 0;
        for (size_t i = 0; i < count; i++) {
            size_t bytes = strlen(strings[i]);
            if (bytes <= end && bytes > best && !memcmp(text + end - bytes, strings[i], bytes)) {
                best = bytes;
                *matched = (int)i;
            }
        }
        if (best)
            return end - best;
    }
    return length;
}

static uint32_t next_random(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*state >> 33);
}

/* How much of the end of `text` is a beginning of a stop string: the most that may be held. */
static size_t longest_hold(
    const char *text, size_t length, const char *const *strings, size_t count)
{
    for (size_t hold = length < 8 ? length : 8; hold > 0; hold--)
        for (size_t i = 0; i < count; i++)
            if (strlen(strings[i]) >= hold && !memcmp(text + length - hold, strings[i], hold))
                return hold;
    return 0;
}

Test(stop, random_streams_cut_at_random_agree_with_the_plain_search)
{
    uint64_t random = 1;
    for (int round = 0; round < 20000; round++) {
        char storage[4][9];
        const char *strings[4];
        size_t count = next_random(&random) % 4 + 1;
        for (size_t i = 0; i < count; i++) {
            size_t bytes = next_random(&random) % 6 + 2; /* long enough that many end late */
            for (size_t b = 0; b < bytes; b++)
                storage[i][b] = (char)('a' + next_random(&random) % 2);
            storage[i][bytes] = '\0';
            strings[i] = storage[i];
        }
        char text[40];
        size_t length = next_random(&random) % sizeof text;
        for (size_t b = 0; b < length; b++)
            text[b] = (char)('a' + next_random(&random) % 3 % 2);
        int expected;
        size_t expected_length = search(text, length, strings, count, &expected);

        struct ash_stop *stop = create(strings, count);
        struct stream stream = { .matched = -1 };
        for (size_t fed = 0; fed < length;) {
            size_t bytes = next_random(&random) % (length - fed + 1);
            append(&stream, ash_stop_feed(stop, text + fed, bytes));
            fed += bytes;
            if (stream.matched < 0)
                cr_assert_eq(fed - stream.length, longest_hold(text, fed, strings, count));
        }
        append(&stream, ash_stop_finish(stop));
        cr_assert_eq(stream.matched, expected);
        cr_assert_eq(stream.length, expected_length);
        cr_assert_eq(memcmp(stream.text, text, expected_length), 0);
        ash_stop_destroy(stop);
    }
}

Test(stop, bad_stop_strings_are_refused)
{
    struct ash_stop *stop = NULL;
    const char *empty[] = { "a", "" };
    cr_assert_eq(ash_stop_create(empty, 2, &stop), ASH_ERR_ARGUMENT);
    char text[ASH_STOP_MAX_BYTES + 2];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    const char *too_long[] = { text };
    cr_assert_eq(ash_stop_create(too_long, 1, &stop), ASH_ERR_LIMIT);
    text[ASH_STOP_MAX_BYTES] = '\0';
    const char *many[ASH_STOP_MAX_STRINGS + 1];
    for (size_t i = 0; i < sizeof many / sizeof many[0]; i++)
        many[i] = text;
    cr_assert_eq(ash_stop_create(many, ASH_STOP_MAX_STRINGS + 1, &stop), ASH_ERR_LIMIT);
    cr_assert_null(stop);
    ash_stop_destroy(create(many, ASH_STOP_MAX_STRINGS));
}

Test(stop, create_survives_every_failed_allocation)
{
    const char *strings[] = { "one", "two" };
    struct ash_stop *stop = NULL;
    int64_t nth = 0;
    for (;; nth++) {
        ash_memory_fail_from(nth);
        enum ash_status status = ash_stop_create(strings, 2, &stop);
        ash_memory_fail_from(-1);
        if (status == ASH_OK)
            break;
        cr_assert_eq(status, ASH_ERR_NO_MEMORY);
        cr_assert_null(stop);
    }
    cr_assert_eq(nth, 5);
    ash_stop_destroy(stop);
}

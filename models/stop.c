/* SPDX-License-Identifier: Apache-2.0 */
#include "models/stop.h"

#include "runtime/memory.h"

#include <assert.h>
#include <stdint.h>
#include <string.h>

/*
 * `border[n]` is the length of the longest proper prefix of the string that also ends its first n
 * bytes; `matched` is how many bytes of the string the stream ends with now.
 */
struct pattern {
    char *bytes;
    uint16_t *border;
    size_t length;
    size_t matched;
};

/* The held-back text is the beginning of a stop string, so nothing of the stream is ever copied. */
struct ash_stop {
    size_t count;
    const struct pattern *holder; /* whose first `held` bytes are held back; NULL = none are */
    size_t held;
    int ended_by;
    struct pattern pattern[];
};

static void find_borders(struct pattern *pattern)
{
    size_t border = 0;
    pattern->border[0] = pattern->border[1] = 0;
    for (size_t i = 1; i < pattern->length; i++) {
        while (border > 0 && pattern->bytes[i] != pattern->bytes[border])
            border = pattern->border[border];
        if (pattern->bytes[i] == pattern->bytes[border])
            border++;
        pattern->border[i + 1] = (uint16_t)border;
    }
}

static enum ash_status pattern_init(const char *string, size_t index, struct pattern *pattern)
{
    pattern->length = strnlen(string, ASH_STOP_MAX_BYTES + 1);
    if (pattern->length == 0)
        return ash_fail(ASH_ERR_ARGUMENT, "stop string %zu is empty; leave it out", index + 1);
    if (pattern->length > ASH_STOP_MAX_BYTES)
        return ash_fail(ASH_ERR_LIMIT, "stop string %zu is longer than %d bytes", index + 1,
            ASH_STOP_MAX_BYTES);
    pattern->bytes = ash_strndup(string, pattern->length);
    pattern->border = ash_alloc_array(pattern->length + 1, sizeof *pattern->border);
    if (!pattern->bytes || !pattern->border)
        return ash_fail_memory(pattern->length * 3 + 2, "a stop string");
    find_borders(pattern);
    return ASH_OK;
}

enum ash_status ash_stop_create(const char *const *strings, size_t count, struct ash_stop **out)
{
    if (count > ASH_STOP_MAX_STRINGS)
        return ash_fail(ASH_ERR_LIMIT, "%zu stop strings; at most %d", count, ASH_STOP_MAX_STRINGS);
    size_t size_bytes = sizeof(struct ash_stop) + count * sizeof(struct pattern);
    struct ash_stop *stop = ash_alloc_zero(size_bytes);
    if (!stop)
        return ash_fail_memory(size_bytes, "the stop strings");
    stop->ended_by = -1;
    for (; stop->count < count; stop->count++) {
        enum ash_status status =
            pattern_init(strings[stop->count], stop->count, &stop->pattern[stop->count]);
        if (status != ASH_OK) {
            stop->count++; /* the half-made one is released too */
            ash_stop_destroy(stop);
            return status;
        }
    }
    *out = stop;
    return ASH_OK;
}

void ash_stop_destroy(struct ash_stop *stop)
{
    if (!stop)
        return;
    for (size_t i = 0; i < stop->count; i++) {
        ash_free(stop->pattern[i].bytes);
        ash_free(stop->pattern[i].border);
    }
    ash_free(stop);
}

/* Whether the string is complete with `byte`. */
static bool advance(struct pattern *pattern, char byte)
{
    if (pattern->matched == pattern->length)
        pattern->matched = pattern->border[pattern->matched];
    while (pattern->matched > 0 && pattern->bytes[pattern->matched] != byte)
        pattern->matched = pattern->border[pattern->matched];
    if (pattern->bytes[pattern->matched] == byte)
        pattern->matched++;
    return pattern->matched == pattern->length;
}

/* Moves every automaton by one byte: who holds the most of the stream now, and who is complete. */
static const struct pattern *advance_all(struct ash_stop *stop, char byte)
{
    const struct pattern *complete = NULL;
    stop->holder = NULL;
    stop->held = 0;
    for (size_t i = 0; i < stop->count; i++) {
        struct pattern *pattern = &stop->pattern[i];
        if (advance(pattern, byte) && (!complete || pattern->length > complete->length))
            complete = pattern;
        if (pattern->matched > stop->held) {
            stop->holder = pattern;
            stop->held = pattern->matched;
        }
    }
    return complete;
}

/*
 * Of the `old_held` bytes in front of the piece and the first `fed` bytes of it, lets all through
 * but the last `keep`.
 */
static struct ash_stop_text let_through(
    const struct pattern *old_holder, size_t old_held, const char *piece, size_t fed, size_t keep)
{
    assert(keep <= old_held + fed);
    size_t free_bytes = old_held + fed - keep;
    size_t from_held = free_bytes < old_held ? free_bytes : old_held;
    return (struct ash_stop_text){
        .held = old_holder ? old_holder->bytes : "",
        .held_bytes = from_held,
        .fresh = piece,
        .fresh_bytes = free_bytes - from_held,
        .matched = -1,
    };
}

struct ash_stop_text ash_stop_feed(struct ash_stop *stop, const char *piece, size_t size_bytes)
{
    if (stop->ended_by >= 0)
        return (struct ash_stop_text){ .held = "", .fresh = piece, .matched = stop->ended_by };
    const struct pattern *old_holder = stop->holder;
    size_t old_held = stop->held;
    for (size_t i = 0; i < size_bytes; i++) {
        const struct pattern *complete = advance_all(stop, piece[i]);
        if (!complete)
            continue;
        struct ash_stop_text text =
            let_through(old_holder, old_held, piece, i + 1, complete->length);
        stop->ended_by = text.matched = (int)(complete - stop->pattern);
        return text;
    }
    return let_through(old_holder, old_held, piece, size_bytes, stop->held);
}

struct ash_stop_text ash_stop_finish(struct ash_stop *stop)
{
    struct ash_stop_text text = let_through(stop->holder, stop->held, "", 0, 0);
    if (stop->ended_by >= 0) {
        text.held_bytes = 0;
        text.matched = stop->ended_by;
    }
    ash_stop_reset(stop);
    return text;
}

void ash_stop_reset(struct ash_stop *stop)
{
    for (size_t i = 0; i < stop->count; i++)
        stop->pattern[i].matched = 0;
    stop->holder = NULL;
    stop->held = 0;
    stop->ended_by = -1;
}

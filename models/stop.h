/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "runtime/status.h"

#include <stdbool.h>
#include <stddef.h>

/*
 * Stop strings on a stream: lets through what can no longer be part of a stop string, holds back
 * what may still become one, and ends the stream before the first one that is complete.
 *
 * Meaning: over the whole stream, the stop string whose last byte comes first ends it; among those
 * that end on the same byte, the longest. The text before it is the answer; it and all after it are
 * dropped. How the stream was cut into pieces changes nothing. Bytes, not characters: stop strings
 * and pieces may be anything.
 * Source: one Knuth-Morris-Pratt automaton a stop string (SIAM J. Comput. 6(2), 1977), so that held
 * bytes are never read again and a byte costs O(number of stop strings) amortised.
 * Threads: one at a time per object. Feeding allocates nothing.
 */
struct ash_stop;

enum {
    ASH_STOP_MAX_STRINGS = 64,
    ASH_STOP_MAX_BYTES = 1024, /* of one stop string */
};

/*
 * What one call lets through, in order: `held` was kept back earlier, `fresh` lies in the piece.
 * `held` lives until the object is destroyed, `fresh` as long as the piece; either may be empty.
 * `matched` is the index of the stop string that ended the stream, or -1.
 */
struct ash_stop_text {
    const char *held;
    size_t held_bytes;
    const char *fresh;
    size_t fresh_bytes;
    int matched;
};

/*
 * Copies `count` strings (0 is fine: everything passes). The caller owns *out and ends it with
 * ash_stop_destroy(); on failure *out is untouched.
 *
 * ASH_ERR_ARGUMENT  an empty stop string
 * ASH_ERR_LIMIT     more than ASH_STOP_MAX_STRINGS, or one longer than ASH_STOP_MAX_BYTES
 */
enum ash_status ash_stop_create(const char *const *strings, size_t count, struct ash_stop **out);

/* Takes NULL. */
void ash_stop_destroy(struct ash_stop *stop);

/* The next `size_bytes` of the stream. After a match everything is dropped and matched stays. */
struct ash_stop_text ash_stop_feed(struct ash_stop *stop, const char *piece, size_t size_bytes);

/* The stream ended by itself: what was held back is text after all. Then starts over. */
struct ash_stop_text ash_stop_finish(struct ash_stop *stop);

/* Forgets the stream, keeps the stop strings. */
void ash_stop_reset(struct ash_stop *stop);

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * How the library fails: every fallible function returns an ash_status (error.h).
 *
 * Bad input (a file, a request, a prompt, a setting) gets a status and a message that says what was
 * expected, what was found, where, and what to do. A broken invariant of our own is an assert().
 * Libraries return errors and never log them; a program logs the message once.
 */
#include "runtime/error.h"

/*
 * Records a message for this thread and returns `status`. Allocates nothing; messages longer than
 * 1,023 bytes are cut at a character's end. Use it as `return ash_fail(ASH_ERR_SHAPE, "...", ...)`.
 */
enum ash_status ash_fail(enum ash_status status, const char *format, ...)
    __attribute__((format(printf, 2, 3), cold));

/*
 * Puts "prefix: " before this thread's message and returns `status` unchanged; for adding where it
 * happened on the way up: `return ash_fail_in(status, "%s", path)`. Does nothing for ASH_OK.
 */
enum ash_status ash_fail_in(enum ash_status status, const char *format, ...)
    __attribute__((format(printf, 2, 3), cold));

/* Returns early on failure. Only where nothing needs releasing; otherwise one label and goto. */
#define ASH_TRY(expression)                                                                        \
    do {                                                                                           \
        enum ash_status ash_try_status = (expression);                                             \
        if (ash_try_status != ASH_OK)                                                              \
            return ash_try_status;                                                                 \
    } while (0)

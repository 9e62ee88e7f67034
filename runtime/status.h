/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#ifdef __cplusplus
extern "C" {
#endif

/*
 * What every fallible function returns, and the message that goes with a failure.
 *
 * Bad input (a file, a request, a prompt, a setting) gets a status and a message that says what was
 * expected, what was found, where, and what to do. A broken invariant of our own is an assert().
 * Libraries return errors and never log them; a program logs the message once.
 */
enum [[nodiscard]] ash_status{ ASH_OK = 0,
    ASH_ERR_ARGUMENT,    /* the caller passed something no caller should */
    ASH_ERR_NO_MEMORY,   /* host or device memory is exhausted; nothing was changed */
    ASH_ERR_IO,          /* a read, write or system call failed; the message carries errno's text */
    ASH_ERR_NOT_FOUND,   /* no such file, model, device or name */
    ASH_ERR_FORMAT,      /* a file or a text breaks the rules of its own format */
    ASH_ERR_UNSUPPORTED, /* well-formed, but not something this build or machine can do */
    ASH_ERR_SHAPE,       /* tensor shapes or types do not fit together */
    ASH_ERR_LIMIT,       /* well-formed, but larger than a stated limit (context, pages, tokens) */
    ASH_ERR_CHECKSUM,    /* the content is not the one that was pinned */
    ASH_ERR_NETWORK,     /* a download or a peer failed; worth another try */
    ASH_ERR_DEVICE,      /* a device was lost or refused the work */
    ASH_ERR_CANCELED,    /* stopped on request */
    ASH_STATUS_COUNT };

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

/* The last message of this thread; "" if there was none. Valid until this thread's next failure. */
const char *ash_error(void) __attribute__((visibility("default")));

/* "not found", "no memory" ...: a short name in lower case, for logs and JSON. Never NULL. */
const char *ash_status_name(enum ash_status status) __attribute__((visibility("default")));

/* Returns early on failure. Only where nothing needs releasing; otherwise one label and goto. */
#define ASH_TRY(expression)                                                                        \
    do {                                                                                           \
        enum ash_status ash_try_status = (expression);                                             \
        if (ash_try_status != ASH_OK)                                                              \
            return ash_try_status;                                                                 \
    } while (0)

#ifdef __cplusplus
}
#endif

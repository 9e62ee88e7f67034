/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What a call of the library returns, and the message that goes with a failure. Installed beside
 * ashlar.h, so it also compiles as C99 and as C++; how the library itself fails is in status.h.
 */

/* What the shared library exports, and nothing else. */
#define ASH_API __attribute__((visibility("default")))

/* A result that must be looked at, in the languages that can say so. */
#if defined(__cplusplus) ? __cplusplus >= 201703L : __STDC_VERSION__ >= 202000L
#define ASH_NODISCARD [[nodiscard]]
#else
#define ASH_NODISCARD
#endif

#ifdef __cplusplus
extern "C" {
#endif

enum ASH_NODISCARD ash_status {
    ASH_OK = 0,
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
    ASH_STATUS_COUNT
};

/* The last message of this thread; "" if there was none. Valid until this thread's next failure. */
ASH_API const char *ash_error(void);

/* "not found", "no memory" ...: a short name in lower case, for logs and JSON. Never NULL. */
ASH_API const char *ash_status_name(enum ash_status status);

#ifdef __cplusplus
}
#endif

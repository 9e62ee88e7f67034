/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/status.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { MESSAGE_BYTES = 1024 };

static _Thread_local char message[MESSAGE_BYTES];

/* vsnprintf may cut a UTF-8 character in two; drop what is left of it. */
static void cut_at_character(char *text, size_t capacity, int wanted)
{
    if (wanted < 0 || (size_t)wanted < capacity)
        return;
    size_t end = strlen(text), first = end;
    while (first > 0 && ((unsigned char)text[first - 1] & 0xC0) == 0x80)
        first--;
    if (first > 0 && (unsigned char)text[first - 1] >= 0xC0)
        text[first - 1] = '\0';
}

enum ash_status ash_fail(enum ash_status status, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    /* Formatted aside first: an argument may be ash_error() itself. */
    char fresh[MESSAGE_BYTES];
    cut_at_character(fresh, sizeof fresh, vsnprintf(fresh, sizeof fresh, format, list));
    va_end(list);
    memcpy(message, fresh, strlen(fresh) + 1);
    return status;
}

enum ash_status ash_fail_in(enum ash_status status, const char *format, ...)
{
    if (status == ASH_OK)
        return status;
    va_list list;
    va_start(list, format);
    char prefix[MESSAGE_BYTES / 2];
    cut_at_character(prefix, sizeof prefix, vsnprintf(prefix, sizeof prefix, format, list));
    va_end(list);
    char old[MESSAGE_BYTES];
    memcpy(old, message, sizeof old);
    cut_at_character(
        message, sizeof message, snprintf(message, sizeof message, "%s: %s", prefix, old));
    return status;
}

const char *ash_error(void)
{
    return message;
}

const char *ash_status_name(enum ash_status status)
{
    static const char *const names[ASH_STATUS_COUNT] = {
        [ASH_OK] = "ok",
        [ASH_ERR_ARGUMENT] = "bad argument",
        [ASH_ERR_NO_MEMORY] = "out of memory",
        [ASH_ERR_IO] = "input/output error",
        [ASH_ERR_NOT_FOUND] = "not found",
        [ASH_ERR_FORMAT] = "malformed",
        [ASH_ERR_UNSUPPORTED] = "unsupported",
        [ASH_ERR_SHAPE] = "shape mismatch",
        [ASH_ERR_LIMIT] = "over a limit",
        [ASH_ERR_CHECKSUM] = "checksum mismatch",
        [ASH_ERR_NETWORK] = "network error",
        [ASH_ERR_DEVICE] = "device error",
        [ASH_ERR_CANCELED] = "canceled",
    };
    unsigned index = (unsigned)status;
    return index < ASH_STATUS_COUNT ? names[index] : "unknown status";
}

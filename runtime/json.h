/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "runtime/status.h"

#include <jansson.h>
#include <stddef.h>
#include <stdio.h>

/*
 * What jansson leaves to its users: our allocator, texts that are not UTF-8, and one way to print.
 * Documents are jansson's own json_t; there is no second layer over them.
 */

/* Sends jansson's allocations through runtime/memory.h. Once, before the first json_t. */
void ash_json_init(void);

/*
 * Writes `text` as a JSON string with its quotes into `out`, escaped and cut between characters to
 * `capacity` bytes (at least 3); bytes that are not UTF-8 become U+FFFD. Returns `out`. Allocates
 * nothing: for the log and the trace. Threads: any.
 */
char *ash_json_quote(const char *text, size_t length, char *out, size_t capacity);

/* A new string value, the same way with bytes that are not UTF-8; NULL when there is no memory. */
json_t *ash_json_text(const char *text, size_t length);

/*
 * Prints `value`, indented, and a newline. `value` may be NULL: a document whose making ran out of
 * memory. ASH_ERR_NO_MEMORY, or ASH_ERR_IO with errno's text.
 */
enum ash_status ash_json_print(const json_t *value, FILE *out);

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "runtime/status.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/*
 * Rows of cells, printed as aligned columns for people or as JSON objects for programs: a command
 * fills one table and asks which of the two is wanted only when it prints.
 *
 * Cells are added from left to right; a row ends when every column has one. Adding never fails
 * visibly: the first failure is kept, and ash_table_print() or ash_table_json() returns it.
 */
struct ash_table;

struct ash_column {
    const char *title; /* over the column */
    const char *key;   /* in JSON */
    enum { ASH_ALIGN_LEFT, ASH_ALIGN_RIGHT } align;
};

/* `columns` is borrowed. The caller owns *out; destroy takes NULL. */
enum ash_status ash_table_create(
    const struct ash_column *columns, size_t column_count, struct ash_table **out);
void ash_table_destroy(struct ash_table *table);

/* NULL text and non-finite reals are "-", null in JSON. Control characters are made visible. */
void ash_table_text(struct ash_table *table, const char *text);
void ash_table_boolean(struct ash_table *table, bool value); /* "yes", "no" */
void ash_table_integer(struct ash_table *table, int64_t value);
void ash_table_real(struct ash_table *table, double value, int decimals);
void ash_table_bytes(struct ash_table *table, uint64_t bytes); /* "93.8 MiB"; a number in JSON */

/* Titles and rows. ASH_ERR_NO_MEMORY, or ASH_ERR_IO with errno's text. */
enum ash_status ash_table_print(const struct ash_table *table, FILE *out);

/* A new reference to an array of an object a row; NULL when there was no memory. */
json_t *ash_table_json(const struct ash_table *table);

/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/ashlar/table.h"
#include "runtime/json.h"
#include "runtime/memory.h"
#include "runtime/text.h"
#include "tools/ashlar/show.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <string.h>

struct ash_table {
    const struct ash_column *columns;
    size_t column_count;
    char **cell; /* row after row */
    size_t cell_count, cell_capacity;
    json_t *rows, *row; /* the finished ones, and the one being filled (NULL between rows) */
    bool failed;        /* an allocation did; nothing more is added */
};

enum ash_status ash_table_create(
    const struct ash_column *columns, size_t column_count, struct ash_table **out)
{
    assert(column_count > 0);
    struct ash_table *table = ash_alloc_zero(sizeof *table);
    json_t *rows = json_array();
    if (!table || !rows) {
        ash_free(table);
        json_decref(rows);
        return ash_fail_memory(sizeof *table, "a table");
    }
    *table = (struct ash_table){ .columns = columns, .column_count = column_count, .rows = rows };
    *out = table;
    return ASH_OK;
}

void ash_table_destroy(struct ash_table *table)
{
    if (!table)
        return;
    for (size_t i = 0; i < table->cell_count; i++)
        ash_free(table->cell[i]);
    ash_free(table->cell);
    json_decref(table->row);
    json_decref(table->rows);
    ash_free(table);
}

/* The cell in its row object; the row goes to the others when it is full. Takes `value`. */
static bool add_json(struct ash_table *table, json_t *value)
{
    size_t column = table->cell_count % table->column_count;
    if (column == 0)
        table->row = json_object();
    if (json_object_set_new(table->row, table->columns[column].key, value) != 0)
        return false;
    if (column + 1 < table->column_count)
        return true;
    json_t *row = table->row;
    table->row = NULL;
    return json_array_append_new(table->rows, row) == 0;
}

/* Takes `value`; copies `text`. */
static void add(struct ash_table *table, const char *text, json_t *value)
{
    char *copy = table->failed ? NULL : ash_strdup(text);
    if (!copy || ASH_GROW(table->cell, table->cell_capacity, table->cell_count) != ASH_OK) {
        table->failed = true;
        ash_free(copy);
        json_decref(value);
        return;
    }
    table->failed = !add_json(table, value);
    table->cell[table->cell_count++] = copy;
}

void ash_table_text(struct ash_table *table, const char *text)
{
    char visible[1024];
    if (text)
        add(table, ash_text_visible(text, visible, sizeof visible),
            ash_json_text(text, strlen(text)));
    else
        add(table, "-", json_null());
}

void ash_table_boolean(struct ash_table *table, bool value)
{
    add(table, value ? "yes" : "no", json_boolean(value));
}

void ash_table_integer(struct ash_table *table, int64_t value)
{
    char text[32];
    snprintf(text, sizeof text, "%lld", (long long)value);
    add(table, text, json_integer(value));
}

void ash_table_real(struct ash_table *table, double value, int decimals)
{
    char text[64];
    if (isfinite(value)) {
        snprintf(text, sizeof text, "%.*f", decimals, value);
        add(table, text, json_real(value));
    } else {
        add(table, "-", json_null());
    }
}

void ash_table_bytes(struct ash_table *table, uint64_t bytes)
{
    char text[ASH_SHOW_BYTES];
    add(table, ash_show_bytes(bytes, text), json_integer((json_int_t)bytes));
}

static int column_width(const struct ash_table *table, size_t column)
{
    int width = ash_show_width(table->columns[column].title);
    for (size_t i = column; i < table->cell_count; i += table->column_count) {
        int wide = ash_show_width(table->cell[i]);
        width = wide > width ? wide : width;
    }
    return width;
}

/* A cell and the blanks that bring it to `width`; none behind the last of a line. */
static void print_cell(
    const struct ash_table *table, size_t column, const char *text, int width, FILE *out)
{
    bool last = column + 1 == table->column_count;
    int blanks = width - ash_show_width(text);
    if (table->columns[column].align == ASH_ALIGN_RIGHT)
        fprintf(out, "%*s%s", blanks, "", text);
    else
        fprintf(out, "%s%*s", text, last ? 0 : blanks, "");
    fputs(last ? "\n" : "  ", out);
}

static void print_rows(const struct ash_table *table, const int *width, FILE *out)
{
    for (size_t i = 0; i < table->column_count; i++)
        print_cell(table, i, table->columns[i].title, width[i], out);
    for (size_t i = 0; i < table->cell_count; i++)
        print_cell(
            table, i % table->column_count, table->cell[i], width[i % table->column_count], out);
}

enum ash_status ash_table_print(const struct ash_table *table, FILE *out)
{
    assert(table->failed || table->cell_count % table->column_count == 0);
    int *width = table->failed ? NULL : ash_alloc_array(table->column_count, sizeof *width);
    if (!width)
        return ash_fail_memory(0, "a table");
    for (size_t i = 0; i < table->column_count; i++)
        width[i] = column_width(table, i);
    errno = 0;
    print_rows(table, width, out);
    ash_free(width);
    if (ferror(out))
        return ash_fail(ASH_ERR_IO, "cannot write a table: %s", strerror(errno));
    return ASH_OK;
}

json_t *ash_table_json(const struct ash_table *table)
{
    return table->failed ? NULL : json_incref(table->rows);
}

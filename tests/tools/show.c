/* SPDX-License-Identifier: Apache-2.0 */
/* What commands show with: quantities, tables and progress. */
#include "tools/ashlar/show.h"
#include "runtime/json.h"
#include "runtime/memory.h"
#include "tools/ashlar/progress.h"
#include "tools/ashlar/table.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

Test(show, bytes_are_three_digits_and_a_unit)
{
    static const struct {
        uint64_t bytes;
        const char *text;
    } cases[] = {
        { 0, "0 B" },
        { 1023, "1023 B" },
        { 1024, "1.0 KiB" },
        { 98362432, "93.8 MiB" },
        { 104857599, "100 MiB" },
        { 1073741823, "1.0 GiB" },
        { 1073741824, "1.0 GiB" },
        { UINT64_MAX, "16.0 EiB" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[ASH_SHOW_BYTES];
        cr_assert_str_eq(ash_show_bytes(cases[i].bytes, text), cases[i].text);
    }
}

Test(show, seconds_are_a_clock)
{
    static const struct {
        double seconds;
        const char *text;
    } cases[] = { { 0, "0:00" }, { 7.4, "0:07" }, { 59.6, "1:00" }, { 723, "12:03" },
        { 3723, "1:02:03" }, { -1, "-" }, { (double)INFINITY, "-" }, { (double)NAN, "-" } };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[ASH_SHOW_BYTES];
        cr_assert_str_eq(ash_show_seconds(cases[i].seconds, text), cases[i].text);
    }
}

Test(show, width_counts_columns_not_bytes)
{
    static const struct {
        const char *text;
        int width;
    } cases[] = {
        { "", 0 }, { "abc", 3 }, { "h\xC3\xA9", 2 },
        { "\xE4\xB8\xAD\xE6\x96\x87", 4 }, /* two wide characters */
        { "e\xCC\x81", 1 },                /* a combining accent */
        { "\xF0\x9F\x98\x80", 2 },         /* an emoji */
        { "\xff\xfe", 2 },                 /* no UTF-8 */
        { "a\xE4\xB8", 3 },                /* cut short */
        { "\xEF\xBD\xB1", 1 },             /* half-width katakana */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        cr_assert_eq(ash_show_width(cases[i].text), cases[i].width, "case %zu: %d", i,
            ash_show_width(cases[i].text));
}

static const struct ash_column columns[] = {
    { "NAME", "name", ASH_ALIGN_LEFT },
    { "SIZE", "size_bytes", ASH_ALIGN_RIGHT },
    { "T/S", "rate", ASH_ALIGN_RIGHT },
    { "NOTE", "note", ASH_ALIGN_LEFT },
};

/* The status of the first failure; the table is the caller's when there is one. */
static struct ash_table *filled(void)
{
    struct ash_table *table = NULL;
    if (ash_table_create(columns, 4, &table) != ASH_OK)
        return NULL;
    ash_table_text(table, "\xE4\xB8\xAD\xE6\x96\x87");
    ash_table_bytes(table, 98362432);
    ash_table_real(table, 12.345, 1);
    ash_table_text(table, "a\033[2Jb");
    ash_table_text(table, "plain");
    ash_table_integer(table, 7);
    ash_table_real(table, (double)NAN, 1);
    ash_table_text(table, NULL);
    return table;
}

Test(show, a_table_aligns_wide_characters_and_leaves_no_blank_ends)
{
    struct ash_table *table = filled();
    char *text;
    size_t length;
    FILE *out = open_memstream(&text, &length);
    cr_assert_eq(ash_table_print(table, out), ASH_OK);
    fclose(out);
    cr_assert_str_eq(text, "NAME       SIZE   T/S  NOTE\n"
                           "\xE4\xB8\xAD\xE6\x96\x87   93.8 MiB  12.3  a\\x1b[2Jb\n"
                           "plain         7     -  -\n");
    free(text);
    ash_table_destroy(table);
}

Test(show, a_table_in_json_has_the_numbers_themselves)
{
    struct ash_table *table = filled();
    json_t *rows = ash_table_json(table), *row = json_array_get(rows, 0);
    cr_assert_eq(json_array_size(rows), 2u);
    cr_assert_eq(json_integer_value(json_object_get(row, "size_bytes")), 98362432);
    cr_assert_eq(json_real_value(json_object_get(row, "rate")), 12.345);
    cr_assert_str_eq(json_string_value(json_object_get(row, "note")), "a\033[2Jb");
    cr_assert(json_is_null(json_object_get(json_array_get(rows, 1), "rate")));
    json_decref(rows);
    ash_table_destroy(table);
}

Test(show, a_table_survives_every_failed_allocation)
{
    ash_json_init();
    for (int64_t nth = 0;; nth++) {
        ash_memory_fail_from(nth);
        struct ash_table *table = filled();
        json_t *rows = table ? ash_table_json(table) : NULL;
        FILE *out = fopen("/dev/null", "w");
        bool printed = table && ash_table_print(table, out) == ASH_OK;
        ash_memory_fail_from(-1);
        fclose(out);
        json_decref(rows);
        ash_table_destroy(table);
        if (printed) {
            cr_assert(rows && nth > 20);
            break;
        }
    }
}

Test(show, progress_says_what_is_known_in_the_room_there_is)
{
    struct ash_progress progress = { .label = "smollm2",
        .total = 100 << 20,
        .begun = 20 << 20,
        .done = 50 << 20,
        .mode = ASH_PROGRESS_BAR };
    static const struct {
        int columns;
        const char *line;
    } cases[] = {
        { 200, "smollm2  [####################--------------------]   50%  50.0 MiB of 100 MiB  "
               "10.0 MiB/s  0:05 left" },
        { 80, "smollm2  [#########----------]   50%  50.0 MiB of 100 MiB  10.0 MiB/s  0:05 left" },
        { 70, "smollm2   50%  50.0 MiB of 100 MiB  10.0 MiB/s  0:05 left" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char line[512];
        ash_progress_line(&progress, 3000000000, cases[i].columns, line, sizeof line);
        cr_assert_str_eq(line, cases[i].line);
        cr_assert_leq((int)strlen(line), cases[i].columns);
    }
}

Test(show, progress_without_a_total_or_past_it_makes_no_nonsense)
{
    char line[512];
    struct ash_progress progress = { .label = "x", .done = 2048, .mode = ASH_PROGRESS_BAR };
    cr_assert_str_eq(
        ash_progress_line(&progress, 2000000000, 80, line, sizeof line), "x  2.0 KiB  1.0 KiB/s");
    progress.total = 1024;
    ash_progress_line(&progress, 2000000000, 80, line, sizeof line);
    cr_assert(strstr(line, "100%  2.0 KiB of 1.0 KiB") && strstr(line, "- left"), "%s", line);
    progress.mode = ASH_PROGRESS_LINES;
    cr_assert_null(strchr(ash_progress_line(&progress, 0, 80, line, sizeof line), '#'));
}

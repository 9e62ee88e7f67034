/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/json.h"
#include "runtime/memory.h"

#include <criterion/criterion.h>
#include <string.h>

Test(json, quoting_any_bytes_gives_what_jansson_reads)
{
    for (unsigned first = 0; first < 256; first++) {
        for (unsigned second = 0; second < 256; second++) {
            char text[] = { 'x', (char)first, (char)second, 'y' }, quoted[64];
            ash_json_quote(text, sizeof text, quoted, sizeof quoted);
            json_t *value = json_loads(quoted, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
            cr_assert_not_null(value, "%02x %02x gave %s", first, second, quoted);
            if (first < 0x80 && second < 0x80)
                cr_assert_eq(memcmp(json_string_value(value), text, sizeof text), 0);
            json_decref(value);
            value = ash_json_text(text, sizeof text);
            cr_assert_not_null(value);
            json_t *again = json_stringn(json_string_value(value), json_string_length(value));
            cr_assert_not_null(again, "%02x %02x is not mended", first, second);
            json_decref(again);
            json_decref(value);
        }
    }
}

Test(json, what_is_not_utf8_is_replaced_byte_by_byte)
{
    static const struct {
        const char *text, *mended;
    } cases[] = {
        { "\xE4\xB8\xAD", "\xE4\xB8\xAD" }, { "\xF0\x9F\x98\x80", "\xF0\x9F\x98\x80" },
        { "\xC0\xAF", "\xEF\xBF\xBD\xEF\xBF\xBD" },                 /* overlong "/" */
        { "\xED\xA0\x80", "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD" }, /* a surrogate */
        { "\xE0\x80\x80", "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD" },
        { "\xF4\x90\x80\x80", "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD" },
        { "a\xE4\xB8", "a\xEF\xBF\xBD\xEF\xBF\xBD" }, /* cut short */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        json_t *value = ash_json_text(cases[i].text, strlen(cases[i].text));
        cr_assert_str_eq(json_string_value(value), cases[i].mended);
        json_decref(value);
    }
}

Test(json, quoting_is_cut_between_characters)
{
    for (size_t capacity = 3; capacity < 24; capacity++) {
        char quoted[32];
        memset(quoted, 'z', sizeof quoted);
        ash_json_quote("a\n\xE4\xB8\xAD\x01 end", 10, quoted, capacity);
        cr_assert_lt(strlen(quoted), capacity);
        cr_assert_eq(quoted[capacity], 'z');
        json_t *value = json_loads(quoted, JSON_DECODE_ANY, NULL);
        cr_assert_not_null(value, "%s", quoted);
        json_decref(value);
    }
}

Test(json, jansson_allocates_through_our_hook)
{
    ash_json_init();
    ash_memory_fail_from(0);
    cr_assert_null(json_string("x"));
    ash_memory_fail_from(-1);
    cr_assert_eq(ash_json_print(NULL, stderr), ASH_ERR_NO_MEMORY);
}

Test(json, a_full_disk_is_reported)
{
    FILE *full = fopen("/dev/full", "w");
    cr_assert_not_null(full);
    setvbuf(full, NULL, _IONBF, 0);
    json_t *value = json_pack("{s:i}", "a", 1);
    cr_assert_eq(ash_json_print(value, full), ASH_ERR_IO);
    cr_assert(strstr(ash_error(), "No space left"), "%s", ash_error());
    json_decref(value);
    fclose(full);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/log.h"

#include <criterion/criterion.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static char *text;
static size_t length;

static FILE *open_log(enum ash_log_level level, enum ash_log_format format, bool color)
{
    FILE *sink = open_memstream(&text, &length);
    ash_log_open(&(struct ash_log_options){
        .sink = sink, .program = "ashlar", .level = level, .format = format, .color = color });
    return sink;
}

Test(log, text_lines_say_the_level_of_what_is_no_error)
{
    FILE *sink = open_log(ASH_LOG_INFO, ASH_LOG_TEXT, false);
    ash_log(ASH_LOG_ERROR, "no such model %s", "x");
    ash_log(ASH_LOG_INFO, "listening");
    ash_log(ASH_LOG_DEBUG, "not shown");
    fclose(sink);
    cr_assert_str_eq(text, "ashlar: no such model x\nashlar: info: listening\n");
    free(text);
}

Test(log, nothing_gets_through_that_forges_a_line_or_steers_a_terminal)
{
    FILE *sink = open_log(ASH_LOG_ERROR, ASH_LOG_TEXT, false);
    ash_log(ASH_LOG_ERROR, "%s",
        "a\nashlar: forged\033[2J\r\xC2\x9B"
        "31m");
    fclose(sink);
    cr_assert_str_eq(text, "ashlar: a\\x0aashlar: forged\\x1b[2J\\x0d\\x9b31m\n");
    free(text);
}

Test(log, json_lines_parse_whatever_the_message_is)
{
    static char huge[5000];
    memset(huge, '\x01', sizeof huge - 1);
    const char *messages[] = { "plain", "\"quoted\" \\ \n", "\xff\xfe broken", huge };
    for (size_t i = 0; i < sizeof messages / sizeof *messages; i++) {
        FILE *sink = open_log(ASH_LOG_DEBUG, ASH_LOG_JSON, false);
        ash_log(ASH_LOG_WARN, "%s", messages[i]);
        fclose(sink);
        cr_assert_eq(strchr(text, '\n'), text + length - 1, "one line, not: %s", text);
        json_t *line = json_loads(text, 0, NULL);
        cr_assert_not_null(line, "%s", text);
        cr_assert_str_eq(json_string_value(json_object_get(line, "level")), "warn");
        cr_assert_eq(strlen(json_string_value(json_object_get(line, "time"))), 24u);
        json_decref(line);
        free(text);
    }
}

Test(log, off_writes_nothing)
{
    FILE *sink = open_log(ASH_LOG_OFF, ASH_LOG_TEXT, true);
    ash_log(ASH_LOG_ERROR, "x");
    fclose(sink);
    cr_assert_eq(length, 0u);
    cr_assert_not(ash_log_on(ASH_LOG_ERROR));
    free(text);
}

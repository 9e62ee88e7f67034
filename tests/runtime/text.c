/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/text.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

static const struct ash_choice switches[] = {
    { "on", 1 },
    { "off", 0 },
    { "true", 1 },
    { "false", 0 },
    { "yes", 1 },
    { "no", 0 },
    { "1", 1 },
    { "0", 0 },
    { NULL, 0 },
};

Test(text, only_a_whole_number_in_range_is_an_integer)
{
    static const struct {
        const char *text;
        bool good;
        int64_t value;
    } cases[] = {
        { "0", true, 0 },
        { "-3", true, -3 },
        { "+7", true, 7 },
        { "100", true, 100 },
        { "101", false, 0 },
        { "-4", false, 0 },
        { "", false, 0 },
        { " 5", false, 0 },
        { "5 ", false, 0 },
        { "5x", false, 0 },
        { "0x5", false, 0 },
        { "1e2", false, 0 },
        { "99999999999999999999", false, 0 },
        { "\xff", false, 0 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int64_t value = 77;
        enum ash_status status = ash_text_to_integer(cases[i].text, -3, 100, &value);
        cr_assert_eq(status == ASH_OK, cases[i].good, "\"%s\"", cases[i].text);
        cr_assert_eq(value, cases[i].good ? cases[i].value : 77, "\"%s\"", cases[i].text);
    }
    int64_t value;
    cr_assert_eq(ash_text_to_integer("9223372036854775807", 0, INT64_MAX, &value), ASH_OK);
    cr_assert_eq(value, INT64_MAX);
}

Test(text, a_real_is_finite_decimal_and_in_range)
{
    static const struct {
        const char *text;
        bool good;
        double value;
    } cases[] = {
        { "0.7", true, 0.7 },
        { "1", true, 1 },
        { ".5", true, 0.5 },
        { "1e-2", true, 0.01 },
        { "2.5", false, 0 },
        { "-0.1", false, 0 },
        { "nan", false, 0 },
        { "inf", false, 0 },
        { "0x1p0", false, 0 },
        { "", false, 0 },
        { "0.7.1", false, 0 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        double value = 77;
        enum ash_status status = ash_text_to_real(cases[i].text, 0, 2, &value);
        cr_assert_eq(status == ASH_OK, cases[i].good, "\"%s\"", cases[i].text);
        cr_assert_eq(value, cases[i].good ? cases[i].value : 77, "\"%s\"", cases[i].text);
    }
}

Test(text, a_wrong_choice_is_told_the_right_ones_and_the_nearest)
{
    int value = 77;
    cr_assert_eq(ash_text_to_choice("yes", switches, &value), ASH_OK);
    cr_assert_eq(value, 1);
    cr_assert_eq(ash_text_to_choice("fales", switches, &value), ASH_ERR_ARGUMENT);
    cr_assert_str_eq(ash_error(), "expected on|off, found \"fales\"; did you mean \"false\"?");
    cr_assert_eq(value, 1);
    cr_assert_str_eq(ash_choice_name(switches, 0), "off");
}

Test(text, a_list_of_choices_is_cut_not_overrun)
{
    char text[6];
    memset(text, 'z', sizeof text);
    cr_assert_str_eq(ash_choice_list(switches, text, 5), "on|o");
    cr_assert_eq(text[5], 'z');
}

Test(text, distance_counts_insertions_deletions_replacements_and_swaps)
{
    static const struct {
        const char *a, *b;
        size_t distance;
    } cases[] = {
        { "", "", 0 },
        { "", "abc", 3 },
        { "threads", "threads", 0 },
        { "treads", "threads", 1 },
        { "thraeds", "threads", 1 },
        { "threds", "threads", 1 },
        { "thxeads", "threads", 1 },
        { "kitten", "sitting", 3 },
        { "ab", "ba", 1 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        cr_assert_eq(ash_text_distance(cases[i].a, cases[i].b), cases[i].distance);
        cr_assert_eq(ash_text_distance(cases[i].b, cases[i].a), cases[i].distance);
    }
    char longer[65];
    memset(longer, 'a', 64);
    longer[64] = '\0';
    cr_assert_eq(ash_text_distance(longer, "a"), SIZE_MAX);
    cr_assert_eq(ash_text_distance(longer + 1, "a"), 62u);
}

Test(text, a_guess_is_the_nearest_name_or_none)
{
    struct ash_guess guess = { .typed = "verion" };
    ash_guess_offer(&guess, "run");
    ash_guess_offer(&guess, "version");
    ash_guess_offer(&guess, "region");
    cr_assert_str_eq(ash_guess_hint(&guess), "; did you mean \"version\"?");
    struct ash_guess none = { .typed = "x" };
    ash_guess_offer(&none, "y");
    ash_guess_offer(&none, "threads");
    cr_assert_str_eq(ash_guess_hint(&none), "");
}

Test(text, shown_text_has_no_control_characters_and_is_cut_between_characters)
{
    char out[32];
    cr_assert_str_eq(ash_text_visible("a\033[2J\n\x7f", out, sizeof out), "a\\x1b[2J\\x0a\\x7f");
    cr_assert_str_eq(ash_text_visible("\xC2\x9B"
                                      "1m \xC2\xA0",
                         out, sizeof out),
        "\\x9b1m \xC2\xA0");
    cr_assert_str_eq(
        ash_text_visible("\xE4\xB8\xAD\xE4\xB8\xAD", out, 7), "\xE4\xB8\xAD\xE4\xB8\xAD");
    cr_assert_str_eq(ash_text_visible("\xE4\xB8\xAD\xE4\xB8\xAD", out, 6), "\xE4\xB8\xAD");
    cr_assert_str_eq(ash_text_visible("ab\n", out, 6), "ab");
    cr_assert_str_eq(ash_text_visible("\xC2", out, sizeof out), "\xC2");
}

Test(text, in_xml_it_is_text)
{
    char written[64] = "";
    FILE *out = fmemopen(written, sizeof written, "w");
    ash_text_write_xml("<a> & \"b\" > c", out);
    fclose(out);
    cr_assert_str_eq(written, "&lt;a&gt; &amp; \"b\" &gt; c");
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/status.h"

#include <criterion/criterion.h>
#include <string.h>

Test(status, fail_keeps_the_message_and_returns_the_status)
{
    cr_assert_eq(ash_fail(ASH_ERR_SHAPE, "weight must be (C), C = %d", 7), ASH_ERR_SHAPE);
    cr_assert_str_eq(ash_error(), "weight must be (C), C = 7");
}

Test(status, fail_in_says_where_on_the_way_up)
{
    (void)ash_fail(ASH_ERR_IO, "disk on fire");
    cr_assert_eq(ash_fail_in(ASH_ERR_IO, "layer %d", 3), ASH_ERR_IO);
    cr_assert_str_eq(ash_error(), "layer 3: disk on fire");
    cr_assert_eq(ash_fail_in(ASH_OK, "nothing happened"), ASH_OK);
    cr_assert_str_eq(ash_error(), "layer 3: disk on fire");
}

Test(status, a_message_may_quote_the_one_before)
{
    (void)ash_fail(ASH_ERR_IO, "first");
    (void)ash_fail(ASH_ERR_FORMAT, "second after %s", ash_error());
    cr_assert_str_eq(ash_error(), "second after first");
}

Test(status, a_long_message_is_cut_between_characters)
{
    char text[2000] = "";
    for (int i = 0; i < 600; i++)
        strcat(text, "\xE4\xB8\xAD"); /* 1,800 bytes; 1,023 is no multiple of 3... */
    (void)ash_fail(ASH_ERR_FORMAT, "x%s", text);
    size_t length = strlen(ash_error());
    cr_assert_leq(length, 1023u);
    cr_assert_eq((length - 1) % 3, 0u, "%zu bytes end inside a character", length);
}

Test(status, every_status_has_a_name)
{
    for (int i = 0; i < ASH_STATUS_COUNT; i++)
        cr_assert_str_neq(ash_status_name((enum ash_status)i), "unknown status");
    cr_assert_str_eq(ash_status_name((enum ash_status)999), "unknown status");
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/build.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* What binutils reads from the file of this program. */
static void read_id(char *id, size_t capacity)
{
    char line[256], command[64];
    snprintf(command, sizeof command, "readelf -n /proc/%d/exe 2>/dev/null", (int)getpid());
    FILE *notes = popen(command, "r");
    cr_assert(notes);
    id[0] = '\0';
    while (fgets(line, sizeof line, notes))
        if (strstr(line, "Build ID: "))
            snprintf(id, capacity, "%s", strtok(strstr(line, "Build ID: ") + 10, "\n"));
    pclose(notes);
}

Test(build, is_told_by_what_the_linker_wrote)
{
    char id[128], text[128], cut[9];
    read_id(id, sizeof id);
    if (!id[0])
        cr_skip_test("no build ID, or no readelf: install binutils");
    cr_assert_str_eq(ash_build_describe(text, sizeof text), id);
    ash_build_describe(cut, sizeof cut);
    cr_assert(strlen(cut) == 8 && strncmp(cut, id, 8) == 0, "%s", cut);
}

Test(build, two_calls_name_the_same_build)
{
    char one[128], two[128], cut[5];
    cr_assert_str_eq(ash_build_describe(one, sizeof one), ash_build_describe(two, sizeof two));
    cr_assert(strlen(one) > 4);
    cr_assert_eq(strlen(ash_build_describe(cut, sizeof cut)), 4);
}

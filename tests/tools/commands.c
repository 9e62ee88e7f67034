/* SPDX-License-Identifier: Apache-2.0 */
/* The real table of commands keeps the promises that help, man page and completions rely on. */
#include "tools/ashlar/cli.h"
#include "tools/ashlar/help.h"

#include <criterion/criterion.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

static void check_flag(const char *command, const struct ash_flags *flags, size_t index)
{
    const struct ash_flag *flag = &flags->flag[index];
    cr_assert(flag->help && !isupper((unsigned char)*flag->help), "%s --%s", command, flag->name);
    cr_assert_neq(flag->help[strlen(flag->help) - 1], '.', "%s --%s", command, flag->name);
    bool is_switch = flag->option && flag->option->type == ASH_OPTION_SWITCH;
    cr_assert_eq(flag->argument == NULL, is_switch, "%s --%s", command, flag->name);
    for (size_t i = 0; i < index; i++) {
        cr_assert_str_neq(
            flags->flag[i].name, flag->name, "%s has --%s twice", command, flag->name);
        cr_assert(!flag->letter || flags->flag[i].letter != flag->letter, "%s has -%c twice",
            command, flag->letter);
    }
}

Test(commands, every_command_is_described_and_no_flag_means_two_things)
{
    for (size_t i = 0; ash_commands[i]; i++) {
        const struct ash_command *command = ash_commands[i];
        cr_assert(
            command->summary && islower((unsigned char)*command->summary), "%s", command->name);
        cr_assert_leq(strlen(command->name) + strlen(command->summary), 76u, "%s", command->name);
        cr_assert(command->run && (command->arguments || command->most_arguments == 0));
        cr_assert(!command->options || command->options_bytes > 0, "%s", command->name);
        cr_assert_eq(ash_command_find(command->name), command);
        struct ash_flags flags;
        ash_flags_of(command, &flags);
        for (size_t j = 0; j < flags.count; j++)
            check_flag(command->name, &flags, j);
    }
}

Test(commands, the_lines_of_help_fit_a_terminal)
{
    for (size_t i = 0; i == 0 || ash_commands[i - 1]; i++) {
        const struct ash_command *command = i ? ash_commands[i - 1] : NULL;
        char *text;
        size_t length;
        FILE *out = open_memstream(&text, &length);
        ash_help_print(command, out);
        fclose(out);
        for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
            cr_assert_leq(strlen(line), 80u, "%s", line);
        free(text);
    }
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Help for people, and the command that shows it. */
#include "tools/ashlar/help.h"
#include "tools/ashlar/commands.h"

#include <string.h>

enum { COLUMNS = 80, HELP_COLUMN = 30 };

/* Words of `text` from column `used` on, continued at column `indent`. Ends the line. */
static void print_wrapped(const char *text, int used, int indent, FILE *out)
{
    bool first = true;
    while (*text) {
        text += strspn(text, " ");
        int length = (int)strcspn(text, " ");
        if (!first && used + 1 + length > COLUMNS) {
            fprintf(out, "\n%*s", indent, "");
            used = indent;
            first = true;
        }
        fprintf(out, "%s%.*s", first ? "" : " ", length, text);
        used += length + !first;
        first = false;
        text += length;
    }
    fputc('\n', out);
}

/* Paragraphs, wrapped; line ends inside one are spaces in the source already. */
static void print_paragraphs(const char *text, FILE *out)
{
    while (*text) {
        char paragraph[2048];
        const char *end = strstr(text, "\n\n");
        size_t length = end ? (size_t)(end - text) : strlen(text);
        snprintf(paragraph, sizeof paragraph, "%.*s", (int)length, text);
        print_wrapped(paragraph, 0, 0, out);
        text += length + (end ? 2 : 0);
        fputs("\n", out);
    }
}

char *ash_flag_range(const struct ash_flag *flag, char *text, size_t capacity)
{
    const struct ash_option *option = flag->option;
    text[0] = '\0';
    if (flag->choices)
        ash_choice_list(flag->choices, text, capacity);
    else if (option && option->type == ASH_OPTION_INTEGER && option->most < INT64_MAX)
        snprintf(text, capacity, "%lld..%lld", (long long)option->least, (long long)option->most);
    else if (option && option->type == ASH_OPTION_REAL)
        snprintf(text, capacity, "%g..%g", option->least_real, option->most_real);
    else if (flag->setting && flag->setting->type == ASH_SETTING_INTEGER &&
             flag->setting->most < INT64_MAX)
        snprintf(text, capacity, "%lld..%lld", (long long)flag->setting->least,
            (long long)flag->setting->most);
    return text;
}

/* "  -t, --threads N" and its help beside it, or below where it is too long. */
static void print_flag(const struct ash_flag *flag, FILE *out)
{
    char range[128], help[512];
    int used = flag->letter ? fprintf(out, "  -%c, --%s", flag->letter, flag->name)
                            : fprintf(out, "      --%s", flag->name);
    if (flag->argument)
        used += fprintf(out, " %s", flag->argument);
    if (used + 2 > HELP_COLUMN) {
        fputc('\n', out);
        used = 0;
    }
    fprintf(out, "%*s", HELP_COLUMN - used, "");
    ash_flag_range(flag, range, sizeof range);
    bool notes = *range || flag->fallback;
    snprintf(help, sizeof help, "%s%s%s%s%s%s%s", flag->help, notes ? " [" : "", range,
        *range && flag->fallback ? "; " : "", flag->fallback ? "default " : "",
        flag->fallback ? flag->fallback : "", notes ? "]" : "");
    print_wrapped(help, HELP_COLUMN, HELP_COLUMN, out);
}

static void print_group(
    const struct ash_flags *flags, enum ash_flag_group group, const char *title, FILE *out)
{
    bool first = true;
    for (size_t i = 0; i < flags->count; i++) {
        if (flags->flag[i].group != group)
            continue;
        if (first)
            fprintf(out, "%s\n", title);
        first = false;
        print_flag(&flags->flag[i], out);
    }
    if (!first)
        fputc('\n', out);
}

static void print_command(const struct ash_command *command, FILE *out)
{
    struct ash_flags flags;
    ash_flags_of(command, &flags);
    fprintf(out, "ashlar %s: %s\n\nusage: ashlar %s [OPTION]...%s%s\n\n", command->name,
        command->summary, command->name, command->arguments ? " " : "",
        command->arguments ? command->arguments : "");
    if (command->description)
        print_paragraphs(command->description, out);
    print_group(&flags, ASH_FLAG_OPTION, "Options", out);
    print_group(&flags, ASH_FLAG_SETTING, "Settings, also of the configuration", out);
    print_group(&flags, ASH_FLAG_COMMON, "Common", out);
    for (const struct ash_example *example = command->examples; example && example->line; example++)
        fprintf(out, "%s  %s\n      %s\n", example == command->examples ? "Examples\n" : "",
            example->line, example->help);
}

static void print_program(FILE *out)
{
    struct ash_flags flags;
    ash_flags_of(NULL, &flags);
    fputs("ashlar: runs AI models on the machine at hand\n\n"
          "usage: ashlar COMMAND [OPTION]... [ARGUMENT]...\n\nCommands\n",
        out);
    for (size_t i = 0; ash_commands[i]; i++)
        fprintf(out, "  %-12s  %s\n", ash_commands[i]->name, ash_commands[i]->summary);
    fputc('\n', out);
    print_group(&flags, ASH_FLAG_COMMON, "Common", out);
    fputs("\"ashlar help COMMAND\" describes one; \"ashlar help --exit-codes\" the codes.\n", out);
}

void ash_help_print(const struct ash_command *command, FILE *out)
{
    if (command)
        print_command(command, out);
    else
        print_program(out);
}

struct options {
    bool man;
    bool exit_codes;
};

static const struct ash_option options[] = {
    { .name = "man",
        .offset = offsetof(struct options, man),
        .help = "write the manual page of the program, as mdoc" },
    { .name = "exit-codes",
        .offset = offsetof(struct options, exit_codes),
        .help = "list the exit codes" },
    { .name = NULL },
};

static const struct ash_example examples[] = {
    { "ashlar help config", "Describe one command." },
    { "ashlar help --man | man -l -", "Read the manual before it is installed." },
    { NULL, NULL },
};

static enum ash_status run(struct ash_cli *cli)
{
    const struct options *chosen = cli->options;
    if (chosen->man) {
        ash_man_print(stdout);
    } else if (chosen->exit_codes) {
        for (const struct ash_exit *row = ash_exits; row->meaning; row++)
            printf("%3d  %s\n", row->code, row->meaning);
    } else if (cli->argument_count == 0) {
        ash_help_print(NULL, stdout);
    } else {
        const struct ash_command *command = ash_command_find(cli->argument[0]);
        if (!command)
            return ash_fail(ASH_ERR_ARGUMENT,
                "help: there is no command \"%s\" (see \"ashlar help\")", cli->argument[0]);
        ash_help_print(command, stdout);
    }
    return ASH_OK;
}

const struct ash_command ash_command_help = {
    .name = "help",
    .summary = "describe the program or a command",
    .arguments = "[COMMAND]",
    .most_arguments = 1,
    .options = options,
    .options_bytes = sizeof(struct options),
    .examples = examples,
    .without_config = true,
    .run = run,
};

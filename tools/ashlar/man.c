/* SPDX-License-Identifier: Apache-2.0 */
/* The manual page, in mdoc (mandoc.bsd.lv/man/mdoc.7.html): the same tables once more. */
#include "tools/ashlar/help.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

/*
 * Text that roff leaves as it is: no line starts with a request, no backslash escapes. Long lines are
 * broken at spaces, and after sentences, as mandoc's style asks; `column` is where the text starts.
 */
static void put_text_from(size_t column, const char *text, FILE *out)
{
    bool stop = false; /* the character before this one ended a sentence */
    for (; *text; stop = *text++ == '.') {
        if (*text == ' ' && (column > 60 || stop)) {
            fputc('\n', out);
            column = 0;
            continue;
        }
        if (column++ == 0 && (*text == '.' || *text == '\''))
            fputs("\\&", out);
        if (*text == '\\')
            fputs("\\e", out);
        else if (*text == '-')
            fputs("\\-", out);
        else
            fputc(*text, out);
    }
}

static void put_text(const char *text, FILE *out)
{
    put_text_from(0, text, out);
}

/* A sentence out of a table's "lower case, no full stop". */
static void put_sentence(const char *text, FILE *out)
{
    char first[2] = { (char)toupper((unsigned char)text[0]), '\0' };
    put_text(first, out);
    put_text_from(1, text + 1, out);
    fputs(".\n", out);
}

/* Paragraphs with .Pp between them. */
static void put_paragraphs(const char *text, FILE *out)
{
    for (const char *end; (end = strstr(text, "\n\n")); text = end + 2) {
        char paragraph[2048];
        snprintf(paragraph, sizeof paragraph, "%.*s", (int)(end - text), text);
        put_text(paragraph, out);
        fputs("\n.Pp\n", out);
    }
    put_text(text, out);
    fputc('\n', out);
}

/* ".It Fl t , Fl Fl threads Ar N" */
static void put_flag_name(const struct ash_flag *flag, FILE *out)
{
    fputs(".It ", out);
    if (flag->letter)
        fprintf(out, "Fl %c , ", flag->letter);
    fputs("Fl Fl ", out);
    put_text(flag->name, out);
    if (flag->argument)
        fprintf(out, " Ar %s", flag->argument);
    fputc('\n', out);
}

static void put_flag(const struct ash_flag *flag, FILE *out)
{
    char range[128];
    put_flag_name(flag, out);
    put_sentence(flag->help, out);
    if (*ash_flag_range(flag, range, sizeof range)) {
        fputs("Range: ", out);
        put_text_from(7, range, out);
        fputs(".\n", out);
    }
    if (flag->fallback) {
        fputs("Default: ", out);
        put_text(flag->fallback, out);
        fputs(".\n", out);
    }
}

static void put_flags(const struct ash_command *command, enum ash_flag_group group, FILE *out)
{
    struct ash_flags flags;
    ash_flags_of(command, &flags);
    bool first = true;
    for (size_t i = 0; i < flags.count; i++) {
        if (flags.flag[i].group != group)
            continue;
        if (first)
            fputs(".Bl -tag -width Ds\n", out);
        first = false;
        put_flag(&flags.flag[i], out);
    }
    if (!first)
        fputs(".El\n", out);
}

static void put_settings_named(const struct ash_command *command, FILE *out)
{
    if (!command->settings)
        return;
    fputs(".Pp\nSettings it takes as options:", out);
    for (const char *const *name = command->settings; *name; name++) {
        char flag[64];
        fputs(name == command->settings ? "\n.Fl Fl " : " ,\n.Fl Fl ", out);
        put_text(ash_setting_flag(ash_setting_find(*name), flag, sizeof flag), out);
    }
    fputs(" .\n", out);
}

static void put_command(const struct ash_command *command, FILE *out)
{
    fprintf(out, ".Ss ashlar %s\n", command->name);
    put_sentence(command->summary, out);
    fprintf(out, ".Bd -literal -offset indent\nashlar %s [OPTION]...", command->name);
    if (command->arguments)
        fprintf(out, " %s", command->arguments);
    fputs("\n.Ed\n", out);
    if (command->description) {
        fputs(".Pp\n", out);
        put_paragraphs(command->description, out);
    }
    put_flags(command, ASH_FLAG_OPTION, out);
    put_settings_named(command, out);
}

static void put_settings(FILE *out)
{
    fputs(".Sh SETTINGS\n"
          "Each is a key of the configuration, an environment variable and, where a\n"
          "command takes it, an option; a later one of these outranks an earlier one.\n"
          ".Bl -tag -width Ds\n",
        out);
    for (const struct ash_setting *setting = ash_settings(); setting->name; setting++) {
        char variable[64], range[128];
        struct ash_flag flag = { .setting = setting, .choices = setting->choices };
        fprintf(out, ".It Va %s , Ev %s\n", setting->name,
            ash_setting_variable(setting, variable, sizeof variable));
        put_sentence(setting->help, out);
        if (*ash_flag_range(&flag, range, sizeof range)) {
            fputs("Range: ", out);
            put_text_from(7, range, out);
            fputs(".\n", out);
        }
        fputs("Default: ", out);
        put_text(setting->fallback, out);
        fputs(".\n", out);
    }
    fputs(".El\n", out);
}

static void put_files_and_variables(FILE *out)
{
    fputs(".Sh ENVIRONMENT\n"
          "Besides the variables of the settings:\n"
          ".Bl -tag -width Ds\n"
          ".It Ev NO_COLOR\nNo color, unless the setting says always.\n"
          ".It Ev HOME , Ev XDG_CONFIG_HOME , Ev XDG_DATA_HOME , Ev XDG_CACHE_HOME\n"
          "Where files are looked for and kept.\n"
          ".El\n"
          ".Sh FILES\n"
          ".Bl -tag -width Ds\n"
          ".It Pa /etc/ashlar/config.yaml\nThe configuration of the machine.\n"
          ".It Pa ~/.config/ashlar/config.yaml\n"
          "The configuration of the user, which outranks it:\n"
          "lines of the form\n.Ql name: value .\n"
          ".El\n",
        out);
}

static void put_exits(FILE *out)
{
    fputs(".Sh EXIT STATUS\n.Bl -tag -width Ds\n", out);
    for (const struct ash_exit *row = ash_exits; row->meaning; row++) {
        fprintf(out, ".It %d\n", row->code);
        put_sentence(row->meaning, out);
    }
    fputs(".El\n", out);
}

static void put_examples(FILE *out)
{
    fputs(".Sh EXAMPLES\n.Bl -tag -width Ds\n", out);
    for (size_t i = 0; ash_commands[i]; i++) {
        const struct ash_example *example = ash_commands[i]->examples;
        for (; example && example->line; example++) {
            fputs(".It Li \"", out);
            put_text(example->line, out);
            fputs("\"\n", out);
            put_text(example->help, out);
            fputc('\n', out);
        }
    }
    fputs(".El\n", out);
}

void ash_man_print(FILE *out)
{
    fprintf(out,
        ".\\\" SPDX-License-Identifier: Apache-2.0\n"
        ".Dd %s\n.Dt ASHLAR 1\n.Os\n"
        ".Sh NAME\n.Nm ashlar\n.Nd run AI models on the machine at hand\n"
        ".Sh SYNOPSIS\n.Nm\n.Ar command\n.Op Ar option ...\n.Op Ar argument ...\n"
        ".Sh DESCRIPTION\n.Nm\n"
        "discovers the processors and accelerators of a machine, plans transformer\n"
        "models over them, and runs them.\nIts commands:\n",
        ASH_RELEASE_DATE);
    for (size_t i = 0; ash_commands[i]; i++)
        put_command(ash_commands[i], out);
    fputs(".Ss Options of every command\n", out);
    put_flags(NULL, ASH_FLAG_COMMON, out);
    put_settings(out);
    put_files_and_variables(out);
    put_exits(out);
    put_examples(out);
}

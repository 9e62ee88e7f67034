/* SPDX-License-Identifier: Apache-2.0 */
/* Reading a command line into a struct ash_cli. */
#include "runtime/memory.h"
#include "tools/ashlar/cli.h"

#include <assert.h>
#include <string.h>

/* Destinations are in struct ash_cli itself. */
static const struct ash_option common_options[] = {
    { .name = "config",
        .type = ASH_OPTION_FILE,
        .offset = offsetof(struct ash_cli, config_file),
        .argument = "FILE",
        .help = "read this configuration instead of the standard ones" },
    { .name = "quiet",
        .letter = 'q',
        .offset = offsetof(struct ash_cli, quiet),
        .help = "write nothing but results and errors" },
    { .name = "help",
        .letter = 'h',
        .offset = offsetof(struct ash_cli, help),
        .help = "show this help" },
    { .name = NULL },
};

static const struct ash_option program_options[] = {
    { .name = "version",
        .letter = 'V',
        .offset = offsetof(struct ash_cli, version),
        .help = "show the version" },
    { .name = NULL },
};

static const char *const common_settings[] = { "log_level", "log_format", "color", NULL };

const struct ash_command *ash_command_find(const char *name)
{
    for (size_t i = 0; ash_commands[i]; i++)
        if (strcmp(ash_commands[i]->name, name) == 0)
            return ash_commands[i];
    return NULL;
}

static struct ash_flag *new_flag(struct ash_flags *flags, enum ash_flag_group group)
{
    assert(flags->count < ASH_MAX_FLAGS);
    struct ash_flag *flag = &flags->flag[flags->count++];
    *flag = (struct ash_flag){ .group = group };
    return flag;
}

static void add_options(
    struct ash_flags *flags, enum ash_flag_group group, const struct ash_option *options)
{
    for (const struct ash_option *option = options; option && option->name; option++) {
        struct ash_flag *flag = new_flag(flags, group);
        snprintf(flag->name, sizeof flag->name, "%s", option->name);
        flag->letter = option->letter;
        flag->argument = option->argument;
        flag->fallback = option->fallback;
        flag->help = option->help;
        flag->choices = option->choices;
        flag->files = option->type == ASH_OPTION_FILE;
        flag->directories = option->type == ASH_OPTION_DIRECTORY;
        flag->option = option;
    }
}

static void add_settings(
    struct ash_flags *flags, enum ash_flag_group group, const char *const *names)
{
    for (; names && *names; names++) {
        const struct ash_setting *setting = ash_setting_find(*names);
        assert(setting);
        struct ash_flag *flag = new_flag(flags, group);
        ash_setting_flag(setting, flag->name, sizeof flag->name);
        flag->letter = setting->letter;
        flag->argument = setting->unit;
        flag->fallback = setting->fallback;
        flag->help = setting->help;
        flag->choices = setting->choices;
        flag->directories = setting->type == ASH_SETTING_PATH;
        flag->setting = setting;
    }
}

void ash_flags_of(const struct ash_command *command, struct ash_flags *out)
{
    out->count = 0;
    if (command) {
        add_options(out, ASH_FLAG_OPTION, command->options);
        add_settings(out, ASH_FLAG_SETTING, command->settings);
    }
    add_settings(out, ASH_FLAG_COMMON, common_settings);
    add_options(out, ASH_FLAG_COMMON, common_options);
    if (!command)
        add_options(out, ASH_FLAG_COMMON, program_options);
}

/* The words still to be read, and what they may say. */
struct reader {
    struct ash_cli *cli;
    char **word;
    int count, next;
    struct ash_flags flags;
};

static enum ash_status store_text(const struct ash_option *option, void *to, const char *text)
{
    if (option->type != ASH_OPTION_LIST) {
        *(const char **)to = text;
        return ASH_OK;
    }
    struct ash_option_list *list = to;
    if (list->count == ASH_OPTION_MAX_REPEATS)
        return ash_fail(ASH_ERR_ARGUMENT, "given more than %d times", ASH_OPTION_MAX_REPEATS);
    list->item[list->count++] = text;
    return ASH_OK;
}

/* Gives the option the value that `text` spells; a switch takes no text and is turned on. */
static enum ash_status store(const struct ash_option *option, void *base, const char *text)
{
    void *to = (char *)base + option->offset;
    switch (option->type) {
    case ASH_OPTION_SWITCH:
        *(bool *)to = true;
        return ASH_OK;
    case ASH_OPTION_INTEGER:
        return ash_text_to_integer(text, option->least, option->most, to);
    case ASH_OPTION_REAL:
        return ash_text_to_real(text, option->least_real, option->most_real, to);
    case ASH_OPTION_CHOICE:
        return ash_text_to_choice(text, option->choices, to);
    default:
        return store_text(option, to, text);
    }
}

static enum ash_status apply(struct reader *reader, const struct ash_flag *flag, const char *text)
{
    struct ash_cli *cli = reader->cli;
    enum ash_status status;
    if (flag->setting)
        status = ash_config_set(&cli->config, flag->setting, text, ASH_SOURCE_FLAG);
    else
        status =
            store(flag->option, flag->group == ASH_FLAG_COMMON ? (void *)cli : cli->options, text);
    return ash_fail_in(status, "--%s", flag->name);
}

static const struct ash_flag *find_long(
    const struct ash_flags *flags, const char *name, size_t length)
{
    for (size_t i = 0; i < flags->count; i++)
        if (strlen(flags->flag[i].name) == length && memcmp(flags->flag[i].name, name, length) == 0)
            return &flags->flag[i];
    return NULL;
}

static enum ash_status fail_unknown_flag(const struct reader *reader, const char *name)
{
    struct ash_guess guess = { .typed = name };
    for (size_t i = 0; i < reader->flags.count; i++)
        ash_guess_offer(&guess, reader->flags.flag[i].name);
    char hint[sizeof guess.hint] = "";
    if (guess.best)
        snprintf(hint, sizeof hint, "; did you mean \"--%s\"?", guess.best);
    return ash_fail(ASH_ERR_ARGUMENT, "unknown option \"--%s\"%s", name, hint);
}

/* "--name", "--name=value" or "--name value". */
static enum ash_status read_long(struct reader *reader, char *word)
{
    const char *name = word + 2, *equals = strchr(name, '=');
    size_t length = equals ? (size_t)(equals - name) : strlen(name);
    const struct ash_flag *flag = find_long(&reader->flags, name, length);
    if (!flag) {
        word[2 + length] = '\0';
        return fail_unknown_flag(reader, name);
    }
    if (!flag->argument)
        return equals ? ash_fail(ASH_ERR_ARGUMENT, "--%s takes no value", flag->name)
                      : apply(reader, flag, NULL);
    if (equals)
        return apply(reader, flag, equals + 1);
    if (reader->next == reader->count)
        return ash_fail(ASH_ERR_ARGUMENT, "--%s needs %s", flag->name, flag->argument);
    return apply(reader, flag, reader->word[reader->next++]);
}

/* "-q", "-qh", "-t4" or "-t 4". */
static enum ash_status read_letters(struct reader *reader, const char *word)
{
    for (const char *letter = word + 1; *letter; letter++) {
        const struct ash_flag *flag = NULL;
        for (size_t i = 0; i < reader->flags.count && !flag; i++)
            if (reader->flags.flag[i].letter == *letter)
                flag = &reader->flags.flag[i];
        if (!flag)
            return ash_fail(ASH_ERR_ARGUMENT, "unknown option \"-%c\" in \"%s\"", *letter, word);
        if (!flag->argument) {
            ASH_TRY(apply(reader, flag, NULL));
            continue;
        }
        if (letter[1])
            return apply(reader, flag, letter + 1);
        if (reader->next == reader->count)
            return ash_fail(ASH_ERR_ARGUMENT, "-%c needs %s", *letter, flag->argument);
        return apply(reader, flag, reader->word[reader->next++]);
    }
    return ASH_OK;
}

static enum ash_status set_defaults(struct ash_cli *cli)
{
    cli->options = ash_alloc_zero(cli->command->options_bytes);
    if (!cli->options)
        return ash_fail_memory(cli->command->options_bytes, "the options");
    for (const struct ash_option *option = cli->command->options; option && option->name; option++)
        if (option->fallback)
            ASH_TRY(store(option, cli->options, option->fallback));
    return ASH_OK;
}

static enum ash_status read_command(struct reader *reader, const char *name)
{
    struct ash_cli *cli = reader->cli;
    cli->command = ash_command_find(name);
    if (cli->command) {
        ash_flags_of(cli->command, &reader->flags);
        return set_defaults(cli);
    }
    struct ash_guess guess = { .typed = name };
    for (size_t i = 0; ash_commands[i]; i++)
        ash_guess_offer(&guess, ash_commands[i]->name);
    return ash_fail(ASH_ERR_ARGUMENT, "unknown command \"%s\"%s", name, ash_guess_hint(&guess));
}

static enum ash_status read_word(struct reader *reader, bool *only_arguments)
{
    struct ash_cli *cli = reader->cli;
    char *word = reader->word[reader->next++];
    if (!*only_arguments && strcmp(word, "--") == 0) {
        *only_arguments = true;
        return ASH_OK;
    }
    if (!*only_arguments && word[0] == '-' && word[1] == '-')
        return read_long(reader, word);
    if (!*only_arguments && word[0] == '-' && word[1])
        return read_letters(reader, word);
    if (!cli->command)
        return read_command(reader, word);
    cli->argument[cli->argument_count++] = word;
    return ASH_OK;
}

static enum ash_status check_arguments(const struct ash_cli *cli)
{
    const struct ash_command *command = cli->command;
    if (!command || cli->help || cli->version)
        return ASH_OK;
    if (cli->argument_count < command->least_arguments)
        return ash_fail(ASH_ERR_ARGUMENT, "expected %s", command->arguments);
    if (command->most_arguments >= 0 && cli->argument_count > command->most_arguments)
        return ash_fail(
            ASH_ERR_ARGUMENT, "unexpected argument \"%s\"", cli->argument[command->most_arguments]);
    return ASH_OK;
}

/* Puts the command in front of the message and where to look behind it. */
static enum ash_status fail_usage(const struct ash_cli *cli, enum ash_status status)
{
    if (status != ASH_ERR_ARGUMENT)
        return status;
    const char *name = cli->command ? cli->command->name : "";
    return ash_fail(status, "%s%s%s (see \"ashlar help%s%s\")", name, *name ? ": " : "",
        ash_error(), *name ? " " : "", name);
}

enum ash_status ash_cli_parse(struct ash_cli *cli, int argc, char **argv)
{
    *cli = (struct ash_cli){ .argument = argv };
    ASH_TRY(ash_config_init(&cli->config));
    struct reader reader = { .cli = cli, .word = argv, .count = argc, .next = 1 };
    ash_flags_of(NULL, &reader.flags);
    bool only_arguments = false;
    enum ash_status status = ASH_OK;
    while (status == ASH_OK && reader.next < reader.count)
        status = read_word(&reader, &only_arguments);
    if (status == ASH_OK)
        status = check_arguments(cli);
    return fail_usage(cli, status);
}

void ash_cli_finish(struct ash_cli *cli)
{
    ash_config_finish(&cli->config);
    ash_free(cli->options);
    cli->options = NULL;
}

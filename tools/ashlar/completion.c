/* SPDX-License-Identifier: Apache-2.0 */
/* Completions for bash, zsh and fish, made from the tables of the commands. */
#include "tools/ashlar/commands.h"

#include <string.h>

/* Inside single quotes of a shell; zsh's _arguments also reads brackets and colons in a help text. */
static void put_quoted(const char *text, const char *escaped, FILE *out)
{
    for (; *text; text++) {
        if (*text == '\'')
            fputs("'\\''", out);
        else if (strchr(escaped, *text))
            fprintf(out, "\\%c", *text);
        else
            fputc(*text, out);
    }
}

/* "f16 q8_0 f32": the choices with `between` in between. */
static void put_choices(const struct ash_choice *choices, char between, FILE *out)
{
    char list[256];
    ash_choice_list(choices, list, sizeof list);
    for (char *letter = list; *letter; letter++)
        fputc(*letter == '|' ? between : *letter, out);
}

static void put_commands(FILE *out)
{
    for (size_t i = 0; ash_commands[i]; i++)
        fprintf(out, "%s%s", i ? " " : "", ash_commands[i]->name);
}

/* What an argument of `command`'s flags may be, as one arm of a case over the word before. */
static void bash_values(const struct ash_flag *flag, FILE *out)
{
    if (!flag->argument)
        return;
    fprintf(out, "        --%s", flag->name);
    if (flag->letter)
        fprintf(out, " | -%c", flag->letter);
    fputs(") ", out);
    if (flag->choices) {
        fputs("values='", out);
        put_choices(flag->choices, ' ', out);
        fputs("' ;;\n", out);
    } else {
        fputs(flag->files         ? "kind=-f ;;\n"
              : flag->directories ? "kind=-d ;;\n"
                                  : "kind=none ;;\n",
            out);
    }
}

static void bash_command(const struct ash_command *command, FILE *out)
{
    struct ash_flags flags;
    ash_flags_of(command, &flags);
    fprintf(out, "    %s)\n        words='", command ? command->name : "''");
    for (size_t i = 0; i < flags.count; i++)
        fprintf(out, "%s--%s", i ? " " : "", flags.flag[i].name);
    fputs("'\n        case $before in\n", out);
    for (size_t i = 0; i < flags.count; i++)
        bash_values(&flags.flag[i], out);
    fputs("        esac ;;\n", out);
}

static void print_bash(FILE *out)
{
    fputs("# bash completion for ashlar; made by: ashlar completion bash\n"
          "_ashlar() {\n"
          "    local current=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}\n"
          "    local command='' words='' values='' kind='' commands='",
        out);
    put_commands(out);
    fputs("' i\n"
          "    for ((i = 1; i < COMP_CWORD; i++)); do\n"
          "        if [[ \" $commands \" == *\" ${COMP_WORDS[i]} \"* ]]; then\n"
          "            command=${COMP_WORDS[i]}\n"
          "            break\n"
          "        fi\n"
          "    done\n"
          "    case $command in\n",
        out);
    bash_command(NULL, out);
    for (size_t i = 0; ash_commands[i]; i++)
        bash_command(ash_commands[i], out);
    fputs(
        "    esac\n"
        "    [[ $command == '' || $command == help ]] && [[ $current != -* ]] && words=$commands\n"
        "    COMPREPLY=()\n"
        "    if [[ $kind == -* ]]; then\n"
        "        mapfile -t COMPREPLY < <(compgen \"$kind\" -- \"$current\")\n"
        "    elif [[ $values ]]; then\n"
        "        mapfile -t COMPREPLY < <(compgen -W \"$values\" -- \"$current\")\n"
        "    elif [[ $kind == '' && ($current == -* || $words == \"$commands\") ]]; then\n"
        "        mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$current\")\n"
        "    elif [[ $kind == '' ]]; then\n"
        "        mapfile -t COMPREPLY < <(compgen -f -- \"$current\")\n"
        "    fi\n"
        "}\n"
        "complete -o filenames -F _ashlar ashlar\n",
        out);
}

static void zsh_flag(const struct ash_flag *flag, FILE *out)
{
    fputs("            ", out);
    if (flag->letter)
        fprintf(out, "'(-%c --%s)'{-%c%s,--%s%s}", flag->letter, flag->name, flag->letter,
            flag->argument ? "+" : "", flag->name, flag->argument ? "=" : "");
    else
        fprintf(out, "--%s%s", flag->name, flag->argument ? "=" : "");
    fputs("'[", out);
    put_quoted(flag->help, "[]:\\", out);
    fputc(']', out);
    if (flag->argument) {
        fprintf(out, ":%s:", flag->argument);
        if (flag->choices) {
            fputc('(', out);
            put_choices(flag->choices, ' ', out);
            fputc(')', out);
        } else {
            fputs(flag->files ? "_files" : flag->directories ? "_files -/" : "", out);
        }
    }
    fputs("' \\\n", out);
}

static void zsh_command(const struct ash_command *command, FILE *out)
{
    struct ash_flags flags;
    ash_flags_of(command, &flags);
    fprintf(out, "    %s)\n        _arguments -s \\\n", command->name);
    for (size_t i = 0; i < flags.count; i++)
        zsh_flag(&flags.flag[i], out);
    if (command == &ash_command_help) {
        fputs("            '1:command:(", out);
        put_commands(out);
        fputs(")' ;;\n", out);
    } else {
        fprintf(out, "            '%s' ;;\n", command->arguments ? "*:argument:_files" : "*:: :");
    }
}

static void print_zsh(FILE *out)
{
    fputs("#compdef ashlar\n"
          "# zsh completion for ashlar; made by: ashlar completion zsh\n"
          "_ashlar() {\n"
          "    local -a commands\n"
          "    commands=(\n",
        out);
    for (size_t i = 0; ash_commands[i]; i++) {
        fprintf(out, "        '%s:", ash_commands[i]->name);
        put_quoted(ash_commands[i]->summary, ":\\", out);
        fputs("'\n", out);
    }
    fputs("    )\n"
          "    if ((CURRENT == 2)); then\n"
          "        _describe command commands\n"
          "        return\n"
          "    fi\n"
          "    local command=$words[2]\n"
          "    shift words\n"
          "    ((CURRENT--))\n"
          "    case $command in\n",
        out);
    for (size_t i = 0; ash_commands[i]; i++)
        zsh_command(ash_commands[i], out);
    fputs(
        "    esac\n"
        "}\n"
        "if [[ $funcstack[1] == _ashlar ]]; then _ashlar \"$@\"; else compdef _ashlar ashlar; fi\n",
        out);
}

static void fish_flag(const char *command, const struct ash_flag *flag, FILE *out)
{
    fprintf(
        out, "complete -c ashlar -n '__fish_seen_subcommand_from %s' -l %s", command, flag->name);
    if (flag->letter)
        fprintf(out, " -s %c", flag->letter);
    if (flag->choices) {
        fputs(" -x -a '", out);
        put_choices(flag->choices, ' ', out);
        fputc('\'', out);
    } else if (flag->directories) {
        fputs(" -x -a '(__fish_complete_directories)'", out);
    } else if (flag->argument) {
        fputs(flag->files ? " -r -F" : " -x", out);
    }
    fputs(" -d '", out);
    put_quoted(flag->help, "\\", out);
    fputs("'\n", out);
}

static void print_fish(FILE *out)
{
    fputs("# fish completion for ashlar; made by: ashlar completion fish\n"
          "complete -c ashlar -f\n",
        out);
    for (size_t i = 0; ash_commands[i]; i++) {
        const struct ash_command *command = ash_commands[i];
        fprintf(out, "complete -c ashlar -n __fish_use_subcommand -a %s -d '", command->name);
        put_quoted(command->summary, "\\", out);
        fputs("'\n", out);
        struct ash_flags flags;
        ash_flags_of(command, &flags);
        for (size_t j = 0; j < flags.count; j++)
            fish_flag(command->name, &flags.flag[j], out);
    }
    fputs("complete -c ashlar -n '__fish_seen_subcommand_from help' -a '", out);
    put_commands(out);
    fputs("'\n", out);
}

static const struct ash_choice shells[] = { { "bash", 0 }, { "zsh", 1 }, { "fish", 2 },
    { NULL, 0 } };

static enum ash_status run(struct ash_cli *cli)
{
    static void (*const print[])(FILE *) = { print_bash, print_zsh, print_fish };
    int shell;
    enum ash_status status = ash_text_to_choice(cli->argument[0], shells, &shell);
    if (status != ASH_OK)
        return ash_fail_in(status, "completion");
    print[shell](stdout);
    return ASH_OK;
}

static const struct ash_example examples[] = {
    { "source <(ashlar completion bash)", "Complete in this shell from now on." },
    { NULL, NULL },
};

const struct ash_command ash_command_completion = {
    .name = "completion",
    .summary = "write the completions of a shell: bash, zsh or fish",
    .arguments = "SHELL",
    .least_arguments = 1,
    .most_arguments = 1,
    .description =
        "Installed packages bring the completions with them; this is for a shell that does "
        "not find them, and for looking at them.",
    .examples = examples,
    .without_config = true,
    .run = run,
};

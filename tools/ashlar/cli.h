/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "runtime/config.h"
#include "runtime/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/*
 * The frame of the program: commands and their options are tables, and everything a user sees of them
 * (parsing, help, man page, completions, suggestions) is made from those tables.
 *
 * A command is one file, tools/ashlar/<name>.c, that defines ash_command_<name>, and one row in
 * commands.c. It writes its result to standard output, returns a status, and never exits, logs an
 * error or checks its output for a closed pipe or a full disk: the frame does, in one place.
 */

enum ash_option_type {
    ASH_OPTION_SWITCH,    /* bool */
    ASH_OPTION_INTEGER,   /* int64_t within [least, most] */
    ASH_OPTION_REAL,      /* double within [least_real, most_real] */
    ASH_OPTION_CHOICE,    /* int, one of `choices` */
    ASH_OPTION_TEXT,      /* const char *, borrowed from the command line; NULL = not given */
    ASH_OPTION_FILE,      /* the same, completed to files */
    ASH_OPTION_DIRECTORY, /* the same, completed to directories */
    ASH_OPTION_LIST,      /* struct ash_option_list: may be given several times */
};

/* What every use of one option gave, in order. */
enum { ASH_OPTION_MAX_REPEATS = 32 };
struct ash_option_list {
    const char *item[ASH_OPTION_MAX_REPEATS];
    size_t count;
};

struct ash_option {
    const char *name; /* "max-tokens" */
    char letter;      /* 0 = none */
    enum ash_option_type type;
    size_t offset;                /* of the destination in the command's struct of options */
    const char *argument;         /* "N", as help calls it; NULL for a switch */
    int64_t least, most;          /* integers */
    double least_real, most_real; /* reals */
    const struct ash_choice *choices;
    const char *fallback; /* the default as a user would write it; NULL = zero bytes */
    const char *help;     /* lower case, no full stop */
};

struct ash_example {
    const char *line; /* "ashlar info --svg machine.svg" */
    const char *help;
};

struct ash_cli;

struct ash_command {
    const char *name;
    const char *summary;   /* one line, lower case, a verb first, no full stop */
    const char *arguments; /* "[PROMPT]..."; NULL = none */
    int most_arguments;    /* -1 = any number */
    int least_arguments;
    const char *description;          /* paragraphs, an empty line between them */
    const struct ash_option *options; /* ended by a NULL name; NULL = none */
    size_t options_bytes;             /* size of the struct that the offsets mean */
    const char *const *settings; /* names of the settings it takes as flags; NULL-ended, or NULL */
    const struct ash_example *examples; /* ended by a NULL line; NULL = none */
    bool without_config; /* works even where the configuration is broken: files are not read */
    enum ash_status (*run)(struct ash_cli *cli);
};

/* One run of the program. What a command is given; read-only to it. */
struct ash_cli {
    const struct ash_command *command; /* NULL until one was named */
    struct ash_config config;
    void *options; /* the command's struct, filled */
    char **argument;
    int argument_count;
    bool quiet; /* --quiet: nothing but results and errors */
    bool color; /* standard output is to be colored */

    bool help, version;      /* as the flags say */
    const char *config_file; /* --config; NULL = the standard places */
};

/* The commands of this build, ended by NULL. */
extern const struct ash_command *const ash_commands[];
const struct ash_command *ash_command_find(const char *name); /* NULL when there is none */

/* An option or a setting as a command line sees it; what help and completions are made from. */
enum ash_flag_group { ASH_FLAG_OPTION, ASH_FLAG_SETTING, ASH_FLAG_COMMON };
enum { ASH_MAX_FLAGS = 96 };
struct ash_flag {
    enum ash_flag_group group;
    char name[32];
    char letter;
    const char *argument; /* NULL = a switch */
    const char *fallback; /* NULL = nothing worth saying */
    const char *help;
    const struct ash_choice *choices;
    bool files, directories;           /* what an argument is completed to */
    const struct ash_option *option;   /* this or */
    const struct ash_setting *setting; /* this */
};
struct ash_flags {
    struct ash_flag flag[ASH_MAX_FLAGS];
    size_t count;
};

/* The flags of a command, its own first; of the program itself for NULL. */
void ash_flags_of(const struct ash_command *command, struct ash_flags *out);

/*
 * Fills *cli from the words of a command line (argv[0] is the program). Positional words are moved to
 * the front of `argv`, which is borrowed as long as the cli. The caller ends *cli with
 * ash_cli_finish(), also after a failure. ASH_ERR_ARGUMENT with a message that says what to look at.
 */
enum ash_status ash_cli_parse(struct ash_cli *cli, int argc, char **argv);
void ash_cli_finish(struct ash_cli *cli);

/* What the program's exit codes mean, ended by a NULL meaning. */
struct ash_exit {
    int code;
    const char *meaning;
    enum ash_status status[3]; /* that end in it; ASH_OK fills up */
};
extern const struct ash_exit ash_exits[];
int ash_exit_code(enum ash_status status);

/* The whole program: parses, configures, runs, reports. Returns the exit code. */
int ash_cli_main(int argc, char **argv);

/* SPDX-License-Identifier: Apache-2.0 */
/* The command line parser on a table of commands of its own, which has every kind of option. */
#include "runtime/memory.h"
#include "tools/ashlar/cli.h"

#include <criterion/criterion.h>
#include <string.h>

struct options {
    bool yes, also;
    int64_t number;
    double real;
    int choice;
    const char *text;
    struct ash_option_list list;
};

static const struct ash_choice colours[] = { { "red", 1 }, { "blue", 2 }, { NULL, 0 } };

static const struct ash_option options[] = {
    { .name = "yes", .letter = 'y', .offset = offsetof(struct options, yes) },
    { .name = "also", .letter = 'a', .offset = offsetof(struct options, also) },
    { .name = "number",
        .letter = 'n',
        .type = ASH_OPTION_INTEGER,
        .offset = offsetof(struct options, number),
        .argument = "N",
        .least = -5,
        .most = 99,
        .fallback = "7" },
    { .name = "real",
        .type = ASH_OPTION_REAL,
        .offset = offsetof(struct options, real),
        .argument = "X",
        .most_real = 2,
        .fallback = "0.5" },
    { .name = "choice",
        .type = ASH_OPTION_CHOICE,
        .offset = offsetof(struct options, choice),
        .argument = "COLOUR",
        .choices = colours,
        .fallback = "blue" },
    { .name = "text",
        .type = ASH_OPTION_TEXT,
        .offset = offsetof(struct options, text),
        .argument = "TEXT" },
    { .name = "stop",
        .type = ASH_OPTION_LIST,
        .offset = offsetof(struct options, list),
        .argument = "TEXT" },
    { .name = NULL },
};

static enum ash_status run(struct ash_cli *cli)
{
    (void)cli;
    return ASH_OK;
}

static const struct ash_command try = {
    .name = "try",
    .arguments = "FILE [FILE]",
    .least_arguments = 1,
    .most_arguments = 2,
    .options = options,
    .options_bytes = sizeof(struct options),
    .settings = (const char *const[]){ "threads", "kv_type", NULL },
    .run = run,
};
static const struct ash_command any = {
    .name = "any", .arguments = "...", .most_arguments = -1, .run = run
};
const struct ash_command *const ash_commands[] = { &try, &any, NULL };

enum { MOST_WORDS = 48 };

/* A command line in the caller's storage, which the parser may write to. */
struct line {
    char text[512];
    char *word[MOST_WORDS];
    int count;
};

/* Words separated by single spaces; the first is the program. */
static void split(const char *text, struct line *out)
{
    snprintf(out->text, sizeof out->text, "ashlar %s", text);
    out->count = 0;
    for (char *at = out->text; at;) {
        cr_assert_lt(out->count, MOST_WORDS);
        out->word[out->count++] = at;
        at = strchr(at, ' ');
        if (at)
            *at++ = '\0';
    }
}

static enum ash_status parse(const char *text, struct line *line, struct ash_cli *cli)
{
    split(text, line);
    return ash_cli_parse(cli, line->count, line->word);
}

Test(options, every_kind_and_every_spelling_is_read)
{
    static const char *const lines[] = {
        "try --yes --number=-3 --real 1.5 --choice red --text=a=b --threads 4 --kv-type q8_0 file",
        "-q try file -y -n-3 --real=1.5 --choice=red --text a=b -t4 --kv-type=q8_0",
        "--quiet try -yn -3 file --real 1.5 --choice red --text a=b -t 4 --kv-type q8_0",
    };
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        struct line line;
        struct ash_cli cli;
        cr_assert_eq(parse(lines[i], &line, &cli), ASH_OK, "%s: %s", lines[i], ash_error());
        const struct options *read = cli.options;
        cr_assert(read->yes && !read->also);
        cr_assert_eq(read->number, -3);
        cr_assert_eq(read->real, 1.5);
        cr_assert_eq(read->choice, 1);
        cr_assert_str_eq(read->text, "a=b");
        cr_assert_eq(cli.config.threads, 4);
        cr_assert_eq(cli.argument_count, 1);
        cr_assert_str_eq(cli.argument[0], "file");
        cr_assert_eq(cli.quiet, i > 0);
        ash_cli_finish(&cli);
    }
}

Test(options, what_is_not_given_has_its_default)
{
    struct line line;
    struct ash_cli cli;
    cr_assert_eq(parse("try file", &line, &cli), ASH_OK);
    const struct options *read = cli.options;
    cr_assert(!read->yes && read->number == 7 && read->real == 0.5 && read->choice == 2);
    cr_assert(!read->text && read->list.count == 0);
    ash_cli_finish(&cli);
}

Test(options, a_list_takes_every_use_in_order_up_to_its_limit)
{
    struct line line;
    struct ash_cli cli;
    cr_assert_eq(parse("try f --stop a --stop=b --stop c", &line, &cli), ASH_OK);
    const struct options *read = cli.options;
    cr_assert_eq(read->list.count, 3u);
    cr_assert_str_eq(read->list.item[1], "b");
    ash_cli_finish(&cli);

    char many[512] = "try f";
    for (int i = 0; i <= ASH_OPTION_MAX_REPEATS; i++)
        strcat(many, " --stop=x");
    cr_assert_eq(parse(many, &line, &cli), ASH_ERR_ARGUMENT);
    ash_cli_finish(&cli);
}

Test(options, words_after_two_dashes_and_a_single_dash_are_arguments)
{
    struct line line;
    struct ash_cli cli;
    cr_assert_eq(parse("any - -- --yes -- -x", &line, &cli), ASH_OK, "%s", ash_error());
    static const char *const expected[] = { "-", "--yes", "--", "-x" };
    cr_assert_eq(cli.argument_count, 4);
    for (int i = 0; i < 4; i++)
        cr_assert_str_eq(cli.argument[i], expected[i]);
    ash_cli_finish(&cli);
}

Test(options, help_and_version_need_no_arguments)
{
    static const char *const lines[] = { "try --help", "try -h", "--help", "--version", "-V" };
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        struct line line;
        struct ash_cli cli;
        cr_assert_eq(parse(lines[i], &line, &cli), ASH_OK, "%s: %s", lines[i], ash_error());
        cr_assert(cli.help || cli.version);
        ash_cli_finish(&cli);
    }
}

Test(options, a_mistake_is_one_message_that_says_where_to_look)
{
    static const struct {
        const char *line, *message;
    } cases[] = {
        { "tyr", "unknown command \"tyr\"; did you mean \"try\"? (see \"ashlar help\")" },
        { "try f --numbre 3", "try: unknown option \"--numbre\"; did you mean \"--number\"? "
                              "(see \"ashlar help try\")" },
        { "try f --numbre=3", "try: unknown option \"--numbre\"; did you mean \"--number\"? "
                              "(see \"ashlar help try\")" },
        { "try f -z", "try: unknown option \"-z\" in \"-z\" (see \"ashlar help try\")" },
        { "try f -yz", "try: unknown option \"-z\" in \"-yz\" (see \"ashlar help try\")" },
        { "try f --number", "try: --number needs N (see \"ashlar help try\")" },
        { "try f -n", "try: -n needs N (see \"ashlar help try\")" },
        { "try f --number 100", "try: --number: expected a whole number from -5 to 99, found "
                                "\"100\" (see \"ashlar help try\")" },
        { "try f --number=", "try: --number: expected a whole number from -5 to 99, found \"\" "
                             "(see \"ashlar help try\")" },
        { "try f --real 3", "try: --real: expected a number from 0 to 2, found \"3\" "
                            "(see \"ashlar help try\")" },
        { "try f --choice rde", "try: --choice: expected red|blue, found \"rde\"; did you mean "
                                "\"red\"? (see \"ashlar help try\")" },
        { "try f --threads -1", "try: --threads: expected a whole number from 0 to 4096, found "
                                "\"-1\" (see \"ashlar help try\")" },
        { "try f --yes=1", "try: --yes takes no value (see \"ashlar help try\")" },
        { "try", "try: expected FILE [FILE] (see \"ashlar help try\")" },
        { "try a b c", "try: unexpected argument \"c\" (see \"ashlar help try\")" },
        { "any --threads 4", "any: unknown option \"--threads\" (see \"ashlar help any\")" },
        { "--yes try f", "unknown option \"--yes\" (see \"ashlar help\")" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct line line;
        struct ash_cli cli;
        cr_assert_eq(parse(cases[i].line, &line, &cli), ASH_ERR_ARGUMENT, "%s", cases[i].line);
        cr_assert_str_eq(ash_error(), cases[i].message);
        ash_cli_finish(&cli);
    }
}

Test(options, parsing_survives_every_failed_allocation)
{
    for (int64_t nth = 0;; nth++) {
        struct line line;
        struct ash_cli cli;
        ash_memory_fail_from(nth);
        enum ash_status status = parse("try f --threads 2", &line, &cli);
        ash_memory_fail_from(-1);
        ash_cli_finish(&cli);
        if (status == ASH_OK) {
            cr_assert_gt(nth, 4);
            break;
        }
        cr_assert_eq(status, ASH_ERR_NO_MEMORY);
    }
}

Test(options, every_status_has_an_exit_code_of_the_table)
{
    cr_assert_eq(ash_exit_code(ASH_OK), 0);
    for (int i = 1; i < ASH_STATUS_COUNT; i++)
        cr_assert_gt(ash_exit_code((enum ash_status)i), 1, "%s has no code of its own",
            ash_status_name((enum ash_status)i));
    cr_assert_eq(ash_exit_code((enum ash_status)999), 1);
}

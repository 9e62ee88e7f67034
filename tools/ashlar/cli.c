/* SPDX-License-Identifier: Apache-2.0 */
/* One run of the program from its command line to its exit code. */
#include "tools/ashlar/cli.h"
#include "runtime/json.h"
#include "runtime/log.h"
#include "tools/ashlar/help.h"

#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const struct ash_exit ash_exits[] = {
    { 0, "success", { ASH_OK } },
    { 1, "a failure that no other code names", { ASH_OK } },
    { 2, "the command line or a setting is wrong", { ASH_ERR_ARGUMENT } },
    { 3, "a file, model, device or name was not found", { ASH_ERR_NOT_FOUND } },
    { 4, "a file is malformed or is not the one that was pinned",
        { ASH_ERR_FORMAT, ASH_ERR_CHECKSUM } },
    { 5, "well-formed, but not something that this build or machine can do",
        { ASH_ERR_UNSUPPORTED, ASH_ERR_SHAPE } },
    { 6, "out of memory", { ASH_ERR_NO_MEMORY } },
    { 7, "reading or writing failed", { ASH_ERR_IO } },
    { 8, "the network failed; worth another try", { ASH_ERR_NETWORK } },
    { 9, "a device was lost or refused the work", { ASH_ERR_DEVICE } },
    { 10, "larger than a limit: context, pages, tokens", { ASH_ERR_LIMIT } },
    { 130, "stopped on request", { ASH_ERR_CANCELED } },
    { 141, "the reader of standard output went away", { ASH_OK } },
    { 0, NULL, { ASH_OK } },
};

enum { EXIT_CLOSED_PIPE = 141 };

int ash_exit_code(enum ash_status status)
{
    if (status == ASH_OK)
        return 0;
    for (const struct ash_exit *row = ash_exits; row->meaning; row++)
        for (size_t i = 0; i < sizeof row->status / sizeof *row->status; i++)
            if (row->status[i] == status)
                return row->code;
    return 1;
}

/*
 * Fills standard descriptors that the caller closed, or the next file opened would become one of them
 * and receive our output. The fillers cannot be used in the direction wanted, so writing still fails.
 */
static void fill_closed_descriptors(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 && errno == EBADF)
            (void)!open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
}

/*
 * A model is read where it is mapped: if another program cuts the file short, or its disk fails, the
 * read ends in SIGBUS. That is an error of reading like any other, in words and in exit code.
 */
static void on_bus_error(int signal)
{
    static const char message[] =
        "ashlar: a file was cut short or became unreadable while it was in "
        "use, most likely the model: check it, and run again\n";
    (void)signal;
    (void)!write(STDERR_FILENO, message, sizeof message - 1);
    _exit(ash_exit_code(ASH_ERR_IO));
}

static void catch_bus_errors(void)
{
    struct sigaction action = { .sa_handler = on_bus_error };
    sigaction(SIGBUS, &action, NULL);
}

static bool wants_color(const struct ash_config *config, int fd)
{
    if (config->color != ASH_COLOR_AUTO)
        return config->color == ASH_COLOR_ALWAYS;
    const char *off = getenv("NO_COLOR"), *terminal = getenv("TERM"); /* no-color.org */
    return isatty(fd) && !(off && *off) && !(terminal && strcmp(terminal, "dumb") == 0);
}

/* The log as the settings known so far want it. */
static void open_log(const struct ash_cli *cli)
{
    ash_log_open(&(struct ash_log_options){ .program = "ashlar",
        .level = (enum ash_log_level)cli->config.log_level,
        .format = (enum ash_log_format)cli->config.log_format,
        .color = wants_color(&cli->config, STDERR_FILENO) });
}

static enum ash_status run(struct ash_cli *cli)
{
    if (cli->version) {
        puts("ashlar " ASH_VERSION);
        return ASH_OK;
    }
    if (cli->help) {
        ash_help_print(cli->command, stdout);
        return ASH_OK;
    }
    if (!cli->command)
        return ash_fail(ASH_ERR_ARGUMENT, "expected a command (see \"ashlar help\")");
    if (!cli->command->without_config)
        ASH_TRY(ash_config_load(&cli->config, cli->config_file));
    open_log(cli);
    cli->color = wants_color(&cli->config, STDOUT_FILENO);
    return cli->command->run(cli);
}

/* True when standard output is a pipe that nobody will read any more. */
static bool pipe_is_closed(void)
{
    struct pollfd out = { .fd = STDOUT_FILENO, .events = POLLOUT };
    return poll(&out, 1, 0) == 1 && (out.revents & POLLERR);
}

/* What a command wrote counts as done only when it has arrived. */
static enum ash_status flush_output(void)
{
    errno = 0;
    if (fflush(stdout) == 0 && !ferror(stdout))
        return ASH_OK;
    return ash_fail(ASH_ERR_IO, "cannot write to standard output%s%s", errno ? ": " : "",
        errno ? strerror(errno) : "");
}

int ash_cli_main(int argc, char **argv)
{
    struct ash_cli cli;
    fill_closed_descriptors();
    catch_bus_errors();
    setlocale(LC_CTYPE, "");
    ash_json_init();
    enum ash_status status = ash_cli_parse(&cli, argc, argv);
    open_log(&cli);
    if (status == ASH_OK)
        status = run(&cli);
    if (status == ASH_OK)
        status = flush_output();
    int code = ash_exit_code(status);
    if (status == ASH_ERR_IO && pipe_is_closed())
        code = EXIT_CLOSED_PIPE; /* as if SIGPIPE had ended us, where it is ignored */
    else if (status != ASH_OK)
        ash_log(ASH_LOG_ERROR, "%s", ash_error());
    ash_cli_finish(&cli);
    return code;
}

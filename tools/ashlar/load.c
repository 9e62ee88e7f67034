/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/ashlar/load.h"

#include "drivers/cards.h"
#include "runtime/log.h"
#include "runtime/memory.h"
#include "runtime/trace.h"
#include "tools/ashlar/progress.h"

#include <unistd.h>

enum { MOMENT_NS = 500 * 1000 * 1000 };

/* The bar appears only when loading has taken a moment, and says nothing where nobody looks. */
struct bar {
    struct ash_progress progress;
    int64_t start_ns;
    bool wanted, shown;
};

static bool on_progress(void *context, uint64_t done_bytes, uint64_t total_bytes)
{
    struct bar *bar = context;
    if (bar->wanted && !bar->shown && ash_now_ns() - bar->start_ns > MOMENT_NS) {
        bar->shown = true;
        ash_progress_start(&bar->progress, "loading", total_bytes, 0, false);
    }
    if (bar->shown)
        ash_progress_update(&bar->progress, done_bytes);
    return true;
}

static enum ash_status open_model(
    struct ash_cli *cli, const struct ash_model_options *options, struct ash_loaded_model *loaded)
{
    struct bar bar = { .start_ns = ash_now_ns(), .wanted = !cli->quiet && isatty(STDERR_FILENO) };
    struct ash_model_options all = options ? *options : (struct ash_model_options){ 0 };
    all.load.progress = on_progress;
    all.load.context = &bar;
    char *path;
    ASH_TRY(ash_model_find(&loaded->runtime->config, loaded->name, &path));
    enum ash_status status = ash_model_open(loaded->runtime, path, &all, &loaded->model);
    if (bar.shown)
        ash_progress_finish(&bar.progress);
    ash_free(path);
    return status;
}

/* A card that stands idle is nothing to be silent about. */
static void tell_unused(const struct ash_runtime *runtime)
{
    char names[256];
    if (ash_cards_unused(runtime, names, sizeof names) == ASH_OK && names[0])
        ash_log(ASH_LOG_WARN,
            "not used: %s; auto takes a card once it has been measured: ashlar plan --measure --device "
            "%s,%s",
            names, runtime->device[0]->driver->name, names);
}

enum ash_status ash_load(
    struct ash_cli *cli, const struct ash_model_options *options, struct ash_loaded_model *out)
{
    struct ash_loaded_model loaded = { .name = ash_strdup(cli->config.model) };
    if (!loaded.name)
        return ash_fail_memory(1, "the model's name");
    enum ash_status status = ash_runtime_open(&cli->config, &loaded.runtime);
    if (status == ASH_OK && !cli->quiet && !(options && options->shape_only))
        tell_unused(loaded.runtime);
    if (status == ASH_OK)
        status = open_model(cli, options, &loaded);
    if (status != ASH_OK) {
        ash_unload(&loaded);
        return status;
    }
    *out = loaded;
    return ASH_OK;
}

void ash_unload(struct ash_loaded_model *loaded)
{
    if (loaded->model && loaded->model->devices.lost[0])
        ash_log(ASH_LOG_WARN, "%s", loaded->model->devices.lost);
    ash_model_destroy(loaded->model);
    ash_runtime_destroy(loaded->runtime);
    ash_free(loaded->name);
    *loaded = (struct ash_loaded_model){ 0 };
}

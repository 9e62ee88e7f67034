/* SPDX-License-Identifier: Apache-2.0 */
/* The models that are known or here: list, show, remove. */
#include "tools/ashlar/models.h"

#include "runtime/json.h"
#include "runtime/memory.h"
#include "tools/ashlar/commands.h"
#include "tools/ashlar/show.h"
#include "tools/ashlar/table.h"
#include "tools/pull/pull.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct options {
    bool json;
};

static const struct ash_option options[] = {
    { .name = "json", .offset = offsetof(struct options, json), .help = "write JSON" },
    { .name = NULL },
};

static const struct ash_column columns[] = {
    { "NAME", "name", ASH_ALIGN_LEFT },
    { "STATE", "state", ASH_ALIGN_LEFT },
    { "SIZE", "size_bytes", ASH_ALIGN_RIGHT },
    { "LICENCE", "licence", ASH_ALIGN_LEFT },
    { "FILE", "file", ASH_ALIGN_LEFT },
};

static void add_row(struct ash_table *table, const char *name, const char *state,
    uint64_t size_bytes, const char *licence, const char *file)
{
    ash_table_text(table, name);
    ash_table_text(table, state);
    ash_table_bytes(table, size_bytes);
    ash_table_text(table, licence && *licence ? licence : NULL);
    ash_table_text(table, file);
}

/* Whether the directory has the file; its size. */
static bool is_here(const char *models_dir, const char *file, uint64_t *size_bytes)
{
    struct stat info;
    char *path = ash_format("%s/%s", models_dir, file);
    bool here = path && stat(path, &info) == 0 && S_ISREG(info.st_mode);
    if (here)
        *size_bytes = (uint64_t)info.st_size;
    ash_free(path);
    return here;
}

static void add_known(
    struct ash_table *table, const struct ash_registry *registry, const char *models_dir)
{
    for (size_t i = 0; i < ash_registry_count(registry); i++) {
        const struct ash_model_entry *entry = ash_registry_at(registry, i);
        uint64_t size_bytes = entry->size_bytes;
        if (ash_registry_find(registry, entry->name) != entry)
            continue; /* replaced by the user's */
        bool here = is_here(models_dir, entry->file, &size_bytes);
        const char *state = here                                              ? "here"
                            : ash_pull_partial_bytes(models_dir, entry->file) ? "partial"
                                                                              : "known";
        add_row(table, entry->name, state, size_bytes, entry->licence, entry->file);
    }
}

static int is_model(const struct dirent *item)
{
    return ash_model_check_file_name(item->d_name) == ASH_OK;
}

/* Files of the directory that no entry speaks of. */
static enum ash_status add_files(
    struct ash_table *table, const struct ash_registry *registry, const char *models_dir)
{
    struct dirent **items = NULL;
    int count = scandir(models_dir, &items, is_model, alphasort);
    if (count < 0 && errno != ENOENT)
        return ash_fail(ASH_ERR_IO, "cannot read %s: %s", models_dir, strerror(errno));
    for (int i = 0; i < count; i++) {
        uint64_t size_bytes = 0;
        char *file = items[i]->d_name, *name = ash_strndup(file, strlen(file) - strlen(".gguf"));
        if (!ash_registry_find_file(registry, file) && is_here(models_dir, file, &size_bytes))
            add_row(table, name, "here", size_bytes, NULL, file);
        ash_free(name);
        free(items[i]); /* scandir's */
    }
    free(items);
    return ASH_OK;
}

static enum ash_status print_table(const struct ash_table *table, bool as_json)
{
    if (!as_json)
        return ash_table_print(table, stdout);
    json_t *json = ash_table_json(table);
    enum ash_status status = ash_json_print(json, stdout);
    json_decref(json);
    return status;
}

static enum ash_status list(
    const struct ash_registry *registry, const struct ash_config *config, bool json)
{
    struct ash_table *table = NULL;
    ASH_TRY(ash_table_create(columns, sizeof columns / sizeof columns[0], &table));
    add_known(table, registry, config->models_dir);
    enum ash_status status = add_files(table, registry, config->models_dir);
    if (status == ASH_OK)
        status = print_table(table, json);
    ash_table_destroy(table);
    return status;
}

static enum ash_status show(const struct ash_registry *registry, const struct ash_config *config,
    const char *name, bool json)
{
    char *path = NULL;
    const struct ash_model_entry *entry = ash_registry_find(registry, name);
    enum ash_status status = ash_model_locate(registry, config->models_dir, name, &path);
    if (status == ASH_OK || (status == ASH_ERR_NOT_FOUND && entry)) {
        const char *slash = path ? strrchr(path, '/') : NULL;
        if (!entry && slash)
            entry = ash_registry_find_file(registry, slash + 1);
        status = ash_models_show(path, entry, config, json);
    }
    ash_free(path);
    return status;
}

/* A name or alias, or a file of the directory with or without its ending; never a path. */
static enum ash_status remove_model(const struct ash_registry *registry,
    const struct ash_config *config, const char *name, bool json)
{
    const struct ash_model_entry *entry = ash_registry_find(registry, name);
    size_t length = strlen(name);
    bool ends = length > 5 && strcmp(name + length - 5, ".gguf") == 0;
    char *file = entry ? ash_strdup(entry->file) : ash_format("%s%s", name, ends ? "" : ".gguf");
    char size[ASH_SHOW_BYTES];
    uint64_t freed = 0;
    enum ash_status status = file ? ash_pull_remove(config->models_dir, file, &freed)
                                  : ash_fail_memory(length, "a file name");
    if (status == ASH_OK && json) {
        json_t *object = json_pack("{s:s, s:I}", "removed", file, "freed_bytes", (json_int_t)freed);
        status = ash_json_print(object, stdout);
        json_decref(object);
    } else if (status == ASH_OK) {
        printf("removed %s, %s freed\n", file, ash_show_bytes(freed, size));
    }
    ash_free(file);
    return status;
}

static enum ash_status act(struct ash_cli *cli, const struct ash_registry *registry)
{
    bool json = ((const struct options *)cli->options)->json;
    const char *action = cli->argument_count ? cli->argument[0] : "list";
    const char *name = cli->argument_count > 1 ? cli->argument[1] : NULL;
    if (strcmp(action, "list") == 0 && !name)
        return list(registry, &cli->config, json);
    if (strcmp(action, "show") == 0)
        return show(registry, &cli->config, name ? name : cli->config.model, json);
    if (strcmp(action, "remove") == 0 && name)
        return remove_model(registry, &cli->config, name, json);
    return ash_fail(ASH_ERR_ARGUMENT,
        "models: expected list, show [MODEL] or remove MODEL, found \"%s%s%s\"", action,
        name ? " " : "", name ? name : "");
}

static enum ash_status run(struct ash_cli *cli)
{
    struct ash_registry *registry = NULL;
    ASH_TRY(ash_registry_load(cli->config.registry, &registry));
    enum ash_status status = act(cli, registry);
    ash_registry_destroy(registry);
    return status;
}

static const char *const settings[] = { "models_dir", "registry", "context", "kv_type", NULL };

static const struct ash_example examples[] = {
    { "ashlar models", "List what is known and what is here." },
    { "ashlar models show smollm2 --context 2048", "See what is in it, and the memory it takes." },
    { "ashlar models show ./model.gguf --json", "The same of any file, for a program." },
    { "ashlar models remove smollm2", "Free its space." },
    { NULL, NULL },
};

const struct ash_command ash_command_models = {
    .name = "models",
    .summary = "list, show or remove models",
    .arguments = "[list | show [MODEL] | remove MODEL]",
    .most_arguments = 2,
    .description =
        "Lists the models known by name and those in the models directory; shows what is in one "
        "(architecture, formats, context, the memory it needs), or in any file; removes one.\n\n"
        "More models can be made known by name with a file of your own (the setting registry).",
    .options = options,
    .options_bytes = sizeof(struct options),
    .settings = settings,
    .examples = examples,
    .run = run,
};

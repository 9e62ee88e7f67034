/* SPDX-License-Identifier: Apache-2.0 */
#include "models/registry.h"

#include "models/registry_internal.h"
#include "runtime/memory.h"

#include <errno.h>
#include <jansson.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

/* Made from registry.json by the build. */
extern const unsigned char ash_registry_json[];
extern const size_t ash_registry_json_bytes;

enum { MAX_FILE_BYTES = 1 << 20 };

struct ash_registry {
    struct ash_model_entry *entry;
    size_t count, capacity;
};

static bool known_as(const struct ash_model_entry *entry, const char *name)
{
    for (const char *const *alias = entry->aliases; *alias; alias++)
        if (strcasecmp(*alias, name) == 0)
            return true;
    return strcasecmp(entry->name, name) == 0;
}

/* A name may be given again by a later list, never twice in one: `first` is where this list begins. */
static enum ash_status check_unique(
    const struct ash_registry *registry, size_t first, const struct ash_model_entry *entry)
{
    for (size_t i = first; i < registry->count; i++) {
        if (known_as(&registry->entry[i], entry->name))
            return ash_fail(ASH_ERR_FORMAT, "the name is given twice");
        for (const char *const *alias = entry->aliases; *alias; alias++)
            if (known_as(&registry->entry[i], *alias))
                return ash_fail(ASH_ERR_FORMAT, "the alias \"%s\" is given twice", *alias);
    }
    return ASH_OK;
}

static enum ash_status add_entry(struct ash_registry *registry, size_t first, const json_t *json)
{
    struct ash_model_entry entry = { 0 };
    ASH_TRY(ASH_GROW(registry->entry, registry->capacity, registry->count));
    enum ash_status status = ash_registry_entry_read(json, &entry);
    if (status == ASH_OK)
        status = check_unique(registry, first, &entry);
    if (status != ASH_OK) {
        const char *name = json_string_value(json_object_get(json, "name"));
        ash_registry_entry_finish(&entry);
        return ash_fail_in(
            status, "model %zu (%s)", registry->count - first + 1, name ? name : "no name");
    }
    entry.from_user = first > 0;
    registry->entry[registry->count++] = entry;
    return ASH_OK;
}

static enum ash_status add_list(struct ash_registry *registry, const json_t *root)
{
    const json_t *models = json_object_get(root, "models"), *item;
    size_t index, first = registry->count;
    if (!json_is_array(models) || json_object_size(root) != 1)
        return ash_fail(ASH_ERR_FORMAT, "expected {\"models\": [...]} and nothing beside it");
    json_array_foreach(models, index, item) ASH_TRY(add_entry(registry, first, item));
    return ASH_OK;
}

static enum ash_status add_text(struct ash_registry *registry, const char *text, size_t length)
{
    json_error_t error;
    json_t *root = json_loadb(text, length, JSON_REJECT_DUPLICATES, &error);
    /* Where jansson runs out of memory it mostly just gives up, without a word. */
    if (!root && (json_error_code(&error) == json_error_out_of_memory || !error.text[0]))
        return ash_fail_memory(length, "a list of models");
    if (!root)
        return ash_fail(ASH_ERR_FORMAT, "line %d: %s", error.line, error.text);
    enum ash_status status = add_list(registry, root);
    json_decref(root);
    return status;
}

static enum ash_status add_open_file(struct ash_registry *registry, FILE *file)
{
    char *text = ash_alloc(MAX_FILE_BYTES + 1);
    if (!text)
        return ash_fail_memory(MAX_FILE_BYTES + 1, "a list of models");
    size_t length = fread(text, 1, MAX_FILE_BYTES + 1, file);
    enum ash_status status;
    if (ferror(file))
        status = ash_fail(ASH_ERR_IO, "cannot read the list of models: %s", strerror(errno));
    else if (length > MAX_FILE_BYTES)
        status = ash_fail(ASH_ERR_FORMAT, "a list of models of more than %d bytes", MAX_FILE_BYTES);
    else
        status = add_text(registry, text, length);
    ash_free(text);
    return status;
}

static enum ash_status add_user_file(struct ash_registry *registry, const char *path)
{
    FILE *file = fopen(path, "re");
    if (!file && (errno == ENOENT || errno == ENOTDIR))
        return ASH_OK;
    if (!file)
        return ash_fail(ASH_ERR_IO, "cannot open the list of models: %s", strerror(errno));
    enum ash_status status = add_open_file(registry, file);
    fclose(file);
    return status;
}

enum ash_status ash_registry_load(const char *user_file, struct ash_registry **out)
{
    struct ash_registry *registry = ash_alloc_zero(sizeof *registry);
    if (!registry)
        return ash_fail_memory(sizeof *registry, "the registry");
    enum ash_status status =
        ash_fail_in(add_text(registry, (const char *)ash_registry_json, ash_registry_json_bytes),
            "the built-in list of models");
    if (status == ASH_OK && user_file)
        status = ash_fail_in(add_user_file(registry, user_file), "%s", user_file);
    if (status == ASH_OK)
        *out = registry;
    else
        ash_registry_destroy(registry);
    return status;
}

void ash_registry_destroy(struct ash_registry *registry)
{
    if (!registry)
        return;
    for (size_t i = 0; i < registry->count; i++)
        ash_registry_entry_finish(&registry->entry[i]);
    ash_free(registry->entry);
    ash_free(registry);
}

size_t ash_registry_count(const struct ash_registry *registry)
{
    return registry->count;
}

const struct ash_model_entry *ash_registry_at(const struct ash_registry *registry, size_t index)
{
    return &registry->entry[index];
}

const struct ash_model_entry *ash_registry_find(
    const struct ash_registry *registry, const char *name)
{
    for (size_t i = registry->count; i-- > 0;) /* the user's entries come last and win */
        if (known_as(&registry->entry[i], name))
            return &registry->entry[i];
    return NULL;
}

const struct ash_model_entry *ash_registry_find_file(
    const struct ash_registry *registry, const char *file)
{
    for (size_t i = registry->count; i-- > 0;)
        if (strcmp(registry->entry[i].file, file) == 0)
            return &registry->entry[i];
    return NULL;
}

static bool is_file(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && !S_ISDIR(info.st_mode);
}

/* Replaces *path by a fresh "a/bc" where that is a file. */
static enum ash_status try_path(
    const char *folder, const char *name, const char *ending, char **path)
{
    char *candidate = ash_format("%s/%s%s", folder, name, ending);
    if (!candidate)
        return ash_fail_memory(strlen(folder) + strlen(name), "a path");
    if (!*path && is_file(candidate))
        *path = candidate;
    else
        ash_free(candidate);
    return ASH_OK;
}

static enum ash_status not_there(
    const struct ash_model_entry *entry, const char *models_dir, const char *name)
{
    if (entry)
        return ash_fail(ASH_ERR_NOT_FOUND,
            "the model %s is not on this machine yet: `ashlar pull %s` fetches it (%llu MB)",
            entry->name, entry->name, (unsigned long long)(entry->size_bytes / 1000000 + 1));
    return ash_fail(ASH_ERR_NOT_FOUND,
        "there is no model \"%s\": not a file, not in %s, and not a name that `ashlar models` lists",
        name, models_dir);
}

enum ash_status ash_model_locate(
    const struct ash_registry *registry, const char *models_dir, const char *name, char **path_out)
{
    char *path = NULL;
    const struct ash_model_entry *entry = NULL;
    enum ash_status status = ASH_OK;
    if (strchr(name, '/')) {
        if (!is_file(name))
            return ash_fail(ASH_ERR_NOT_FOUND, "%s: no such model file", name);
        path = ash_strdup(name);
        status = path ? ASH_OK : ash_fail_memory(strlen(name), "a path");
    } else if ((entry = ash_registry_find(registry, name))) {
        status = try_path(models_dir, entry->file, "", &path);
    } else if (name[0] && name[0] != '.') {
        status = try_path(models_dir, name, "", &path);
        if (status == ASH_OK)
            status = try_path(models_dir, name, ".gguf", &path);
        if (status == ASH_OK)
            status = try_path(".", name, "", &path);
    }
    if (status == ASH_OK && !path)
        status = not_there(entry, models_dir, name);
    if (status == ASH_OK)
        *path_out = path;
    else
        ash_free(path);
    return status;
}

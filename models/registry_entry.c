/* SPDX-License-Identifier: Apache-2.0 */
/* What may stand in an entry. The names and values end up as file names and arguments of programs. */
#include "models/registry_internal.h"
#include "runtime/memory.h"

#include <ctype.h>
#include <string.h>

enum { MAX_NAME_BYTES = 63, MAX_FILE_NAME_BYTES = 200, MAX_TEXT_BYTES = 1000 };

static const char NAME_LETTERS[] = "abcdefghijklmnopqrstuvwxyz0123456789._:-";
static const char PACKAGE_LETTERS[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
static const char VERSION_LETTERS[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._+!-";

static bool is_word(const char *text, const char *letters, size_t most)
{
    size_t length = strlen(text);
    return length > 0 && length <= most && strspn(text, letters) == length &&
           isalnum((unsigned char)text[0]);
}

static bool is_printable(const char *text, size_t most)
{
    size_t length = strlen(text);
    for (size_t i = 0; i < length; i++)
        if ((unsigned char)text[i] < ' ' || text[i] == 0x7F)
            return false;
    return length <= most;
}

static bool is_name(const char *text)
{
    return is_word(text, NAME_LETTERS, MAX_NAME_BYTES);
}

static bool is_package(const char *text)
{
    return is_word(text, PACKAGE_LETTERS, MAX_NAME_BYTES);
}

static bool is_version(const char *text)
{
    return is_word(text, VERSION_LETTERS, MAX_NAME_BYTES);
}

static bool is_text(const char *text)
{
    return is_printable(text, MAX_TEXT_BYTES);
}

static bool is_sha256(const char *text)
{
    return strlen(text) == 64 && strspn(text, "0123456789abcdef") == 64;
}

static bool is_url(const char *text)
{
    static const char *const schemes[] = { "https://", "http://", "file:///" };
    for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++)
        if (strncmp(text, schemes[i], strlen(schemes[i])) == 0)
            return is_text(text) && strchr(text, ' ') == NULL;
    return false;
}

static bool is_file_name(const char *text)
{
    size_t length = strlen(text);
    for (size_t i = 0; i < length; i++)
        if (text[i] < ' ' || text[i] > '~' || text[i] == '/')
            return false;
    return length > 5 && length <= MAX_FILE_NAME_BYTES && text[0] != '.' && text[0] != '-' &&
           strcmp(text + length - 5, ".gguf") == 0;
}

enum ash_status ash_model_check_file_name(const char *name)
{
    if (is_file_name(name))
        return ASH_OK;
    return ash_fail(ASH_ERR_ARGUMENT,
        "\"%.200s\" cannot be the name of a model file: expected printable ASCII without '/', not "
        "beginning with '.' or '-', ending in .gguf",
        name);
}

static enum ash_status check_known(const json_t *json, const char *const known[])
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)json, key, value)
    {
        size_t i = 0;
        while (known[i] && strcmp(known[i], key) != 0)
            i++;
        if (!known[i])
            return ash_fail(ASH_ERR_FORMAT, "unknown field \"%s\"", key);
    }
    return ASH_OK;
}

static enum ash_status read_text(const json_t *json, const char *field, bool (*valid)(const char *),
    const char *what, const char **out)
{
    const json_t *value = json_object_get(json, field);
    const char *text = json_string_value(value);
    if (!text || strlen(text) != json_string_length(value) || !valid(text))
        return ash_fail(ASH_ERR_FORMAT, "\"%s\" must be %s", field, what);
    *out = ash_strdup(text);
    return *out ? ASH_OK : ash_fail_memory(strlen(text), "a list of models");
}

static enum ash_status read_size(
    const json_t *json, const char *field, json_int_t least, uint64_t *out)
{
    const json_t *value = json_object_get(json, field);
    json_int_t size = json_integer_value(value);
    if (!json_is_integer(value) || size < least || size > (json_int_t)1 << 50)
        return ash_fail(ASH_ERR_FORMAT, "\"%s\" must be a number of bytes", field);
    *out = (uint64_t)size;
    return ASH_OK;
}

static enum ash_status read_aliases(const json_t *json, struct ash_model_entry *entry)
{
    const json_t *list = json_object_get(json, "aliases");
    size_t count = json_array_size(list);
    if (list && !json_is_array(list))
        return ash_fail(ASH_ERR_FORMAT, "\"aliases\" must be a list of names");
    const char **aliases = ash_alloc_array(count + 1, sizeof *aliases);
    if (!aliases)
        return ash_fail_memory(count * sizeof *aliases, "a list of models");
    entry->aliases = aliases;
    for (size_t i = 0; i < count; i++) {
        const char *alias = json_string_value(json_array_get(list, i));
        if (!alias || !is_name(alias))
            return ash_fail(ASH_ERR_FORMAT, "alias %zu must be a name like smollm2-135m", i + 1);
        if (!(aliases[i] = ash_strdup(alias)))
            return ash_fail_memory(strlen(alias), "a list of models");
    }
    return ASH_OK;
}

static enum ash_status read_pypi(const json_t *json, struct ash_model_entry *entry)
{
    static const char *const fields[] = { "package", "version", "member", "wheel_bytes", NULL };
    if (!json_is_object(json))
        return ash_fail(ASH_ERR_FORMAT, "\"pypi\" must be {\"package\", \"version\", \"member\"}");
    ASH_TRY(check_known(json, fields));
    ASH_TRY(read_text(json, "package", is_package, "a package's name", &entry->package));
    ASH_TRY(read_text(json, "version", is_version, "one exact version", &entry->version));
    ASH_TRY(read_text(json, "member", is_text, "a path inside the wheel", &entry->member));
    if (json_object_get(json, "wheel_bytes"))
        ASH_TRY(read_size(json, "wheel_bytes", 0, &entry->wheel_bytes));
    return ASH_OK;
}

enum ash_status ash_registry_entry_read(const json_t *json, struct ash_model_entry *entry)
{
    static const char *const fields[] = { "name", "aliases", "description", "licence", "file",
        "size_bytes", "sha256", "url", "pypi", NULL };
    const json_t *url = json_object_get(json, "url"), *pypi = json_object_get(json, "pypi");
    if (!json_is_object(json))
        return ash_fail(ASH_ERR_FORMAT, "a model must be an object");
    ASH_TRY(check_known(json, fields));
    ASH_TRY(read_text(json, "name", is_name, "a name like smollm2", &entry->name));
    ASH_TRY(read_aliases(json, entry));
    ASH_TRY(read_text(json, "description", is_text, "one line of text", &entry->description));
    ASH_TRY(read_text(json, "licence", is_text, "an SPDX expression", &entry->licence));
    ASH_TRY(read_text(json, "file", is_file_name, "a file name ending in .gguf", &entry->file));
    ASH_TRY(read_size(json, "size_bytes", 1, &entry->size_bytes));
    ASH_TRY(
        read_text(json, "sha256", is_sha256, "64 lower-case hexadecimal digits", &entry->sha256));
    if ((url != NULL) == (pypi != NULL))
        return ash_fail(ASH_ERR_FORMAT, "expected exactly one of \"url\" and \"pypi\"");
    if (url)
        return read_text(json, "url", is_url, "an http, https or file URL", &entry->url);
    return read_pypi(pypi, entry);
}

static void free_text(const char *text)
{
    ash_free((void *)(uintptr_t)text);
}

void ash_registry_entry_finish(struct ash_model_entry *entry)
{
    const char *const *aliases = entry->aliases;
    for (size_t i = 0; aliases && aliases[i]; i++)
        free_text(aliases[i]);
    ash_free((void *)(uintptr_t)aliases);
    const char *texts[] = { entry->name, entry->description, entry->licence, entry->file,
        entry->sha256, entry->url, entry->package, entry->version, entry->member };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        free_text(texts[i]);
}

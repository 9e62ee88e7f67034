/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/config.h"
#include "runtime/log.h"
#include "runtime/memory.h"
#include "runtime/tensor.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct ash_config defaults(void)
{
    struct ash_config config;
    cr_assert_eq(ash_config_init(&config), ASH_OK, "%s", ash_error());
    return config;
}

static enum ash_status read_yaml(struct ash_config *config, const char *text)
{
    return ash_config_read_text(config, "c.yaml", text, strlen(text), ASH_SOURCE_USER_FILE);
}

/* A directory that goes away with the test's process being well behaved: files are small. */
static char *scratch_directory(void)
{
    static char path[] = "/tmp/ashlar-config-XXXXXX";
    cr_assert_not_null(mkdtemp(path));
    return path;
}

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    cr_assert_not_null(file);
    fputs(text, file);
    fclose(file);
}

Test(config, every_setting_has_a_good_default_and_a_description)
{
    struct ash_config config = defaults();
    for (const struct ash_setting *setting = ash_settings(); setting->name; setting++) {
        cr_assert(setting->help && setting->unit && setting->fallback, "%s", setting->name);
        char text[256];
        cr_assert_neq(*ash_config_describe(&config, setting, text, sizeof text), '\0');
        cr_assert_str_eq(ash_config_source_name(&config, setting), "default");
        cr_assert_eq(ash_setting_find(setting->name), setting);
        for (const struct ash_setting *other = setting + 1; other->name; other++)
            cr_assert(!setting->letter || setting->letter != other->letter, "-%c means two things",
                setting->letter);
    }
    cr_assert_str_eq(config.model, "smollm2");
    cr_assert_eq(config.batch_tokens, 512);
    cr_assert_eq(config.kv_type, ASH_KV_AUTO);
    ash_config_finish(&config);
}

Test(config, the_three_spellings_of_a_name_come_from_one)
{
    const struct ash_setting *setting = ash_setting_find("batch-tokens");
    cr_assert_eq(setting, ash_setting_find("batch_tokens"));
    char text[64];
    cr_assert_str_eq(setting->name, "batch_tokens");
    cr_assert_str_eq(ash_setting_flag(setting, text, sizeof text), "batch-tokens");
    cr_assert_str_eq(ash_setting_variable(setting, text, sizeof text), "ASHLAR_BATCH_TOKENS");
    cr_assert_null(ash_setting_find("batch"));
    cr_assert_null(ash_setting_find("batch-tokens-"));
}

/* Each row gives some sources a value; the strongest one wins, whatever the order of reading. */
Test(config, a_stronger_source_wins_in_any_order)
{
    static const struct {
        const char *system_file, *user_file, *environment, *flag, *winner;
    } cases[] = {
        { NULL, NULL, NULL, NULL, "0" },
        { "1", NULL, NULL, NULL, "1" },
        { "1", "2", NULL, NULL, "2" },
        { "1", "2", "3", NULL, "3" },
        { "1", "2", "3", "4", "4" },
        { NULL, NULL, "3", NULL, "3" },
        { NULL, "2", NULL, "4", "4" },
        { "1", NULL, "3", "0", "0" },
    };
    const struct ash_setting *setting = ash_setting_find("threads");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *texts[] = { cases[i].system_file, cases[i].user_file, cases[i].environment,
            cases[i].flag };
        for (int backwards = 0; backwards < 2; backwards++) {
            struct ash_config config = defaults();
            for (int j = 0; j < 4; j++) {
                int from = backwards ? 3 - j : j;
                if (texts[from])
                    cr_assert_eq(ash_config_set(&config, setting, texts[from],
                                     (enum ash_config_source)(ASH_SOURCE_SYSTEM_FILE + from)),
                        ASH_OK);
            }
            char text[32];
            cr_assert_str_eq(
                ash_config_describe(&config, setting, text, sizeof text), cases[i].winner);
            ash_config_finish(&config);
        }
    }
}

Test(config, load_lays_file_environment_and_flags_over_each_other)
{
    char *directory = scratch_directory(), path[192], folder[128];
    snprintf(folder, sizeof folder, "%s/ashlar", directory);
    mkdir(folder, 0700);
    snprintf(path, sizeof path, "%s/config.yaml", folder);
    write_file(path, "threads: 2\ncontext: 2048\nmodel: from-file\n");
    setenv("XDG_CONFIG_HOME", directory, 1);
    setenv("ASHLAR_CONTEXT", "4096", 1);
    setenv("ASHLAR_MODEL", "from-environment", 1);
    setenv("ASHLAR_SEED", "", 1); /* empty = not set */

    struct ash_config config = defaults();
    cr_assert_eq(
        ash_config_set(&config, ash_setting_find("model"), "from-flag", ASH_SOURCE_FLAG), ASH_OK);
    cr_assert_eq(ash_config_load(&config, NULL), ASH_OK, "%s", ash_error());
    cr_assert_eq(config.threads, 2);
    cr_assert_eq(config.context, 4096);
    cr_assert_str_eq(config.model, "from-flag");
    cr_assert_eq(config.seed, -1);
    cr_assert_str_eq(ash_config_source_name(&config, ash_setting_find("threads")), "user file");
    ash_config_finish(&config);

    unlink(path);
    rmdir(folder);
    rmdir(directory);
}

Test(config, a_named_file_must_exist_and_be_a_file)
{
    struct ash_config config = defaults();
    cr_assert_eq(ash_config_load(&config, "/nowhere/c.yaml"), ASH_ERR_NOT_FOUND);
    cr_assert(strstr(ash_error(), "/nowhere/c.yaml"));
    cr_assert_eq(ash_config_load(&config, "/"), ASH_ERR_IO);
    cr_assert_eq(ash_config_load(&config, "/dev/zero"), ASH_ERR_LIMIT);
    ash_config_finish(&config);
}

Test(config, a_bad_environment_variable_is_named)
{
    setenv("ASHLAR_THREADS", "many", 1);
    struct ash_config config = defaults();
    cr_assert_eq(ash_config_load(&config, "/dev/null"), ASH_ERR_ARGUMENT);
    cr_assert_str_eq(
        ash_error(), "ASHLAR_THREADS: expected a whole number from 0 to 4096, found \"many\"");
    ash_config_finish(&config);
}

Test(config, paths_follow_the_xdg_variables_and_the_home)
{
    static const struct {
        const char *home, *data, *text, *path;
    } cases[] = {
        { "/home/u", NULL, "$XDG_DATA_HOME/ashlar/models", "/home/u/.local/share/ashlar/models" },
        { "/home/u", "/data", "$XDG_DATA_HOME/ashlar/models", "/data/ashlar/models" },
        { "/home/u", "relative", "$XDG_DATA_HOME/m", "/home/u/.local/share/m" },
        { "/home/u", NULL, "~/m", "/home/u/m" },
        { "/home/u", NULL, "~other/m", "~other/m" },
        { "/home/u", NULL, "$XDG_DATA_HOMER/m", "$XDG_DATA_HOMER/m" },
        { "/home/u", NULL, "/srv/m", "/srv/m" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        setenv("HOME", cases[i].home, 1);
        unsetenv("XDG_DATA_HOME");
        if (cases[i].data)
            setenv("XDG_DATA_HOME", cases[i].data, 1);
        struct ash_config config = defaults();
        const struct ash_setting *setting = ash_setting_find("models_dir");
        cr_assert_eq(ash_config_set(&config, setting, cases[i].text, ASH_SOURCE_FLAG), ASH_OK);
        cr_assert_str_eq(config.models_dir, cases[i].path);
        ash_config_finish(&config);
    }
}

Test(config, yaml_sets_every_kind_of_setting)
{
    struct ash_config config = defaults();
    cr_assert_eq(read_yaml(&config, "# a comment\n---\nthreads: 3\nkv-type: q8_0\n"
                                    "model: \"my model\"\nlog-level: debug\n...\n"),
        ASH_OK, "%s", ash_error());
    cr_assert_eq(config.threads, 3);
    cr_assert_eq(config.kv_type, ASH_Q8_0);
    cr_assert_str_eq(config.model, "my model");
    cr_assert_eq(config.log_level, ASH_LOG_DEBUG);
    ash_config_finish(&config);
}

Test(config, an_empty_document_sets_nothing)
{
    static const char *const texts[] = { "", "\n", "---\n", "# nothing\n", "{}" };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct ash_config config = defaults();
        cr_assert_eq(read_yaml(&config, texts[i]), ASH_OK, "\"%s\": %s", texts[i], ash_error());
        ash_config_finish(&config);
    }
}

Test(config, bad_yaml_is_one_message_with_its_line)
{
    static const struct {
        const char *text;
        const char *message;
    } cases[] = {
        { "threads: 2\ntreads: 3\n",
            "c.yaml:2: unknown setting \"treads\"; did you mean \"threads\"?" },
        { "threads: 2\n\nthreads: 3\n", "c.yaml:3: \"threads\" is set a second time" },
        { "kv_type: f16\nkv-type: f16\n", "c.yaml:2: \"kv_type\" is set a second time" },
        { "threads: 5000\n",
            "c.yaml:1: threads: expected a whole number from 0 to 4096, found \"5000\"" },
        { "threads:\n", "c.yaml:1: threads: expected a whole number from 0 to 4096, found \"\"" },
        { "model: ''\n", "c.yaml:1: model: expected MODEL, found an empty text" },
        { "threads: [1, 2]\n", "c.yaml:1: expected a single value, found a list" },
        { "threads:\n  a: 1\n", "c.yaml:2: expected a single value, found a mapping" },
        { "model: &a x\ndevice: *a\n", "c.yaml:2: expected a single value, found an alias" },
        { "? [a]\n: 1\n", "c.yaml:1: expected the name of a setting, found a list" },
        { "- threads\n", "c.yaml:1: expected settings as \"name: value\", found a list" },
        { "threads\n", "c.yaml:1: expected settings as \"name: value\", found a value" },
        { "threads: 1\n---\nthreads: 2\n",
            "c.yaml:2: expected the end of the file, found a second document" },
        { "threads: 1: 2\n", "c.yaml:1: not YAML: mapping values are not allowed in this context" },
        { "model: \"a\\0b\"\n", "c.yaml:1: the text holds a zero byte" },
        { "model: \"open\n",
            "c.yaml:2: not YAML: while scanning a quoted scalar, found unexpected end of stream" },
        { "threads: 1\nmodel: \xff\n",
            "c.yaml:2: not a text: invalid leading UTF-8 octet at byte 18" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct ash_config config = defaults();
        cr_assert_eq(read_yaml(&config, cases[i].text), ASH_ERR_FORMAT, "%s", cases[i].text);
        cr_assert_str_eq(ash_error(), cases[i].message);
        ash_config_finish(&config);
    }
}

Test(config, hostile_yaml_is_refused_at_once)
{
    enum { BYTES = 64 * 1024 };
    static char text[BYTES + 1];
    static const struct {
        const char *start;
        char fill;
    } cases[] = {
        { "threads: ", '[' },
        { "threads: ", '{' },
        { "model: &", 'a' },
        { "", '[' },
        { "", '-' },
        { "threads: \"", '\\' },
        { "", '\t' },
        { "", '&' },
        { "", '*' },
        { "", '%' },
        { "threads: ", '9' },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        memset(text, cases[i].fill, BYTES);
        memcpy(text, cases[i].start, strlen(cases[i].start));
        struct ash_config config = defaults();
        cr_assert_eq(ash_config_read_text(&config, "c.yaml", text, BYTES, ASH_SOURCE_USER_FILE),
            ASH_ERR_FORMAT, "case %zu", i);
        cr_assert_eq(ash_config_read_text(&config, "c.yaml", text, BYTES + 1, ASH_SOURCE_USER_FILE),
            ASH_ERR_LIMIT);
        ash_config_finish(&config);
    }
}

Test(config, loading_survives_every_failed_allocation)
{
    static const char text[] = "model: a\ndevice: b\nmodels_dir: ~/m\ncache_dir: /c\n";
    enum ash_status status;
    for (int64_t nth = 0;; nth++) {
        struct ash_config config = { 0 };
        ash_memory_fail_from(nth);
        status = ash_config_init(&config);
        if (status == ASH_OK)
            status = read_yaml(&config, text);
        ash_memory_fail_from(-1);
        ash_config_finish(&config);
        if (status == ASH_OK) {
            cr_assert_gt(nth, 4);
            break;
        }
        cr_assert_eq(status, ASH_ERR_NO_MEMORY, "%s", ash_error());
    }
}

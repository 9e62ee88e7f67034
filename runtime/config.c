/* SPDX-License-Identifier: Apache-2.0 */
/* The table of settings, and how the sources are laid over each other. The YAML is config_yaml.c's. */
#include "runtime/config.h"
#include "runtime/log.h"
#include "runtime/memory.h"
#include "runtime/tensor.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct ash_choice kv_types[] = {
    { "auto", ASH_KV_AUTO },
    { "f16", ASH_F16 },
    { "bf16", ASH_BF16 },
    { "q8_0", ASH_Q8_0 },
    { "f32", ASH_F32 },
    { NULL, 0 },
};

static const struct ash_choice speculations[] = {
    { "auto", ASH_SPECULATE_AUTO },
    { "off", ASH_SPECULATE_OFF },
    { NULL, 0 },
};

static const struct ash_choice kernel_choices[] = {
    { "measured", ASH_KERNELS_MEASURED },
    { "listed", ASH_KERNELS_LISTED },
    { NULL, 0 },
};

static const struct ash_choice log_levels[] = {
    { "off", ASH_LOG_OFF },
    { "error", ASH_LOG_ERROR },
    { "warn", ASH_LOG_WARN },
    { "info", ASH_LOG_INFO },
    { "debug", ASH_LOG_DEBUG },
    { NULL, 0 },
};

static const struct ash_choice log_formats[] = {
    { "text", ASH_LOG_TEXT },
    { "json", ASH_LOG_JSON },
    { NULL, 0 },
};

static const struct ash_choice colors[] = {
    { "auto", ASH_COLOR_AUTO },
    { "always", ASH_COLOR_ALWAYS },
    { "never", ASH_COLOR_NEVER },
    { NULL, 0 },
};

/* A member's name, place and C type; the type is checked by the compiler. */
#define MEMBER(member, c_type)                                                                     \
    .name = #member,                                                                               \
    .offset = offsetof(struct ash_config, member) +                                                \
              0 * sizeof(char[_Generic((struct ash_config){ 0 }.member, c_type : 1, default        \
                                       : -1)])
#define INTEGER(member) MEMBER(member, int64_t), .type = ASH_SETTING_INTEGER
#define CHOICE(member)  MEMBER(member, int), .type = ASH_SETTING_CHOICE
#define TEXT(member)    MEMBER(member, char *), .type = ASH_SETTING_TEXT
#define PATH(member)    MEMBER(member, char *), .type = ASH_SETTING_PATH

static const struct ash_setting settings[] = {
    { TEXT(model), .letter = 'm', .fallback = "smollm2", .unit = "MODEL",
        .help = "model to use: a name out of the registry, or the path of a GGUF file" },
    { TEXT(device), .letter = 'd', .fallback = "auto", .unit = "DEVICE",
        .help =
            "device to run on, as `ashlar info` names it; a list (cpu,opencl:0) shares the model out; auto "
            "takes the processor and every device that `ashlar plan --measure` has measured" },
    { TEXT(split), .fallback = "auto", .unit = "HOW",
        .help =
            "how many layers each device of the list takes (layers:10,20), or which share of the rows of "
            "every matrix (rows:60,40; rows: by their speed); auto takes what should be fastest and fits" },
    { TEXT(device_memory), .fallback = "all", .unit = "MIB",
        .help = "most memory to take of each device of the list, in MiB (all,4096)" },
    { INTEGER(threads), .letter = 't', .least = 0, .most = 4096, .fallback = "0", .unit = "N",
        .help = "worker threads; 0 takes one for every processor this process may use" },
    { CHOICE(kernels), .choices = kernel_choices, .fallback = "measured", .unit = "HOW",
        .help =
            "which kernels to take: the fastest for prompts and for answers, the processor's as measured on "
            "this machine, or as listed, the same for both" },
    { INTEGER(context), .letter = 'c', .least = 0, .most = 16777216, .fallback = "0",
        .unit = "TOKENS",
        .help = "longest sequence, prompt and answer together; 0 takes the model's own" },
    { INTEGER(batch_tokens), .letter = 'b', .least = 1, .most = 65536, .fallback = "512",
        .unit = "TOKENS",
        .help = "most tokens in one step; a longer prompt is prefilled in pieces of this size" },
    { INTEGER(micro_batch), .least = 0, .most = 65536, .fallback = "0", .unit = "TOKENS",
        .help =
            "of a step, tokens that each of several devices takes at a time, while others have those "
            "before; 0 takes what should be fastest, as many as --batch-tokens all" },
    { CHOICE(kv_type), .choices = kv_types, .fallback = "auto", .unit = "TYPE",
        .help =
            "element type of the KV cache; auto takes bf16 where the device is fastest with it, "
            "else f16" },
    { CHOICE(speculate), .choices = speculations, .fallback = "auto", .unit = "WHEN",
        .help =
            "guess tokens from the text so far where it saves time; the answer stays the same" },
    { INTEGER(seed), .least = -1, .most = INT64_MAX, .fallback = "-1", .unit = "N",
        .help = "seed of the sampler: the same seed gives the same answer; -1 takes a new one" },
    { PATH(models_dir), .fallback = "$XDG_DATA_HOME/ashlar/models", .unit = "DIRECTORY",
        .help = "where downloaded models are kept" },
    { PATH(registry), .fallback = "$XDG_CONFIG_HOME/ashlar/models.json", .unit = "FILE",
        .help = "models known by name besides the built-in ones, in the form of those" },
    { PATH(cache_dir), .fallback = "$XDG_CACHE_HOME/ashlar", .unit = "DIRECTORY",
        .help = "where what can be made again is kept: measurements, compiled kernels" },
    { PATH(kernel_dir), .fallback = "$XDG_DATA_HOME/ashlar/kernels", .unit = "DIRECTORY",
        .help =
            "programs built beforehand, for FPGAs; where given, every OpenCL device takes them" },
    { PATH(pjrt_plugin), .fallback = "libtpu.so", .unit = "FILE",
        .help = "library by which an accelerator's maker lets programs use it through PJRT" },
    { CHOICE(log_level), .choices = log_levels, .fallback = "warn", .unit = "LEVEL",
        .help = "least important messages to log" },
    { CHOICE(log_format), .choices = log_formats, .fallback = "text", .unit = "FORMAT",
        .help = "how messages are written: for people, or a JSON object a line" },
    { CHOICE(color), .choices = colors, .fallback = "auto", .unit = "WHEN",
        .help = "use color; auto: on a terminal, unless NO_COLOR is set" },
    { .name = NULL },
};

static_assert(sizeof settings / sizeof *settings <= ASH_MAX_SETTINGS + 1, "source[] is too small");

const struct ash_setting *ash_settings(void)
{
    return settings;
}

static bool same_name(const char *a, const char *b)
{
    for (; *a && *b; a++, b++)
        if ((*a == '-' ? '_' : *a) != (*b == '-' ? '_' : *b))
            return false;
    return *a == *b;
}

const struct ash_setting *ash_setting_find(const char *name)
{
    for (const struct ash_setting *setting = settings; setting->name; setting++)
        if (same_name(setting->name, name))
            return setting;
    return NULL;
}

char *ash_setting_variable(const struct ash_setting *setting, char *text, size_t capacity)
{
    snprintf(text, capacity, "ASHLAR_%s", setting->name);
    for (char *letter = text; *letter; letter++)
        *letter = (char)toupper((unsigned char)*letter);
    return text;
}

char *ash_setting_flag(const struct ash_setting *setting, char *text, size_t capacity)
{
    snprintf(text, capacity, "%s", setting->name);
    for (char *letter = text; *letter; letter++)
        *letter = *letter == '_' ? '-' : *letter;
    return text;
}

/* Where a value lives in the struct. */
static void *member_of(struct ash_config *config, const struct ash_setting *setting)
{
    return (char *)config + setting->offset;
}

static const char *home_directory(void)
{
    const char *home = getenv("HOME");
    if (home && *home)
        return home;
    const struct passwd *user = getpwuid(getuid());
    return user && user->pw_dir ? user->pw_dir : "/";
}

/* A fresh text "<variable>/rest", where the XDG rules say what an unset or relative variable means
 * (specifications.freedesktop.org/basedir-spec). */
static char *xdg_path(const char *variable, const char *below_home, const char *rest)
{
    const char *base = getenv(variable);
    if (base && *base == '/')
        return ash_format("%s%s", base, rest);
    return ash_format("%s/%s%s", home_directory(), below_home, rest);
}

static char *expand_path(const char *text)
{
    static const struct {
        const char *name, *below_home;
    } bases[] = {
        { "$XDG_CONFIG_HOME", ".config" },
        { "$XDG_DATA_HOME", ".local/share" },
        { "$XDG_CACHE_HOME", ".cache" },
    };
    for (size_t i = 0; i < sizeof bases / sizeof *bases; i++) {
        size_t length = strlen(bases[i].name);
        if (strncmp(text, bases[i].name, length) == 0 && (text[length] == '/' || !text[length]))
            return xdg_path(bases[i].name + 1, bases[i].below_home, text + length);
    }
    if (text[0] == '~' && (text[1] == '/' || !text[1]))
        return ash_format("%s%s", home_directory(), text + 1);
    return ash_strdup(text);
}

/* A value read but not yet given: of the three only the one of the setting's type is meant. */
struct value {
    int64_t integer;
    int choice;
    char *text;
};

static enum ash_status read_value(
    const struct ash_setting *setting, const char *text, struct value *out)
{
    switch (setting->type) {
    case ASH_SETTING_INTEGER:
        return ash_text_to_integer(text, setting->least, setting->most, &out->integer);
    case ASH_SETTING_CHOICE:
        return ash_text_to_choice(text, setting->choices, &out->choice);
    case ASH_SETTING_TEXT:
    case ASH_SETTING_PATH:
        break;
    }
    if (!*text)
        return ash_fail(ASH_ERR_ARGUMENT, "expected %s, found an empty text", setting->unit);
    out->text = setting->type == ASH_SETTING_PATH ? expand_path(text) : ash_strdup(text);
    return out->text ? ASH_OK : ash_fail_memory(strlen(text) + 1, "a setting");
}

static void give_value(
    struct ash_config *config, const struct ash_setting *setting, const struct value *value)
{
    void *member = member_of(config, setting);
    if (setting->type == ASH_SETTING_INTEGER) {
        *(int64_t *)member = value->integer;
    } else if (setting->type == ASH_SETTING_CHOICE) {
        *(int *)member = value->choice;
    } else {
        ash_free(*(char **)member);
        *(char **)member = value->text;
    }
}

enum ash_status ash_config_set(struct ash_config *config, const struct ash_setting *setting,
    const char *text, enum ash_config_source source)
{
    struct value value = { 0 };
    ASH_TRY(read_value(setting, text, &value));
    uint8_t *held = &config->source[setting - settings];
    if (*held > source) {
        ash_free(value.text);
        return ASH_OK;
    }
    give_value(config, setting, &value);
    *held = (uint8_t)source;
    return ASH_OK;
}

enum ash_status ash_config_init(struct ash_config *out)
{
    struct ash_config config = { 0 };
    for (const struct ash_setting *setting = settings; setting->name; setting++) {
        enum ash_status status =
            ash_config_set(&config, setting, setting->fallback, ASH_SOURCE_DEFAULT);
        if (status != ASH_OK) {
            ash_config_finish(&config);
            return ash_fail_in(status, "default of %s", setting->name);
        }
    }
    *out = config;
    return ASH_OK;
}

void ash_config_finish(struct ash_config *config)
{
    if (!config)
        return;
    for (const struct ash_setting *setting = settings; setting->name; setting++) {
        if (setting->type == ASH_SETTING_TEXT || setting->type == ASH_SETTING_PATH)
            ash_free(*(char **)member_of(config, setting));
    }
    *config = (struct ash_config){ 0 };
}

enum ash_status ash_config_read_environment(struct ash_config *config)
{
    for (const struct ash_setting *setting = settings; setting->name; setting++) {
        char variable[64];
        const char *text = getenv(ash_setting_variable(setting, variable, sizeof variable));
        if (!text || !*text)
            continue;
        enum ash_status status = ash_config_set(config, setting, text, ASH_SOURCE_ENVIRONMENT);
        if (status != ASH_OK)
            return ash_fail_in(status, "%s", variable);
    }
    return ASH_OK;
}

/* Like ash_config_read_file(), but a file that is not there is an empty one. */
static enum ash_status read_optional_file(
    struct ash_config *config, const char *path, enum ash_config_source source)
{
    if (access(path, F_OK) != 0 && (errno == ENOENT || errno == ENOTDIR))
        return ASH_OK;
    return ash_config_read_file(config, path, source);
}

enum ash_status ash_config_load(struct ash_config *config, const char *file)
{
    if (file) {
        ASH_TRY(ash_config_read_file(config, file, ASH_SOURCE_USER_FILE));
        return ash_config_read_environment(config);
    }
    char *user_file = expand_path("$XDG_CONFIG_HOME/ashlar/config.yaml");
    if (!user_file)
        return ash_fail_memory(0, "the path of the configuration");
    enum ash_status status =
        read_optional_file(config, "/etc/ashlar/config.yaml", ASH_SOURCE_SYSTEM_FILE);
    if (status == ASH_OK)
        status = read_optional_file(config, user_file, ASH_SOURCE_USER_FILE);
    ash_free(user_file);
    return status == ASH_OK ? ash_config_read_environment(config) : status;
}

char *ash_config_describe(
    const struct ash_config *config, const struct ash_setting *setting, char *text, size_t capacity)
{
    const void *member = (const char *)config + setting->offset;
    if (setting->type == ASH_SETTING_INTEGER)
        snprintf(text, capacity, "%lld", (long long)*(const int64_t *)member);
    else if (setting->type == ASH_SETTING_CHOICE)
        snprintf(text, capacity, "%s", ash_choice_name(setting->choices, *(const int *)member));
    else
        snprintf(text, capacity, "%s", *(char *const *)member);
    return text;
}

const char *ash_config_source_name(
    const struct ash_config *config, const struct ash_setting *setting)
{
    static const char *const names[] = {
        [ASH_SOURCE_DEFAULT] = "default",
        [ASH_SOURCE_SYSTEM_FILE] = "system file",
        [ASH_SOURCE_USER_FILE] = "user file",
        [ASH_SOURCE_ENVIRONMENT] = "environment",
        [ASH_SOURCE_FLAG] = "flag",
    };
    return names[config->source[setting - settings]];
}

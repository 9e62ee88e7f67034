/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The YAML of a config: one flat mapping, read event by event out of libyaml.
 *
 * Nothing recurses and nothing is kept: a value that is itself a list or a mapping ends the reading
 * where it begins, so deep nesting costs nothing; aliases are refused, so nothing multiplies.
 */
#include "runtime/config.h"
#include "runtime/memory.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <yaml.h>

enum { MOST_FILE_BYTES = 64 * 1024 };

struct reader {
    yaml_parser_t parser;
    yaml_event_t event; /* the current one; always initialised */
    const char *text;
    size_t length;
    struct ash_config *config;
    enum ash_config_source source;
    bool seen[ASH_MAX_SETTINGS];
};

static size_t line_of(const struct reader *reader)
{
    return reader->event.start_mark.line + 1;
}

/* The parser reads ahead of the line it is at; a byte's own line has to be counted. */
static size_t line_of_byte(const struct reader *reader, size_t offset)
{
    size_t line = 1;
    for (size_t i = 0; i < offset && i < reader->length; i++)
        line += reader->text[i] == '\n';
    return line;
}

/* What libyaml found wrong, in its words and with its place. */
static enum ash_status fail_yaml(const struct reader *reader)
{
    const yaml_parser_t *parser = &reader->parser;
    if (parser->error == YAML_MEMORY_ERROR)
        return ash_fail(ASH_ERR_NO_MEMORY, "1: no memory for the YAML parser");
    if (parser->error == YAML_READER_ERROR)
        return ash_fail(ASH_ERR_FORMAT, "%zu: not a text: %s at byte %zu",
            line_of_byte(reader, parser->problem_offset), parser->problem, parser->problem_offset);
    return ash_fail(ASH_ERR_FORMAT, "%zu: not YAML: %s%s%s", parser->problem_mark.line + 1,
        parser->context ? parser->context : "", parser->context ? ", " : "",
        parser->problem ? parser->problem : "syntax error");
}

static enum ash_status next_event(struct reader *reader)
{
    yaml_event_delete(&reader->event);
    if (!yaml_parser_parse(&reader->parser, &reader->event)) {
        memset(&reader->event, 0, sizeof reader->event);
        return fail_yaml(reader);
    }
    return ASH_OK;
}

static const char *event_name(yaml_event_type_t type)
{
    switch (type) {
    case YAML_ALIAS_EVENT:
        return "an alias";
    case YAML_SEQUENCE_START_EVENT:
        return "a list";
    case YAML_MAPPING_START_EVENT:
        return "a mapping";
    case YAML_SCALAR_EVENT:
        return "a value";
    case YAML_DOCUMENT_START_EVENT:
        return "a second document";
    default:
        return "the end";
    }
}

static enum ash_status fail_event(const struct reader *reader, const char *expected)
{
    return ash_fail(ASH_ERR_FORMAT, "%zu: expected %s, found %s", line_of(reader), expected,
        event_name(reader->event.type));
}

/* The current event's text, which holds no 0 byte. */
static enum ash_status scalar(const struct reader *reader, const char *expected, const char **out)
{
    if (reader->event.type != YAML_SCALAR_EVENT)
        return fail_event(reader, expected);
    *out = (const char *)reader->event.data.scalar.value;
    if (strlen(*out) != reader->event.data.scalar.length)
        return ash_fail(ASH_ERR_FORMAT, "%zu: the text holds a zero byte", line_of(reader));
    return ASH_OK;
}

static enum ash_status fail_unknown(const struct reader *reader, const char *key)
{
    struct ash_guess guess = { .typed = key };
    for (const struct ash_setting *known = ash_settings(); known->name; known++)
        ash_guess_offer(&guess, known->name);
    return ash_fail(ASH_ERR_FORMAT, "%zu: unknown setting \"%.64s\"%s", line_of(reader), key,
        ash_guess_hint(&guess));
}

static enum ash_status read_key(struct reader *reader, const struct ash_setting **out)
{
    const char *key = "";
    ASH_TRY(scalar(reader, "the name of a setting", &key));
    *out = ash_setting_find(key);
    if (!*out)
        return fail_unknown(reader, key);
    bool *seen = &reader->seen[*out - ash_settings()];
    if (*seen)
        return ash_fail(
            ASH_ERR_FORMAT, "%zu: \"%s\" is set a second time", line_of(reader), (*out)->name);
    *seen = true;
    return ASH_OK;
}

static enum ash_status read_value(struct reader *reader, const struct ash_setting *setting)
{
    const char *text = "";
    enum ash_status status = scalar(reader, "a single value", &text);
    if (status != ASH_OK)
        return status;
    status = ash_config_set(reader->config, setting, text, reader->source);
    if (status == ASH_ERR_ARGUMENT)
        status = ASH_ERR_FORMAT; /* the file is at fault, not the command line */
    return ash_fail_in(status, "%zu: %s", line_of(reader), setting->name);
}

/* From the mapping's start to its end. */
static enum ash_status read_mapping(struct reader *reader)
{
    for (;;) {
        ASH_TRY(next_event(reader));
        if (reader->event.type == YAML_MAPPING_END_EVENT)
            return ASH_OK;
        const struct ash_setting *setting;
        ASH_TRY(read_key(reader, &setting));
        ASH_TRY(next_event(reader));
        ASH_TRY(read_value(reader, setting));
    }
}

/* An empty value at the top ("---" alone) is a document that sets nothing. */
static bool is_empty_scalar(const yaml_event_t *event)
{
    return event->type == YAML_SCALAR_EVENT && event->data.scalar.length == 0;
}

static enum ash_status read_stream(struct reader *reader)
{
    ASH_TRY(next_event(reader)); /* the stream's start */
    ASH_TRY(next_event(reader));
    if (reader->event.type == YAML_STREAM_END_EVENT)
        return ASH_OK;
    ASH_TRY(next_event(reader)); /* past the document's start */
    if (reader->event.type == YAML_MAPPING_START_EVENT)
        ASH_TRY(read_mapping(reader));
    else if (!is_empty_scalar(&reader->event))
        return fail_event(reader, "settings as \"name: value\"");
    ASH_TRY(next_event(reader)); /* the document's end */
    ASH_TRY(next_event(reader));
    if (reader->event.type != YAML_STREAM_END_EVENT)
        return fail_event(reader, "the end of the file");
    return ASH_OK;
}

enum ash_status ash_config_read_text(struct ash_config *config, const char *name, const char *text,
    size_t length, enum ash_config_source source)
{
    if (length > MOST_FILE_BYTES)
        return ash_fail(
            ASH_ERR_LIMIT, "%s: a configuration has at most %d bytes", name, MOST_FILE_BYTES);
    struct reader reader = { .text = text, .length = length, .config = config, .source = source };
    if (!yaml_parser_initialize(&reader.parser))
        return ash_fail(ASH_ERR_NO_MEMORY, "%s: no memory for the YAML parser", name);
    yaml_parser_set_encoding(&reader.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&reader.parser, (const unsigned char *)text, length);
    enum ash_status status = read_stream(&reader);
    yaml_event_delete(&reader.event);
    yaml_parser_delete(&reader.parser);
    if (status == ASH_OK)
        return ASH_OK;
    /* "name:line: what", where ash_fail_in() would say "name: line: what". */
    return ash_fail(status, "%s:%s", name, ash_error());
}

enum ash_status ash_config_read_file(
    struct ash_config *config, const char *path, enum ash_config_source source)
{
    FILE *file = fopen(path, "re");
    if (!file)
        return ash_fail(errno == ENOENT ? ASH_ERR_NOT_FOUND : ASH_ERR_IO,
            "cannot open configuration %s: %s", path, strerror(errno));
    enum ash_status status = ASH_OK;
    char *text = ash_alloc(MOST_FILE_BYTES + 1);
    if (!text) {
        status = ash_fail_memory(MOST_FILE_BYTES + 1, "the configuration");
    } else {
        size_t length = fread(text, 1, MOST_FILE_BYTES + 1, file);
        status = ferror(file) ? ash_fail(ASH_ERR_IO, "cannot read configuration %s: %s", path,
                                    strerror(errno))
                              : ash_config_read_text(config, path, text, length, source);
    }
    ash_free(text);
    fclose(file);
    return status;
}

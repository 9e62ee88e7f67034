/* SPDX-License-Identifier: Apache-2.0 */
#include "models/template_internal.h"

#include <jansson.h>
#include <math.h>
#include <string.h>

/* ---- From JSON ------------------------------------------------------------------------------- */

static enum ash_status from_object(
    struct jinja_run *run, const json_t *json, struct jinja_value *out)
{
    ASH_TRY(ash_jinja_dict(&run->arena, JINJA_DICT, out));
    /* jansson's iterators take no const; nothing is changed through them. */
    json_t *object = (json_t *)(uintptr_t)json;
    for (void *at = json_object_iter(object); at; at = json_object_iter_next(object, at)) {
        const char *name = json_object_iter_key(at);
        struct jinja_value key, value;
        ASH_TRY(ash_jinja_string(&run->arena, name, strlen(name), false, &key));
        ASH_TRY(ash_jinja_from_json(run, json_object_iter_value(at), &value));
        ASH_TRY(ash_jinja_put_new(&run->arena, *out, key, value));
    }
    return ASH_OK;
}

static enum ash_status from_array(
    struct jinja_run *run, const json_t *json, struct jinja_value *out)
{
    ASH_TRY(ash_jinja_list(&run->arena, JINJA_LIST, out));
    for (size_t i = 0; i < json_array_size(json); i++) {
        struct jinja_value item;
        ASH_TRY(ash_jinja_from_json(run, json_array_get(json, i), &item));
        ASH_TRY(ash_jinja_push(&run->arena, *out, item));
    }
    return ASH_OK;
}

static enum ash_status from_json_inside(
    struct jinja_run *run, const json_t *json, struct jinja_value *out)
{
    switch (json_typeof(json)) {
    case JSON_OBJECT:
        return from_object(run, json, out);
    case JSON_ARRAY:
        return from_array(run, json, out);
    case JSON_STRING:
        return ash_jinja_string(
            &run->arena, json_string_value(json), json_string_length(json), false, out);
    case JSON_INTEGER:
        *out = ash_jinja_int(json_integer_value(json));
        return ASH_OK;
    case JSON_REAL:
        *out = ash_jinja_float(json_real_value(json));
        return ASH_OK;
    case JSON_TRUE:
    case JSON_FALSE:
        *out = ash_jinja_bool(json_is_true(json));
        return ASH_OK;
    case JSON_NULL:
        break;
    }
    *out = ash_jinja_none();
    return ASH_OK;
}

enum ash_status ash_jinja_from_json(
    struct jinja_run *run, const json_t *json, struct jinja_value *out)
{
    ASH_TRY(ash_jinja_enter(run)); /* a caller's value may contain itself */
    enum ash_status status = from_json_inside(run, json, out);
    ash_jinja_leave(run);
    return status;
}

/* ---- To JSON --------------------------------------------------------------------------------- */

/*
 * All that is written here is untrusted, whatever it came from: quotes and braces around a user's
 * text could complete a special token.
 */
struct writer {
    struct jinja_run *run;
    const struct jinja_json_style *style;
    struct jinja_text *out;
    int level;
};

static enum ash_status put(struct writer *writer, const char *string)
{
    return ash_jinja_append_bytes(&writer->run->arena, writer->out, string, strlen(string), false);
}

static enum ash_status new_line(struct writer *writer)
{
    if (writer->style->indent < 0)
        return ASH_OK;
    ASH_TRY(put(writer, "\n"));
    for (int64_t i = 0; i < (int64_t)writer->level * writer->style->indent; i++)
        ASH_TRY(put(writer, " "));
    return ASH_OK;
}

static enum ash_status put_escape(struct writer *writer, uint32_t code)
{
    static const char names[] = "\"\\\n\r\t\b\f", letters[] = "\"\\nrtbf";
    struct jinja_arena *arena = &writer->run->arena;
    const char *name = code < 0x80 ? strchr(names, (int)code) : NULL;
    if (name && code)
        return ash_jinja_append_format(arena, writer->out, "\\%c", letters[name - names]);
    if (code < 0x10000)
        return ash_jinja_append_format(arena, writer->out, "\\u%04x", code);
    code -= 0x10000;
    return ash_jinja_append_format(
        arena, writer->out, "\\u%04x\\u%04x", 0xD800 | code >> 10, 0xDC00 | (code & 0x3FF));
}

static enum ash_status put_text(struct writer *writer, struct jinja_text text)
{
    const char *bytes = ash_jinja_bytes(text);
    ASH_TRY(ash_jinja_spend(writer->run, text.length / 16));
    ASH_TRY(put(writer, "\""));
    for (size_t at = 0, length; at < text.length; at += length) {
        uint32_t code = ash_jinja_char(text, at);
        length = ash_jinja_char_bytes(text, at);
        bool escape = code < 0x20 || code == '"' || code == '\\';
        if (escape || (writer->style->ascii && code >= 0x7F))
            ASH_TRY(put_escape(writer, code));
        else if (code == 0xFFFD) /* also a byte that is not UTF-8: JSON must be */
            ASH_TRY(put(writer, "\xEF\xBF\xBD"));
        else
            ASH_TRY(ash_jinja_append_bytes(
                &writer->run->arena, writer->out, bytes + at, length, false));
    }
    return put(writer, "\"");
}

static enum ash_status put_value(struct writer *writer, struct jinja_value value);

static enum ash_status put_separator(struct writer *writer, bool first)
{
    struct jinja_text separator = writer->style->item_separator;
    if (!first)
        ASH_TRY(ash_jinja_append_bytes(
            &writer->run->arena, writer->out, ash_jinja_bytes(separator), separator.length, false));
    return new_line(writer);
}

static enum ash_status put_list(struct writer *writer, const struct jinja_list *list)
{
    ASH_TRY(put(writer, "["));
    writer->level++;
    for (size_t i = 0; i < list->count; i++) {
        ASH_TRY(put_separator(writer, i == 0));
        ASH_TRY(put_value(writer, list->item[i]));
    }
    writer->level--;
    if (list->count > 0)
        ASH_TRY(new_line(writer));
    return put(writer, "]");
}

/* Python turns numbers, booleans and None into texts here. */
static enum ash_status put_key(struct writer *writer, struct jinja_value key)
{
    if (key.kind == JINJA_TEXT)
        return put_text(writer, *key.text);
    if (key.kind != JINJA_NONE && !ash_jinja_is_number(key))
        return ash_fail(ASH_ERR_FORMAT, "keys must be str, int, float, bool or None, not %s",
            ash_jinja_type(key));
    ASH_TRY(put(writer, "\""));
    ASH_TRY(put_value(writer, key));
    return put(writer, "\"");
}

static enum ash_status put_dict(struct writer *writer, struct jinja_value value)
{
    struct jinja_list *list;
    struct jinja_run *run = writer->run;
    ASH_TRY(ash_jinja_iterate(run, value, &list));
    if (writer->style->sorted)
        ASH_TRY(ash_jinja_sort(run, list, NULL, false, false));
    ASH_TRY(put(writer, "{"));
    writer->level++;
    for (size_t i = 0; i < list->count; i++) {
        struct jinja_value *item;
        struct jinja_text separator = writer->style->key_separator;
        ASH_TRY(put_separator(writer, i == 0));
        ASH_TRY(put_key(writer, list->item[i]));
        ASH_TRY(ash_jinja_append_bytes(
            &run->arena, writer->out, ash_jinja_bytes(separator), separator.length, false));
        ASH_TRY(ash_jinja_lookup(run, value, list->item[i], &item));
        ASH_TRY(put_value(writer, *item));
    }
    writer->level--;
    if (list->count > 0)
        ASH_TRY(new_line(writer));
    return put(writer, "}");
}

static enum ash_status put_inside(struct writer *writer, struct jinja_value value)
{
    char number[32];
    switch (value.kind) {
    case JINJA_NONE:
        return put(writer, "null");
    case JINJA_BOOL:
        return put(writer, value.boolean ? "true" : "false");
    case JINJA_INT:
        return ash_jinja_append_format(
            &writer->run->arena, writer->out, "%lld", (long long)value.integer);
    case JINJA_FLOAT:
        ash_jinja_print_float(value.number, number);
        if (!isfinite(value.number))
            return put(writer, isnan(value.number) ? "NaN"
                               : value.number < 0  ? "-Infinity"
                                                   : "Infinity");
        return put(writer, number);
    case JINJA_TEXT:
        return put_text(writer, *value.text);
    case JINJA_LIST:
    case JINJA_TUPLE:
        return put_list(writer, value.list);
    case JINJA_DICT:
        return put_dict(writer, value);
    default:
        return ash_fail(
            ASH_ERR_FORMAT, "Object of type %s is not JSON serializable", ash_jinja_type(value));
    }
}

static enum ash_status put_value(struct writer *writer, struct jinja_value value)
{
    ASH_TRY(ash_jinja_spend(writer->run, 1));
    ASH_TRY(ash_jinja_enter(writer->run));
    enum ash_status status = put_inside(writer, value);
    ash_jinja_leave(writer->run);
    return status;
}

enum ash_status ash_jinja_to_json(struct jinja_run *run, struct jinja_value value,
    const struct jinja_json_style *style, struct jinja_text *out)
{
    struct writer writer = { run, style, out, 0 };
    *out = (struct jinja_text){ 0 };
    return put_value(&writer, value);
}

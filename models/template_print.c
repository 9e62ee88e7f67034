/* SPDX-License-Identifier: Apache-2.0 */
#include "models/template_internal.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The shortest digits that read back as the same number, in Python's layout. */
void ash_jinja_print_float(double number, char *out)
{
    char digits[32] = "";
    if (!isfinite(number)) {
        strcpy(out, isnan(number) ? "nan" : number < 0 ? "-inf" : "inf");
        return;
    }
    for (int precision = 0; precision < 17; precision++) {
        snprintf(digits, sizeof digits, "%.*e", precision, number);
        if (strtod(digits, NULL) == number)
            break;
    }
    char *mark = strchr(digits, 'e'), *point = strchr(digits, '.');
    int exponent = atoi(mark + 1), precision = point ? (int)(mark - point) - 1 : 0;
    if (exponent < -4 || exponent >= 16) {
        *mark = '\0';
        snprintf(out, 32, "%.24se%c%02d", digits, exponent < 0 ? '-' : '+', abs(exponent) % 1000);
        return;
    }
    int places = precision - exponent;
    snprintf(out, 32, "%.*f", places > 0 ? places : 1, number);
}

static enum ash_status put(struct jinja_run *run, struct jinja_text *out, const char *string)
{
    return ash_jinja_append_bytes(&run->arena, out, string, strlen(string), false);
}

/* Python's repr of a str: single quotes, unless there are some inside and no double ones. */
static enum ash_status repr_text(
    struct jinja_run *run, struct jinja_text text, struct jinja_text *out)
{
    struct jinja_arena *arena = &run->arena;
    const char *bytes = ash_jinja_bytes(text);
    bool single = memchr(bytes, '\'', text.length), twice = memchr(bytes, '"', text.length);
    char quote = single && !twice ? '"' : '\'';
    ASH_TRY(ash_jinja_append_bytes(arena, out, &quote, 1, false));
    for (size_t at = 0, length; at < text.length; at += length) {
        uint32_t code = ash_jinja_char(text, at);
        length = ash_jinja_char_bytes(text, at);
        if (code == '\n' || code == '\t' || code == '\r')
            ASH_TRY(put(run, out, code == '\n' ? "\\n" : code == '\t' ? "\\t" : "\\r"));
        else if (code == '\\' || code == (unsigned char)quote)
            ASH_TRY(ash_jinja_append_format(arena, out, "\\%c", (char)code));
        else if (code < 0x20 || (code >= 0x7F && code <= 0xA0) || code == 0xAD)
            ASH_TRY(ash_jinja_append_format(arena, out, "\\x%02x", code));
        else if (code > 0xFF && ash_jinja_is_space(code))
            ASH_TRY(ash_jinja_append_format(arena, out, "\\u%04x", code));
        else
            ASH_TRY(ash_jinja_append(arena, out, ash_jinja_slice(text, at, length)));
    }
    return ash_jinja_append_bytes(arena, out, &quote, 1, false);
}

static enum ash_status append_repr(
    struct jinja_run *run, struct jinja_value value, struct jinja_text *out);

static enum ash_status repr_list(
    struct jinja_run *run, struct jinja_value value, struct jinja_text *out)
{
    const struct jinja_list *list = value.list;
    ASH_TRY(put(run, out, value.kind == JINJA_LIST ? "[" : "("));
    for (size_t i = 0; i < list->count; i++) {
        if (i > 0)
            ASH_TRY(put(run, out, ", "));
        ASH_TRY(append_repr(run, list->item[i], out));
    }
    if (value.kind == JINJA_TUPLE)
        return put(run, out, list->count == 1 ? ",)" : ")");
    return put(run, out, "]");
}

static enum ash_status repr_dict(
    struct jinja_run *run, struct jinja_value value, struct jinja_text *out)
{
    const struct jinja_dict *dict = value.dict;
    ASH_TRY(put(run, out, value.kind == JINJA_NAMESPACE ? "<Namespace {" : "{"));
    for (size_t i = 0; i < dict->count; i++) {
        if (i > 0)
            ASH_TRY(put(run, out, ", "));
        ASH_TRY(append_repr(run, dict->entry[i].key, out));
        ASH_TRY(put(run, out, ": "));
        ASH_TRY(append_repr(run, dict->entry[i].value, out));
    }
    return put(run, out, value.kind == JINJA_NAMESPACE ? "}>" : "}");
}

static enum ash_status repr_inside(
    struct jinja_run *run, struct jinja_value value, struct jinja_text *out)
{
    char number[32];
    switch (value.kind) {
    case JINJA_ABSENT:
    case JINJA_UNDEFINED:
        return put(run, out, "Undefined");
    case JINJA_NONE:
        return put(run, out, "None");
    case JINJA_BOOL:
        return put(run, out, value.boolean ? "True" : "False");
    case JINJA_INT:
        snprintf(number, sizeof number, "%lld", (long long)value.integer);
        return put(run, out, number);
    case JINJA_FLOAT:
        ash_jinja_print_float(value.number, number);
        return put(run, out, number);
    case JINJA_TEXT:
        ASH_TRY(ash_jinja_spend(run, value.text->length / 16));
        return repr_text(run, *value.text, out);
    case JINJA_LIST:
    case JINJA_TUPLE:
        return repr_list(run, value, out);
    case JINJA_DICT:
    case JINJA_NAMESPACE:
        return repr_dict(run, value, out);
    default:
        return ash_fail(ASH_ERR_UNSUPPORTED, "a %s cannot be printed", ash_jinja_type(value));
    }
}

static enum ash_status append_repr(
    struct jinja_run *run, struct jinja_value value, struct jinja_text *out)
{
    ASH_TRY(ash_jinja_spend(run, 1));
    ASH_TRY(ash_jinja_enter(run));
    enum ash_status status = repr_inside(run, value, out);
    ash_jinja_leave(run);
    return status;
}

enum ash_status ash_jinja_repr(
    struct jinja_run *run, struct jinja_value value, struct jinja_text *out)
{
    *out = (struct jinja_text){ 0 };
    return append_repr(run, value, out);
}

enum ash_status ash_jinja_print(
    struct jinja_run *run, struct jinja_value value, struct jinja_text *out)
{
    *out = (struct jinja_text){ 0 };
    if (value.kind == JINJA_TEXT)
        *out = *value.text;
    if (value.kind == JINJA_TEXT || value.kind == JINJA_UNDEFINED)
        return ASH_OK;
    return append_repr(run, value, out);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "models/template_internal.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Filters over texts. Like Jinja's, they take any value and print it first. */
#define FILTER(name)                                                                               \
    static enum ash_status name(struct jinja_run *run, struct jinja_value self,                    \
        const struct jinja_arguments *arguments, struct jinja_value *out)

FILTER(filter_string)
{
    struct jinja_text text;
    (void)arguments;
    ASH_TRY(ash_jinja_print(run, self, &text));
    return ash_jinja_text_value(&run->arena, text, out);
}

static enum ash_status change_case(
    struct jinja_run *run, struct jinja_value self, enum jinja_case to, struct jinja_value *out)
{
    struct jinja_text text;
    ASH_TRY(ash_jinja_print(run, self, &text));
    return ash_jinja_change_case(run, text, to, out);
}

FILTER(filter_upper)
{
    (void)arguments;
    return change_case(run, self, JINJA_UPPER, out);
}

FILTER(filter_lower)
{
    (void)arguments;
    return change_case(run, self, JINJA_LOWER, out);
}

FILTER(filter_capitalize)
{
    (void)arguments;
    return change_case(run, self, JINJA_CAPITALIZE, out);
}

/* Unlike the method: words begin after blanks, hyphens and opening brackets only. */
FILTER(filter_title)
{
    struct jinja_text text, result = { 0 };
    (void)arguments;
    ASH_TRY(ash_jinja_print(run, self, &text));
    bool first = true;
    for (size_t at = 0, bytes; at < text.length; at += bytes) {
        struct jinja_value changed;
        uint32_t code = ash_jinja_char(text, at);
        bytes = ash_jinja_char_bytes(text, at);
        ASH_TRY(ash_jinja_spend(run, 1));
        ASH_TRY(ash_jinja_change_case(
            run, ash_jinja_slice(text, at, bytes), first ? JINJA_UPPER : JINJA_LOWER, &changed));
        ASH_TRY(ash_jinja_append(&run->arena, &result, *changed.text));
        first = ash_jinja_is_space(code) || (code < 0x80 && code && strchr("-({[<", (int)code));
    }
    return ash_jinja_text_value(&run->arena, result, out);
}

FILTER(filter_trim)
{
    struct jinja_text text, set;
    bool has_set =
        arguments->value[0].kind != JINJA_ABSENT && arguments->value[0].kind != JINJA_NONE;
    ASH_TRY(ash_jinja_print(run, self, &text));
    if (has_set)
        ASH_TRY(ash_jinja_want_text(arguments->value[0], "trim's characters", &set));
    ASH_TRY(ash_jinja_spend(run, text.length / 16 * (has_set ? 1 + set.length / 16 : 1)));
    return ash_jinja_text_value(
        &run->arena, ash_jinja_strip(text, has_set ? &set : NULL, JINJA_BOTH), out);
}

FILTER(filter_replace)
{
    struct jinja_text text, old, fresh;
    int64_t most = -1;
    const struct jinja_value *value = arguments->value;
    ASH_TRY(ash_jinja_print(run, self, &text));
    ASH_TRY(ash_jinja_print(run, value[0], &old));
    ASH_TRY(ash_jinja_print(run, value[1], &fresh));
    if (value[2].kind != JINJA_ABSENT && value[2].kind != JINJA_NONE)
        ASH_TRY(ash_jinja_want_int(value[2], "replace's count", &most));
    return ash_jinja_replace(run, text, old, fresh, most, out);
}

static enum ash_status spaces(struct jinja_run *run, int64_t count, struct jinja_text *out)
{
    *out = (struct jinja_text){ 0 };
    for (int64_t i = 0; i < count; i++) {
        ASH_TRY(ash_jinja_spend(run, i % 64 == 0));
        ASH_TRY(ash_jinja_append_bytes(&run->arena, out, " ", 1, false));
    }
    return ASH_OK;
}

FILTER(filter_indent)
{
    const struct jinja_value *value = arguments->value;
    struct jinja_text text, margin, result = { 0 };
    int64_t width = 4;
    if (value[0].kind == JINJA_TEXT) {
        margin = *value[0].text;
    } else {
        if (value[0].kind != JINJA_ABSENT)
            ASH_TRY(ash_jinja_want_int(value[0], "indent's width", &width));
        ASH_TRY(spaces(run, width, &margin));
    }
    ASH_TRY(ash_jinja_want_text(self, "what is indented", &text));
    bool first = ash_jinja_truth(value[1]), blank = ash_jinja_truth(value[2]);
    for (size_t start = 0, end; start <= text.length; start = end + 1) {
        const char *bytes = ash_jinja_bytes(text);
        const char *newline = memchr(bytes + start, '\n', text.length - start);
        end = newline ? (size_t)(newline - bytes) : text.length;
        ASH_TRY(ash_jinja_spend(run, 1));
        if (start == 0 ? first : blank || end > start)
            ASH_TRY(ash_jinja_append(&run->arena, &result, margin));
        struct jinja_text line = ash_jinja_slice(text, start, end - start + (newline != NULL));
        ASH_TRY(ash_jinja_append(&run->arena, &result, line));
    }
    return ash_jinja_text_value(&run->arena, result, out);
}

FILTER(filter_center)
{
    struct jinja_text text, left, right;
    int64_t width = 80;
    ASH_TRY(ash_jinja_print(run, self, &text));
    if (arguments->value[0].kind != JINJA_ABSENT)
        ASH_TRY(ash_jinja_want_int(arguments->value[0], "center's width", &width));
    int64_t missing = width - (int64_t)ash_jinja_chars(text);
    int64_t before = missing > 0 ? missing / 2 + (missing & width & 1) : 0;
    ASH_TRY(spaces(run, before, &left));
    ASH_TRY(spaces(run, missing - before, &right));
    ASH_TRY(ash_jinja_append(&run->arena, &left, text));
    ASH_TRY(ash_jinja_append(&run->arena, &left, right));
    return ash_jinja_text_value(&run->arena, left, out);
}

FILTER(filter_wordcount)
{
    struct jinja_text text;
    int64_t count = 0;
    bool inside = false;
    (void)arguments;
    ASH_TRY(ash_jinja_print(run, self, &text));
    ASH_TRY(ash_jinja_spend(run, text.length / 16));
    for (size_t at = 0; at < text.length; at += ash_jinja_char_bytes(text, at)) {
        uint32_t code = ash_jinja_char(text, at);
        bool word = code >= 0x80 ? !ash_jinja_is_space(code)
                                 : (code >= '0' && code <= '9') || code == '_' ||
                                       ((code | 0x20) >= 'a' && (code | 0x20) <= 'z');
        count += word && !inside;
        inside = word;
    }
    *out = ash_jinja_int(count);
    return ASH_OK;
}

FILTER(filter_escape)
{
    static const char specials[] = "&<>'\"";
    static const char *const names[] = { "&amp;", "&lt;", "&gt;", "&#39;", "&#34;" };
    struct jinja_text text, result = { 0 };
    (void)arguments;
    ASH_TRY(ash_jinja_print(run, self, &text));
    ASH_TRY(ash_jinja_spend(run, text.length / 16));
    for (size_t at = 0; at < text.length; at++) {
        char c = ash_jinja_bytes(text)[at];
        const char *special = c ? strchr(specials, c) : NULL;
        if (!special)
            ASH_TRY(ash_jinja_append(&run->arena, &result, ash_jinja_slice(text, at, 1)));
        else
            ASH_TRY(ash_jinja_append_bytes(&run->arena, &result, names[special - specials],
                strlen(names[special - specials]), ash_jinja_marks(text)[at]));
    }
    return ash_jinja_text_value(&run->arena, result, out);
}

FILTER(filter_format)
{
    struct jinja_text text;
    struct jinja_value values;
    ASH_TRY(ash_jinja_print(run, self, &text));
    bool is_named = arguments->named_count > 0;
    if (is_named && arguments->count > 0)
        return ash_fail(
            ASH_ERR_FORMAT, "can't handle positional and keyword arguments at the same time");
    if (is_named)
        ASH_TRY(ash_jinja_dict(&run->arena, JINJA_DICT, &values));
    else
        ASH_TRY(ash_jinja_list(&run->arena, JINJA_TUPLE, &values));
    for (size_t i = 0; i < arguments->count; i++)
        ASH_TRY(ash_jinja_push(&run->arena, values, arguments->value[i]));
    for (size_t i = 0; i < arguments->named_count; i++) {
        struct jinja_value key;
        ASH_TRY(ash_jinja_text_value(&run->arena, arguments->named[i].name, &key));
        ASH_TRY(ash_jinja_put_new(&run->arena, values, key, arguments->named[i].value));
    }
    return ash_jinja_percent(run, text, values, out);
}

/* ---- Numbers out of texts --------------------------------------------------------------------- */

/*
 * The text as C sees it, without the white space and underscores Python allows; false where it is
 * longer than any number, or holds what strtod takes and Python does not.
 */
static bool clean_number(struct jinja_text text, char *out, size_t capacity)
{
    size_t length = 0;
    text = ash_jinja_strip(text, NULL, JINJA_BOTH);
    const char *bytes = ash_jinja_bytes(text);
    for (size_t i = 0; i < text.length; i++) {
        bool between = i > 0 && i + 1 < text.length && bytes[i - 1] != '_' && bytes[i + 1] != '_';
        if (bytes[i] == '_' && between)
            continue;
        if (length + 1 == capacity || !bytes[i] || strchr("_()", bytes[i]))
            return false;
        out[length++] = bytes[i];
    }
    out[length] = '\0';
    return length > 0;
}

static bool read_float(struct jinja_text text, double *out)
{
    char digits[400], *end;
    if (!clean_number(text, digits, sizeof digits) || strpbrk(digits, "xX"))
        return false;
    *out = strtod(digits, &end);
    return !*end;
}

/* "0x1f" in base 16 or 0, "0b1" in 2, "0o7" in 8: the prefix C does not know. */
static const char *skip_prefix(const char *digits, int64_t base)
{
    char letter = (char)(digits[0] == '0' ? digits[1] | 0x20 : 0);
    bool prefixed = (base == 2 && letter == 'b') || (base == 8 && letter == 'o');
    return prefixed ? digits + 2 : digits;
}

static bool read_int(struct jinja_text text, int64_t base, int64_t *out)
{
    char digits[400], *end;
    if (!clean_number(text, digits, sizeof digits))
        return false;
    const char *start = skip_prefix(digits, base);
    errno = 0;
    *out = strtoll(start, &end, (int)base);
    return end != start && !*end && errno == 0;
}

FILTER(filter_int)
{
    int64_t base = 10, integer;
    double number;
    const struct jinja_value *value = arguments->value;
    (void)run;
    *out = value[0].kind == JINJA_ABSENT ? ash_jinja_int(0) : value[0];
    if (value[1].kind != JINJA_ABSENT)
        ASH_TRY(ash_jinja_want_int(value[1], "int's base", &base));
    if (base < 2 || base > 36)
        return ash_fail(ASH_ERR_FORMAT, "int's base must be from 2 to 36");
    if (self.kind == JINJA_UNDEFINED)
        return ash_fail(ASH_ERR_FORMAT, "'%s' is undefined", self.name ? self.name : "a value");
    bool is_float = self.kind == JINJA_FLOAT;
    if (self.kind == JINJA_INT || self.kind == JINJA_BOOL) {
        *out = ash_jinja_int(self.kind == JINJA_BOOL ? self.boolean : self.integer);
        return ASH_OK;
    }
    if (self.kind == JINJA_TEXT && read_int(*self.text, base, &integer)) {
        *out = ash_jinja_int(integer);
        return ASH_OK;
    }
    if (is_float)
        number = self.number;
    if (is_float || (self.kind == JINJA_TEXT && read_float(*self.text, &number))) {
        if (isfinite(number) && fabs(number) >= 0x1p63)
            return ash_fail(ASH_ERR_LIMIT, "a number does not fit 64 bits");
        if (isfinite(number))
            *out = ash_jinja_int((int64_t)number);
    }
    return ASH_OK;
}

FILTER(filter_float)
{
    double number;
    (void)run;
    *out = arguments->value[0].kind == JINJA_ABSENT ? ash_jinja_float(0) : arguments->value[0];
    if (self.kind == JINJA_UNDEFINED)
        return ash_fail(ASH_ERR_FORMAT, "'%s' is undefined", self.name ? self.name : "a value");
    if (ash_jinja_is_number(self))
        *out = ash_jinja_float(ash_jinja_as_double(self));
    else if (self.kind == JINJA_TEXT && read_float(*self.text, &number))
        *out = ash_jinja_float(number);
    return ASH_OK;
}

const struct jinja_builtin *ash_jinja_text_filter(struct jinja_text name)
{
    static const struct jinja_builtin filters[] = {
        { "capitalize", filter_capitalize, { NULL }, 0, false },
        { "center", filter_center, { "width" }, 0, false },
        { "e", filter_escape, { NULL }, 0, false },
        { "escape", filter_escape, { NULL }, 0, false },
        { "float", filter_float, { "default" }, 0, false },
        { "format", filter_format, { NULL }, 0, true },
        { "indent", filter_indent, { "width", "first", "blank" }, 0, false },
        { "int", filter_int, { "default", "base" }, 0, false },
        { "lower", filter_lower, { NULL }, 0, false },
        { "replace", filter_replace, { "old", "new", "count" }, 2, false },
        { "safe", filter_string, { NULL }, 0, false }, /* nothing is escaped in the first place */
        { "string", filter_string, { NULL }, 0, false },
        { "title", filter_title, { NULL }, 0, false },
        { "trim", filter_trim, { "chars" }, 0, false },
        { "upper", filter_upper, { NULL }, 0, false },
        { "wordcount", filter_wordcount, { NULL }, 0, false },
    };
    return ash_jinja_find_builtin(filters, sizeof filters / sizeof filters[0], name);
}

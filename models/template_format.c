/* SPDX-License-Identifier: Apache-2.0 */
#include "models/template_internal.h"

#include <stdio.h>
#include <string.h>

/*
 * "..." % values and "...".format(values): what templates use of Python's two little languages.
 * Widths and precisions are at most two digits, so that a format cannot ask for a gigabyte.
 */
struct spec {
    bool left, zero, plus, space, right, center;
    int width, precision; /* precision -1: none */
};

static int digits(struct jinja_text format, size_t *at)
{
    int value = 0;
    const char *bytes = ash_jinja_bytes(format);
    while (*at < format.length && bytes[*at] >= '0' && bytes[*at] <= '9' && value < 100)
        value = value * 10 + (bytes[(*at)++] - '0');
    return value;
}

static enum ash_status pad(
    struct jinja_run *run, struct jinja_text text, struct spec spec, struct jinja_text *out)
{
    int missing = spec.width - (int)ash_jinja_chars(
                                   ash_jinja_slice(text, 0, text.length < 400 ? text.length : 400));
    int before = spec.left ? 0 : spec.center ? missing / 2 : missing;
    for (int i = 0; i < before; i++)
        ASH_TRY(ash_jinja_append_bytes(&run->arena, out, " ", 1, false));
    ASH_TRY(ash_jinja_append(&run->arena, out, text));
    for (int i = before < 0 ? 0 : before; i < missing; i++)
        ASH_TRY(ash_jinja_append_bytes(&run->arena, out, " ", 1, false));
    return ASH_OK;
}

static enum ash_status put_text(
    struct jinja_run *run, struct jinja_text text, struct spec spec, struct jinja_text *out)
{
    if (spec.precision >= 0)
        text = ash_jinja_slice(text, 0, ash_jinja_char_start(text, (size_t)spec.precision));
    return pad(run, text, spec, out);
}

/* Sign, zeros, digits; then blanks on the wanted side. */
static enum ash_status put_digits(struct jinja_run *run, const char *number, bool negative,
    struct spec spec, struct jinja_text *out)
{
    const char *sign = negative ? "-" : spec.plus ? "+" : spec.space ? " " : "";
    int length = (int)strlen(number) + (int)strlen(sign);
    int zeros = spec.zero && !spec.left && spec.width > length ? spec.width - length : 0;
    struct jinja_text text = { 0 };
    ASH_TRY(ash_jinja_append_format(&run->arena, &text, "%s", sign));
    for (int i = 0; i < zeros; i++)
        ASH_TRY(ash_jinja_append_format(&run->arena, &text, "0"));
    ASH_TRY(ash_jinja_append_format(&run->arena, &text, "%s", number));
    return pad(run, text, spec, out);
}

static void print_real(char letter, int precision, double real, char *out, size_t capacity)
{
    switch (letter) {
    case 'e':
        snprintf(out, capacity, "%.*e", precision, real);
        break;
    case 'E':
        snprintf(out, capacity, "%.*E", precision, real);
        break;
    case 'g':
        snprintf(out, capacity, "%.*g", precision, real);
        break;
    case 'G':
        snprintf(out, capacity, "%.*G", precision, real);
        break;
    default:
        snprintf(out, capacity, "%.*f", precision, real);
    }
}

static enum ash_status put_number(struct jinja_run *run, struct jinja_value value, char letter,
    struct spec spec, struct jinja_text *out)
{
    char number[440];
    if (!ash_jinja_is_number(value))
        return ash_fail(ASH_ERR_FORMAT, "%%%c format: a number is required, not %s", letter,
            ash_jinja_type(value));
    double real = ash_jinja_as_double(value);
    int precision = spec.precision < 0 ? 6 : spec.precision;
    bool negative = real < 0;
    real = negative ? -real : real;
    if (strchr("feEgG", letter)) {
        print_real(letter, precision, real, number, sizeof number);
        return put_digits(run, number, negative, spec, out);
    }
    if (value.kind == JINJA_FLOAT && (letter != 'd' || !(real < 0x1p63)))
        return ash_fail(ASH_ERR_FORMAT, "%%%c format: an integer is required, not float", letter);
    int64_t integer = value.kind == JINJA_FLOAT  ? (int64_t)value.number
                      : value.kind == JINJA_BOOL ? value.boolean
                                                 : value.integer;
    unsigned long long size =
        negative ? 0 - (unsigned long long)integer : (unsigned long long)integer;
    if (letter == 'x')
        snprintf(number, sizeof number, "%llx", size);
    else if (letter == 'X')
        snprintf(number, sizeof number, "%llX", size);
    else if (letter == 'o')
        snprintf(number, sizeof number, "%llo", size);
    else
        snprintf(number, sizeof number, "%llu", size);
    return put_digits(run, number, negative, spec, out);
}

/* ---- % ---------------------------------------------------------------------------------------- */

struct feed {
    struct jinja_value values; /* a tuple, a dict, or the one value */
    size_t used;
};

static enum ash_status next_value(
    struct jinja_run *run, struct feed *feed, struct jinja_text *name, struct jinja_value *out)
{
    if (name) {
        struct jinja_value *found = NULL;
        if (feed->values.kind == JINJA_DICT)
            found = ash_jinja_lookup_name(feed->values, *name);
        if (!found)
            return ash_fail(ASH_ERR_FORMAT, "format requires a mapping with all names it uses");
        *out = *found;
        return ash_jinja_spend(run, 1);
    }
    bool tuple = feed->values.kind == JINJA_TUPLE;
    if (feed->used >= (tuple ? feed->values.list->count : 1))
        return ash_fail(ASH_ERR_FORMAT, "not enough arguments for format string");
    *out = tuple ? feed->values.list->item[feed->used] : feed->values;
    feed->used++;
    return ASH_OK;
}

/* What stands behind a %, up to its letter; moves `at` behind that. */
static enum ash_status put_percent(struct jinja_run *run, struct jinja_text format, size_t *at,
    struct feed *feed, struct jinja_text *out)
{
    const char *bytes = ash_jinja_bytes(format);
    struct spec spec = { .precision = -1 };
    struct jinja_text name, text;
    struct jinja_value value;
    bool named = *at < format.length && bytes[*at] == '(';
    if (named) {
        const char *end = memchr(bytes + *at, ')', format.length - *at);
        if (!end)
            return ash_fail(ASH_ERR_FORMAT, "incomplete format key");
        name = ash_jinja_slice(format, *at + 1, (size_t)(end - bytes) - *at - 1);
        *at = (size_t)(end - bytes) + 1;
    }
    for (; *at < format.length && bytes[*at] && strchr("-0+ #", bytes[*at]); ++*at) {
        spec.left |= bytes[*at] == '-';
        spec.zero |= bytes[*at] == '0';
        spec.plus |= bytes[*at] == '+';
        spec.space |= bytes[*at] == ' ';
    }
    spec.width = digits(format, at);
    if (*at < format.length && bytes[*at] == '.') {
        ++*at;
        spec.precision = digits(format, at);
    }
    if (spec.width > 99 || spec.precision > 99)
        return ash_fail(ASH_ERR_UNSUPPORTED, "a format's width or precision is above 99");
    if (*at >= format.length)
        return ash_fail(ASH_ERR_FORMAT, "incomplete format");
    char letter = bytes[(*at)++];
    if (letter == '%')
        return ash_jinja_append(&run->arena, out, ash_jinja_slice(format, *at - 1, 1));
    ASH_TRY(next_value(run, feed, named ? &name : NULL, &value));
    if (letter == 's' || letter == 'r') {
        ASH_TRY((letter == 's' ? ash_jinja_print : ash_jinja_repr)(run, value, &text));
        return put_text(run, text, spec, out);
    }
    if (letter == 'i' || letter == 'u')
        letter = 'd';
    if (!letter || !strchr("dxXofeEgG", letter))
        return ash_fail(ASH_ERR_UNSUPPORTED, "the format %%%c is not supported",
            letter > ' ' && letter < 0x7F ? letter : '?');
    return put_number(run, value, letter, spec, out);
}

enum ash_status ash_jinja_percent(struct jinja_run *run, struct jinja_text format,
    struct jinja_value arguments, struct jinja_value *out)
{
    struct jinja_text text = { 0 };
    struct feed feed = { arguments, 0 };
    const char *bytes = ash_jinja_bytes(format);
    for (size_t at = 0; at < format.length;) {
        const char *percent = memchr(bytes + at, '%', format.length - at);
        size_t end = percent ? (size_t)(percent - bytes) : format.length;
        ASH_TRY(ash_jinja_append(&run->arena, &text, ash_jinja_slice(format, at, end - at)));
        ASH_TRY(ash_jinja_spend(run, 1 + (end - at) / 64));
        at = end + 1;
        if (percent)
            ASH_TRY(put_percent(run, format, &at, &feed, &text));
    }
    bool all = arguments.kind == JINJA_DICT ||
               feed.used == (arguments.kind == JINJA_TUPLE ? arguments.list->count : 1);
    if (!all)
        return ash_fail(ASH_ERR_FORMAT, "not all arguments converted during string formatting");
    return ash_jinja_text_value(&run->arena, text, out);
}

/* ---- str.format ------------------------------------------------------------------------------- */

/* The field's value: by number, by name, or the next one. */
static enum ash_status field_value(struct jinja_text name, const struct jinja_arguments *arguments,
    size_t *next, struct jinja_value *out)
{
    size_t at = 0, index = name.length ? (size_t)digits(name, &at) : (*next)++;
    for (size_t i = 0; at < name.length && i < arguments->named_count; i++) {
        if (ash_jinja_same(arguments->named[i].name, name)) {
            *out = arguments->named[i].value;
            return ASH_OK;
        }
    }
    if (at < name.length || index >= arguments->count)
        return ash_fail(ASH_ERR_FORMAT, "format has no value for the field '%.*s'",
            name.length < 60 ? (int)name.length : 60, ash_jinja_bytes(name));
    *out = arguments->value[index];
    return ASH_OK;
}

/* ":>8", ":05d", ":.2f": alignment, sign, zero, width, precision, letter. */
static enum ash_status parse_spec(struct jinja_text text, struct spec *spec, char *letter)
{
    size_t at = 0;
    const char *bytes = ash_jinja_bytes(text);
    *spec = (struct spec){ .precision = -1 };
    *letter = '\0';
    if (at < text.length && bytes[at] && strchr("<>^", bytes[at])) {
        spec->left = bytes[at] == '<';
        spec->right = bytes[at] == '>';
        spec->center = bytes[at++] == '^';
    }
    for (; at < text.length && bytes[at] && strchr("+ -", bytes[at]); at++) {
        spec->plus |= bytes[at] == '+';
        spec->space |= bytes[at] == ' ';
    }
    if (at < text.length && bytes[at] == '0') {
        spec->zero = true;
        at++;
    }
    spec->width = digits(text, &at);
    if (at < text.length && bytes[at] == '.') {
        at++;
        spec->precision = digits(text, &at);
    }
    if (at < text.length && bytes[at] && strchr("sdxXofeEgG", bytes[at]))
        *letter = bytes[at++];
    if (at < text.length || spec->width > 99 || spec->precision > 99)
        return ash_fail(ASH_ERR_UNSUPPORTED, "the format specification '%.*s' is not supported",
            text.length < 60 ? (int)text.length : 60, bytes);
    return ASH_OK;
}

static enum ash_status put_field(struct jinja_run *run, struct jinja_text field,
    const struct jinja_arguments *arguments, size_t *next, struct jinja_text *out)
{
    struct spec spec;
    struct jinja_value value;
    struct jinja_text text, name = field, rest = { 0 };
    char letter;
    const char *bytes = ash_jinja_bytes(field), *colon = memchr(bytes, ':', field.length);
    if (colon) {
        size_t at = (size_t)(colon - bytes);
        name = ash_jinja_slice(field, 0, at);
        rest = ash_jinja_slice(field, at + 1, field.length - at - 1);
    }
    ASH_TRY(field_value(name, arguments, next, &value));
    ASH_TRY(parse_spec(rest, &spec, &letter));
    bool number = ash_jinja_is_number(value) && value.kind != JINJA_BOOL;
    if (letter == '\0' && number && rest.length > 0)
        letter = value.kind == JINJA_INT ? 'd' : spec.precision >= 0 ? 'g' : '\0';
    if (letter && letter != 's')
        return put_number(run, value, letter, spec, out);
    ASH_TRY(ash_jinja_print(run, value, &text));
    if (!spec.right && !spec.center && !number)
        spec.left = true; /* texts stand left where nothing is said */
    return put_text(run, text, spec, out);
}

enum ash_status ash_jinja_braces(struct jinja_run *run, struct jinja_text format,
    const struct jinja_arguments *arguments, struct jinja_value *out)
{
    struct jinja_text text = { 0 };
    const char *bytes = ash_jinja_bytes(format);
    size_t next = 0;
    for (size_t at = 0; at < format.length;) {
        char c = bytes[at];
        ASH_TRY(ash_jinja_spend(run, 1));
        if (c != '{' && c != '}') {
            ASH_TRY(ash_jinja_append(&run->arena, &text, ash_jinja_slice(format, at++, 1)));
            continue;
        }
        if (at + 1 < format.length && bytes[at + 1] == c) {
            ASH_TRY(ash_jinja_append(&run->arena, &text, ash_jinja_slice(format, at, 1)));
            at += 2;
            continue;
        }
        const char *end = c == '{' ? memchr(bytes + at, '}', format.length - at) : NULL;
        if (!end)
            return ash_fail(ASH_ERR_FORMAT, "Single '%c' encountered in format string", c);
        size_t length = (size_t)(end - bytes) - at - 1;
        ASH_TRY(put_field(run, ash_jinja_slice(format, at + 1, length), arguments, &next, &text));
        at += length + 2;
    }
    return ash_jinja_text_value(&run->arena, text, out);
}

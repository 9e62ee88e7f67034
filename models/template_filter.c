/* SPDX-License-Identifier: Apache-2.0 */
#include "models/template_internal.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Filters over lists, dicts and numbers; those over texts are in template_filter_text.c. */
#define FILTER(name)                                                                               \
    static enum ash_status name(struct jinja_run *run, struct jinja_value self,                    \
        const struct jinja_arguments *arguments, struct jinja_value *out)

static bool given(struct jinja_value value)
{
    return value.kind != JINJA_ABSENT && value.kind != JINJA_NONE;
}

/* A new list of what the value iterates over, to be changed. */
static enum ash_status copy_list(
    struct jinja_run *run, struct jinja_value value, struct jinja_value *out)
{
    struct jinja_list *items;
    ASH_TRY(ash_jinja_iterate(run, value, &items));
    ASH_TRY(ash_jinja_list(&run->arena, JINJA_LIST, out));
    for (size_t i = 0; i < items->count; i++)
        ASH_TRY(ash_jinja_push(&run->arena, *out, items->item[i]));
    return ASH_OK;
}

/* ---- Anything --------------------------------------------------------------------------------- */

FILTER(filter_default)
{
    (void)run;
    bool replace = self.kind == JINJA_UNDEFINED ||
                   (ash_jinja_truth(arguments->value[1]) && !ash_jinja_truth(self));
    *out = replace ? arguments->value[0] : self;
    if (out->kind == JINJA_ABSENT)
        return ash_jinja_string(&run->arena, "", 0, true, out);
    return ASH_OK;
}

FILTER(filter_length)
{
    (void)arguments;
    switch (self.kind) {
    case JINJA_TEXT:
        *out = ash_jinja_int((int64_t)ash_jinja_chars(*self.text));
        return ash_jinja_spend(run, self.text->length / 16);
    case JINJA_LIST:
    case JINJA_TUPLE:
        *out = ash_jinja_int((int64_t)self.list->count);
        return ASH_OK;
    case JINJA_DICT:
        *out = ash_jinja_int((int64_t)self.dict->count);
        return ASH_OK;
    case JINJA_UNDEFINED:
        *out = ash_jinja_int(0);
        return ASH_OK;
    default:
        return ash_fail(ASH_ERR_FORMAT, "object of type '%s' has no len()", ash_jinja_type(self));
    }
}

FILTER(filter_tojson)
{
    struct jinja_json_style style = { .indent = -1 };
    struct jinja_text text;
    const struct jinja_value *value = arguments->value;
    int64_t indent;
    style.ascii = ash_jinja_truth(value[0]);
    if (given(value[1])) {
        ASH_TRY(ash_jinja_want_int(value[1], "tojson's indent", &indent));
        if (indent > 1000)
            return ash_fail(ASH_ERR_LIMIT, "tojson's indent is above 1000");
        style.indent = indent < 0 ? 0 : (int)indent;
    }
    ASH_TRY(ash_jinja_append_bytes(&run->arena, &style.item_separator,
        style.indent >= 0 ? "," : ", ", style.indent >= 0 ? 1 : 2, false));
    ASH_TRY(ash_jinja_append_bytes(&run->arena, &style.key_separator, ": ", 2, false));
    if (given(value[2])) {
        struct jinja_list *separators;
        ASH_TRY(ash_jinja_iterate(run, value[2], &separators));
        if (separators->count != 2)
            return ash_fail(ASH_ERR_FORMAT, "tojson's separators must be two");
        ASH_TRY(ash_jinja_want_text(separators->item[0], "a separator", &style.item_separator));
        ASH_TRY(ash_jinja_want_text(separators->item[1], "a separator", &style.key_separator));
    }
    style.sorted = ash_jinja_truth(value[3]);
    ASH_TRY(ash_jinja_to_json(run, self, &style, &text));
    return ash_jinja_text_value(&run->arena, text, out);
}

FILTER(filter_attr)
{
    struct jinja_text name;
    ASH_TRY(ash_jinja_print(run, arguments->value[0], &name));
    if (self.kind == JINJA_DICT && !ash_jinja_method(self, name)) {
        *out = ash_jinja_undefined("an attribute of a dict"); /* attributes only, never items */
        return ASH_OK;
    }
    return ash_jinja_attribute(run, self, name, out);
}

/* ---- Lists ------------------------------------------------------------------------------------ */

FILTER(filter_list)
{
    (void)arguments;
    return copy_list(run, self, out);
}

FILTER(filter_first)
{
    struct jinja_list *items;
    (void)arguments;
    ASH_TRY(ash_jinja_iterate(run, self, &items));
    *out = items->count ? items->item[0] : ash_jinja_undefined("the first item of nothing");
    return ASH_OK;
}

FILTER(filter_last)
{
    struct jinja_list *items;
    (void)arguments;
    ASH_TRY(ash_jinja_iterate(run, self, &items));
    *out = items->count ? items->item[items->count - 1]
                        : ash_jinja_undefined("the last item of nothing");
    return ASH_OK;
}

static void turn_round(struct jinja_list *list)
{
    for (size_t i = 0, j = list->count; i + 1 < j; i++) {
        struct jinja_value old = list->item[i];
        list->item[i] = list->item[--j];
        list->item[j] = old;
    }
}

FILTER(filter_reverse)
{
    struct jinja_text text = { 0 };
    struct jinja_value list;
    (void)arguments;
    ASH_TRY(copy_list(run, self, &list));
    turn_round(list.list);
    *out = list;
    if (self.kind != JINJA_TEXT)
        return ASH_OK;
    for (size_t i = 0; i < list.list->count; i++)
        ASH_TRY(ash_jinja_append(&run->arena, &text, *list.list->item[i].text));
    return ash_jinja_text_value(&run->arena, text, out);
}

FILTER(filter_join)
{
    struct jinja_list *items;
    struct jinja_text text = { 0 }, separator = { 0 }, piece;
    ASH_TRY(ash_jinja_iterate(run, self, &items));
    if (arguments->value[0].kind != JINJA_ABSENT)
        ASH_TRY(ash_jinja_print(run, arguments->value[0], &separator));
    for (size_t i = 0; i < items->count; i++) {
        struct jinja_value item = items->item[i];
        if (given(arguments->value[1]))
            ASH_TRY(ash_jinja_path(run, item, arguments->value[1], &item));
        ASH_TRY(ash_jinja_print(run, item, &piece));
        ASH_TRY(ash_jinja_spend(run, 1 + piece.length / 64));
        if (i > 0)
            ASH_TRY(ash_jinja_append(&run->arena, &text, separator));
        ASH_TRY(ash_jinja_append(&run->arena, &text, piece));
    }
    return ash_jinja_text_value(&run->arena, text, out);
}

/* The attribute of every item, or the items themselves. */
static enum ash_status attributes_of(struct jinja_run *run, const struct jinja_list *items,
    struct jinja_value path, struct jinja_value *out)
{
    ASH_TRY(ash_jinja_list(&run->arena, JINJA_LIST, out));
    for (size_t i = 0; i < items->count; i++) {
        struct jinja_value value = items->item[i];
        ASH_TRY(ash_jinja_spend(run, 1));
        if (given(path))
            ASH_TRY(ash_jinja_path(run, value, path, &value));
        ASH_TRY(ash_jinja_push(&run->arena, *out, value));
    }
    return ASH_OK;
}

FILTER(filter_sort)
{
    struct jinja_value by;
    const struct jinja_value *value = arguments->value;
    ASH_TRY(copy_list(run, self, out));
    ASH_TRY(attributes_of(run, out->list, value[2], &by));
    return ash_jinja_sort(
        run, out->list, by.list, !ash_jinja_truth(value[1]), ash_jinja_truth(value[0]));
}

FILTER(filter_unique)
{
    struct jinja_list *items;
    struct jinja_value by, seen;
    ASH_TRY(ash_jinja_iterate(run, self, &items));
    ASH_TRY(attributes_of(run, items, arguments->value[1], &by));
    ASH_TRY(ash_jinja_list(&run->arena, JINJA_LIST, &seen));
    ASH_TRY(ash_jinja_list(&run->arena, JINJA_LIST, out));
    for (size_t i = 0; i < items->count; i++) {
        struct jinja_value key = by.list->item[i];
        bool known;
        if (key.kind == JINJA_TEXT && !ash_jinja_truth(arguments->value[0]))
            ASH_TRY(ash_jinja_change_case(run, *key.text, JINJA_LOWER, &key));
        ASH_TRY(ash_jinja_contains(run, seen, key, &known));
        if (known)
            continue;
        ASH_TRY(ash_jinja_push(&run->arena, seen, key));
        ASH_TRY(ash_jinja_push(&run->arena, *out, items->item[i]));
    }
    return ASH_OK;
}

static enum ash_status extreme(struct jinja_run *run, struct jinja_value self,
    const struct jinja_arguments *arguments, bool largest, struct jinja_value *out)
{
    struct jinja_value list, by;
    ASH_TRY(copy_list(run, self, &list));
    ASH_TRY(attributes_of(run, list.list, arguments->value[1], &by));
    ASH_TRY(
        ash_jinja_sort(run, list.list, by.list, !ash_jinja_truth(arguments->value[0]), largest));
    *out = list.list->count ? list.list->item[0] : ash_jinja_undefined("an item of nothing");
    return ASH_OK;
}

FILTER(filter_min)
{
    return extreme(run, self, arguments, false, out);
}

FILTER(filter_max)
{
    return extreme(run, self, arguments, true, out);
}

FILTER(filter_sum)
{
    struct jinja_list *items;
    const struct jinja_value *value = arguments->value;
    ASH_TRY(ash_jinja_iterate(run, self, &items));
    *out = value[1].kind == JINJA_ABSENT ? ash_jinja_int(0) : value[1];
    for (size_t i = 0; i < items->count; i++) {
        struct jinja_value item = items->item[i];
        ASH_TRY(ash_jinja_spend(run, 1));
        if (given(value[0]))
            ASH_TRY(ash_jinja_path(run, item, value[0], &item));
        ASH_TRY(ash_jinja_binary(run, '+', *out, item, out));
    }
    return ASH_OK;
}

FILTER(filter_batch)
{
    struct jinja_list *items;
    int64_t size;
    ASH_TRY(ash_jinja_want_int(arguments->value[0], "batch's size", &size));
    ASH_TRY(ash_jinja_iterate(run, self, &items));
    ASH_TRY(ash_jinja_list(&run->arena, JINJA_LIST, out));
    struct jinja_value batch = { 0 };
    for (size_t i = 0; i < items->count; i++) {
        if (batch.kind == JINJA_ABSENT || (int64_t)batch.list->count == size) {
            ASH_TRY(ash_jinja_list(&run->arena, JINJA_LIST, &batch));
            ASH_TRY(ash_jinja_push(&run->arena, *out, batch));
        }
        ASH_TRY(ash_jinja_push(&run->arena, batch, items->item[i]));
    }
    while (
        batch.kind == JINJA_LIST && given(arguments->value[1]) && (int64_t)batch.list->count < size)
        ASH_TRY(ash_jinja_push(&run->arena, batch, arguments->value[1]));
    return ASH_OK;
}

/* ---- Dicts ------------------------------------------------------------------------------------ */

FILTER(filter_items)
{
    (void)arguments;
    if (self.kind == JINJA_UNDEFINED)
        return ash_jinja_list(&run->arena, JINJA_LIST, out);
    if (self.kind != JINJA_DICT)
        return ash_fail(ASH_ERR_FORMAT, "Can only get item pairs from a mapping.");
    ASH_TRY(ash_jinja_list(&run->arena, JINJA_LIST, out));
    for (size_t i = 0; i < self.dict->count; i++) {
        struct jinja_value pair;
        ASH_TRY(ash_jinja_list(&run->arena, JINJA_TUPLE, &pair));
        ASH_TRY(ash_jinja_push(&run->arena, pair, self.dict->entry[i].key));
        ASH_TRY(ash_jinja_push(&run->arena, pair, self.dict->entry[i].value));
        ASH_TRY(ash_jinja_push(&run->arena, *out, pair));
    }
    return ash_jinja_spend(run, self.dict->count);
}

FILTER(filter_dictsort)
{
    struct jinja_value by;
    const struct jinja_value *value = arguments->value;
    bool by_value = value[1].kind == JINJA_TEXT && ash_jinja_is(*value[1].text, "value");
    if (self.kind != JINJA_DICT)
        return ash_fail(ASH_ERR_FORMAT, "dictsort wants a mapping, not %s", ash_jinja_type(self));
    ASH_TRY(filter_items(run, self, arguments, out));
    ASH_TRY(attributes_of(run, out->list, ash_jinja_int(by_value), &by));
    return ash_jinja_sort(
        run, out->list, by.list, !ash_jinja_truth(value[0]), ash_jinja_truth(value[2]));
}

/* ---- Every item through a filter or a test ----------------------------------------------------- */

static struct jinja_arguments after(const struct jinja_arguments *arguments, size_t count)
{
    struct jinja_arguments rest = *arguments;
    rest.value += count < rest.count ? count : rest.count;
    rest.count -= count < rest.count ? count : rest.count;
    return rest;
}

static struct jinja_value named(const struct jinja_arguments *arguments, const char *name)
{
    for (size_t i = 0; i < arguments->named_count; i++)
        if (ash_jinja_is(arguments->named[i].name, name))
            return arguments->named[i].value;
    return (struct jinja_value){ 0 };
}

/* The filter or test that the first argument names. */
static enum ash_status builtin_of(const struct jinja_arguments *arguments,
    const struct jinja_builtin *(*find)(struct jinja_text), const char *what,
    const struct jinja_builtin **out)
{
    struct jinja_text name;
    if (arguments->count == 0)
        return ash_fail(ASH_ERR_FORMAT, "expected the name of a %s", what);
    ASH_TRY(ash_jinja_want_text(arguments->value[0], "the name of a filter or test", &name));
    *out = find(name);
    if (!*out)
        return ash_fail(ASH_ERR_UNSUPPORTED, "the %s '%.*s' is not supported", what,
            name.length < 60 ? (int)name.length : 60, ash_jinja_bytes(name));
    return ASH_OK;
}

FILTER(filter_map)
{
    struct jinja_list *items;
    const struct jinja_builtin *filter = NULL;
    struct jinja_value path = named(arguments, "attribute"), other = named(arguments, "default");
    struct jinja_arguments rest = after(arguments, 1);
    if (path.kind == JINJA_ABSENT)
        ASH_TRY(builtin_of(arguments, ash_jinja_filter, "filter", &filter));
    ASH_TRY(ash_jinja_iterate(run, self, &items));
    ASH_TRY(ash_jinja_list(&run->arena, JINJA_LIST, out));
    for (size_t i = 0; i < items->count; i++) {
        struct jinja_value value;
        ASH_TRY(ash_jinja_spend(run, 1));
        if (filter)
            ASH_TRY(ash_jinja_call_builtin(run, filter, items->item[i], &rest, &value));
        else
            ASH_TRY(ash_jinja_path(run, items->item[i], path, &value));
        if (!filter && value.kind == JINJA_UNDEFINED && other.kind != JINJA_ABSENT)
            value = other;
        ASH_TRY(ash_jinja_push(&run->arena, *out, value));
    }
    return ASH_OK;
}

/* Keeps the items whose test gives `wanted`; the test is on an attribute, or on the item. */
static enum ash_status select_items(struct jinja_run *run, struct jinja_value self,
    const struct jinja_arguments *arguments, bool attribute, bool wanted, struct jinja_value *out)
{
    struct jinja_list *items;
    const struct jinja_builtin *test = NULL;
    struct jinja_arguments rest = after(arguments, attribute);
    if (attribute && arguments->count == 0)
        return ash_fail(ASH_ERR_FORMAT, "expected the name of an attribute");
    if (rest.count > 0)
        ASH_TRY(builtin_of(&rest, ash_jinja_test, "test", &test));
    rest = after(&rest, 1);
    ASH_TRY(ash_jinja_iterate(run, self, &items));
    ASH_TRY(ash_jinja_list(&run->arena, JINJA_LIST, out));
    for (size_t i = 0; i < items->count; i++) {
        struct jinja_value value = items->item[i];
        ASH_TRY(ash_jinja_spend(run, 1));
        if (attribute)
            ASH_TRY(ash_jinja_path(run, value, arguments->value[0], &value));
        if (test)
            ASH_TRY(ash_jinja_call_builtin(run, test, value, &rest, &value));
        if (ash_jinja_truth(value) == wanted)
            ASH_TRY(ash_jinja_push(&run->arena, *out, items->item[i]));
    }
    return ASH_OK;
}

FILTER(filter_select)
{
    return select_items(run, self, arguments, false, true, out);
}

FILTER(filter_reject)
{
    return select_items(run, self, arguments, false, false, out);
}

FILTER(filter_selectattr)
{
    return select_items(run, self, arguments, true, true, out);
}

FILTER(filter_rejectattr)
{
    return select_items(run, self, arguments, true, false, out);
}

/* ---- Numbers ---------------------------------------------------------------------------------- */

FILTER(filter_abs)
{
    (void)arguments;
    if (!ash_jinja_is_number(self))
        return ash_fail(ASH_ERR_FORMAT, "bad operand type for abs(): '%s'", ash_jinja_type(self));
    if (ash_jinja_as_double(self) < 0)
        return ash_jinja_binary(run, '-', ash_jinja_int(0), self, out);
    return ash_jinja_binary(run, '+', ash_jinja_int(0), self, out);
}

FILTER(filter_round)
{
    int64_t precision = 0;
    char digits[400];
    const struct jinja_value *value = arguments->value;
    struct jinja_text method = { 0 };
    (void)run;
    if (!ash_jinja_is_number(self))
        return ash_fail(ASH_ERR_FORMAT, "a %s cannot be rounded", ash_jinja_type(self));
    if (value[0].kind != JINJA_ABSENT)
        ASH_TRY(ash_jinja_want_int(value[0], "round's precision", &precision));
    if (value[1].kind != JINJA_ABSENT)
        ASH_TRY(ash_jinja_want_text(value[1], "round's method", &method));
    if (precision < 0 || precision > 20)
        return ash_fail(ASH_ERR_UNSUPPORTED, "round's precision must be from 0 to 20");
    double number = ash_jinja_as_double(self), scale = pow(10, (double)precision);
    if (ash_jinja_is(method, "ceil"))
        *out = ash_jinja_float(ceil(number * scale) / scale);
    else if (ash_jinja_is(method, "floor"))
        *out = ash_jinja_float(floor(number * scale) / scale);
    else if (method.length > 0 && !ash_jinja_is(method, "common"))
        return ash_fail(ASH_ERR_FORMAT, "method must be common, ceil or floor");
    else { /* printf rounds the exact value to even, as Python does */
        snprintf(digits, sizeof digits, "%.*f", (int)precision, number);
        *out = self.kind == JINJA_FLOAT ? ash_jinja_float(strtod(digits, NULL)) : self;
    }
    return ASH_OK;
}

const struct jinja_builtin *ash_jinja_filter(struct jinja_text name)
{
    static const struct jinja_builtin filters[] = {
        { "abs", filter_abs, { NULL }, 0, false },
        { "attr", filter_attr, { "name" }, 1, false },
        { "batch", filter_batch, { "linecount", "fill_with" }, 1, false },
        { "count", filter_length, { NULL }, 0, false },
        { "d", filter_default, { "default_value", "boolean" }, 0, false },
        { "default", filter_default, { "default_value", "boolean" }, 0, false },
        { "dictsort", filter_dictsort, { "case_sensitive", "by", "reverse" }, 0, false },
        { "first", filter_first, { NULL }, 0, false },
        { "items", filter_items, { NULL }, 0, false },
        { "join", filter_join, { "d", "attribute" }, 0, false },
        { "last", filter_last, { NULL }, 0, false },
        { "length", filter_length, { NULL }, 0, false },
        { "list", filter_list, { NULL }, 0, false },
        { "map", filter_map, { NULL }, 0, true },
        { "max", filter_max, { "case_sensitive", "attribute" }, 0, false },
        { "min", filter_min, { "case_sensitive", "attribute" }, 0, false },
        { "reject", filter_reject, { NULL }, 0, true },
        { "rejectattr", filter_rejectattr, { NULL }, 0, true },
        { "reverse", filter_reverse, { NULL }, 0, false },
        { "round", filter_round, { "precision", "method" }, 0, false },
        { "select", filter_select, { NULL }, 0, true },
        { "selectattr", filter_selectattr, { NULL }, 0, true },
        { "sort", filter_sort, { "reverse", "case_sensitive", "attribute" }, 0, false },
        { "sum", filter_sum, { "attribute", "start" }, 0, false },
        { "tojson", filter_tojson, { "ensure_ascii", "indent", "separators", "sort_keys" }, 0,
            false },
        { "unique", filter_unique, { "case_sensitive", "attribute" }, 0, false },
    };
    const struct jinja_builtin *found =
        ash_jinja_find_builtin(filters, sizeof filters / sizeof filters[0], name);
    return found ? found : ash_jinja_text_filter(name);
}

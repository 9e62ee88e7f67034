/* SPDX-License-Identifier: Apache-2.0 */
#include "models/template_internal.h"

#include <string.h>

/* ---- Loop ------------------------------------------------------------------------------------ */

/* Undefined where `loop` has no such attribute. */
static struct jinja_value loop_attribute(const struct jinja_loop *loop, struct jinja_text name)
{
    int64_t index = (int64_t)loop->index, count = (int64_t)loop->items->count;
    const struct jinja_value none = ash_jinja_undefined(NULL);
    const struct {
        const char *name;
        struct jinja_value value;
    } attributes[] = {
        { "index", ash_jinja_int(index + 1) },
        { "index0", ash_jinja_int(index) },
        { "revindex", ash_jinja_int(count - index) },
        { "revindex0", ash_jinja_int(count - index - 1) },
        { "first", ash_jinja_bool(index == 0) },
        { "last", ash_jinja_bool(index == count - 1) },
        { "length", ash_jinja_int(count) },
        { "depth", ash_jinja_int(loop->depth + 1) },
        { "depth0", ash_jinja_int(loop->depth) },
        { "previtem", index > 0 ? loop->items->item[index - 1] : none },
        { "nextitem", index + 1 < count ? loop->items->item[index + 1] : none },
    };
    for (size_t i = 0; i < sizeof attributes / sizeof attributes[0]; i++)
        if (ash_jinja_is(name, attributes[i].name))
            return attributes[i].value;
    return none;
}

/* ---- Attributes and items --------------------------------------------------------------------- */

static enum ash_status undefined_access(struct jinja_value value)
{
    return ash_fail(
        ASH_ERR_FORMAT, "'%s' is undefined", value.name ? value.name : "a value that is used");
}

/* A name to remember an undefined value by, for the message of whoever trips over it. */
static enum ash_status undefined_named(
    struct jinja_run *run, struct jinja_text name, struct jinja_value *out)
{
    char *copy;
    size_t length = name.length < 60 ? name.length : 60;
    ASH_TRY(JINJA_NEW(&run->arena, length + 1, &copy));
    memcpy(copy, ash_jinja_bytes(name), length);
    *out = ash_jinja_undefined(copy);
    return ASH_OK;
}

/* What Python's getattr finds, without looking at items. UNDEFINED without a name: nothing. */
static enum ash_status own_attribute(struct jinja_run *run, struct jinja_value value,
    struct jinja_text name, struct jinja_value *out)
{
    *out = ash_jinja_undefined(NULL);
    if (value.kind == JINJA_NAMESPACE) {
        struct jinja_value *found = ash_jinja_lookup_name(value, name);
        if (found)
            *out = *found;
        return ASH_OK;
    }
    if (value.kind == JINJA_LOOP)
        *out = loop_attribute(value.loop, name);
    if (value.kind == JINJA_MACRO && ash_jinja_is(name, "name"))
        *out = value.macro->node->value;
    const struct jinja_builtin *method = ash_jinja_method(value, name);
    if (!method)
        return ASH_OK;
    struct jinja_function *function;
    ASH_TRY(JINJA_NEW(&run->arena, 1, &function));
    *function = (struct jinja_function){ method, value };
    *out = (struct jinja_value){ .kind = JINJA_FUNCTION, .function = function };
    return ASH_OK;
}

enum ash_status ash_jinja_attribute(struct jinja_run *run, struct jinja_value value,
    struct jinja_text name, struct jinja_value *out)
{
    if (value.kind == JINJA_UNDEFINED)
        return undefined_access(value);
    ASH_TRY(own_attribute(run, value, name, out));
    if (out->kind != JINJA_UNDEFINED)
        return ASH_OK;
    struct jinja_value *item = value.kind == JINJA_DICT ? ash_jinja_lookup_name(value, name) : NULL;
    if (value.kind == JINJA_DICT)
        ASH_TRY(ash_jinja_spend(run, value.dict->count / 16));
    if (item) {
        *out = *item;
        return ASH_OK;
    }
    return undefined_named(run, name, out);
}

static enum ash_status text_item(
    struct jinja_run *run, struct jinja_text text, int64_t index, struct jinja_value *out)
{
    int64_t count = (int64_t)ash_jinja_chars(text);
    ASH_TRY(ash_jinja_spend(run, text.length / 16));
    if (index < 0)
        index += count;
    if (index < 0 || index >= count) {
        *out = ash_jinja_undefined("a character past the end");
        return ASH_OK;
    }
    size_t at = ash_jinja_char_start(text, (size_t)index);
    return ash_jinja_text_value(
        &run->arena, ash_jinja_slice(text, at, ash_jinja_char_bytes(text, at)), out);
}

enum ash_status ash_jinja_item(struct jinja_run *run, struct jinja_value value,
    struct jinja_value key, struct jinja_value *out)
{
    if (value.kind == JINJA_UNDEFINED)
        return undefined_access(value);
    bool is_int = key.kind == JINJA_INT || key.kind == JINJA_BOOL;
    int64_t index = key.kind == JINJA_BOOL ? key.boolean : key.integer;
    if (value.kind == JINJA_DICT) {
        struct jinja_value *found = NULL;
        if (key.kind != JINJA_LIST && key.kind != JINJA_DICT)
            ASH_TRY(ash_jinja_lookup(run, value, key, &found));
        if (found) {
            *out = *found;
            return ASH_OK;
        }
    } else if (is_int && value.kind == JINJA_TEXT) {
        return text_item(run, *value.text, index, out);
    } else if (is_int && (value.kind == JINJA_LIST || value.kind == JINJA_TUPLE)) {
        int64_t count = (int64_t)value.list->count;
        index += index < 0 ? count : 0;
        *out = index >= 0 && index < count ? value.list->item[index]
                                           : ash_jinja_undefined("an item past the end");
        return ASH_OK;
    }
    if (key.kind != JINJA_TEXT) {
        *out = ash_jinja_undefined("an item that does not exist");
        return ASH_OK;
    }
    ASH_TRY(own_attribute(run, value, *key.text, out));
    return out->kind == JINJA_UNDEFINED ? undefined_named(run, *key.text, out) : ASH_OK;
}

/* ---- Slices ----------------------------------------------------------------------------------- */

struct range {
    int64_t start, stop, step;
};

/* Python's slice.indices() for a sequence of `count`. */
static enum ash_status resolve(const struct jinja_value bounds[3], int64_t count, struct range *out)
{
    int64_t value[3] = { 0, 0, 1 };
    bool given[3];
    for (int i = 0; i < 3; i++) {
        given[i] = bounds[i].kind != JINJA_ABSENT && bounds[i].kind != JINJA_NONE;
        if (given[i])
            ASH_TRY(ash_jinja_want_int(bounds[i], "slice indices", &value[i]));
    }
    if (value[2] == 0)
        return ash_fail(ASH_ERR_FORMAT, "slice step cannot be zero");
    /* No step is longer than the sequence; so clamped, additions below cannot overflow. */
    int64_t step = value[2] > count ? count + 1 : value[2] < -count ? -count - 1 : value[2];
    int64_t low = step < 0 ? -1 : 0, high = step < 0 ? count - 1 : count;
    for (int i = 0; i < 2; i++) {
        if (!given[i])
            value[i] = (i == 0) == (step > 0) ? low : high;
        else if (value[i] < 0)
            value[i] = value[i] + count < low ? low : value[i] + count;
        else if (value[i] > high)
            value[i] = high;
    }
    *out = (struct range){ value[0], value[1], step };
    return ASH_OK;
}

static enum ash_status slice_list(
    struct jinja_run *run, struct jinja_value value, struct range range, struct jinja_value *out)
{
    ASH_TRY(ash_jinja_list(&run->arena, value.kind, out));
    for (int64_t i = range.start; range.step > 0 ? i < range.stop : i > range.stop; i += range.step)
        ASH_TRY(ash_jinja_push(&run->arena, *out, value.list->item[i]));
    return ash_jinja_spend(run, out->list->count / 16);
}

/* Neighbours share the text's bytes; other steps pick characters out of a list of them. */
static enum ash_status slice_text(
    struct jinja_run *run, struct jinja_value value, struct range range, struct jinja_value *out)
{
    struct jinja_text text = *value.text, picked = { 0 };
    if (range.step == 1) {
        int64_t length = range.stop > range.start ? range.stop - range.start : 0;
        size_t start = ash_jinja_char_start(text, (size_t)range.start);
        struct jinja_text rest = ash_jinja_slice(text, start, text.length - start);
        size_t end = ash_jinja_char_start(rest, (size_t)length);
        return ash_jinja_text_value(&run->arena, ash_jinja_slice(rest, 0, end), out);
    }
    struct jinja_list *characters;
    struct jinja_value list = { .kind = JINJA_LIST }, slice;
    ASH_TRY(ash_jinja_iterate(run, value, &characters));
    list.list = characters;
    ASH_TRY(slice_list(run, list, range, &slice));
    for (size_t i = 0; i < slice.list->count; i++)
        ASH_TRY(ash_jinja_append(&run->arena, &picked, *slice.list->item[i].text));
    return ash_jinja_text_value(&run->arena, picked, out);
}

enum ash_status ash_jinja_slice_value(struct jinja_run *run, struct jinja_value value,
    const struct jinja_value bounds[3], struct jinja_value *out)
{
    struct range range;
    if (value.kind == JINJA_UNDEFINED)
        return undefined_access(value);
    if (value.kind == JINJA_TEXT) {
        ASH_TRY(ash_jinja_spend(run, value.text->length / 16));
        ASH_TRY(resolve(bounds, (int64_t)ash_jinja_chars(*value.text), &range));
        return slice_text(run, value, range, out);
    }
    if (value.kind == JINJA_LIST || value.kind == JINJA_TUPLE) {
        ASH_TRY(resolve(bounds, (int64_t)value.list->count, &range));
        return slice_list(run, value, range, out);
    }
    *out = ash_jinja_undefined("a slice");
    return ASH_OK;
}

/* "12" -> 12; negative if the name is no number. */
static int64_t as_index(struct jinja_text name)
{
    int64_t index = name.length > 0 && name.length < 10 ? 0 : -1;
    for (size_t i = 0; index >= 0 && i < name.length; i++) {
        char c = ash_jinja_bytes(name)[i];
        index = c >= '0' && c <= '9' ? index * 10 + (c - '0') : -1;
    }
    return index;
}

enum ash_status ash_jinja_path(struct jinja_run *run, struct jinja_value value,
    struct jinja_value path, struct jinja_value *out)
{
    *out = value;
    if (path.kind != JINJA_TEXT)
        return ash_jinja_item(run, value, path, out);
    struct jinja_text rest = *path.text;
    for (bool last = false; !last;) {
        const char *bytes = ash_jinja_bytes(rest), *point = memchr(bytes, '.', rest.length);
        size_t length = point ? (size_t)(point - bytes) : rest.length;
        struct jinja_text name = ash_jinja_slice(rest, 0, length);
        struct jinja_value key;
        int64_t index = as_index(name);
        if (index >= 0)
            key = ash_jinja_int(index);
        else
            ASH_TRY(ash_jinja_text_value(&run->arena, name, &key));
        ASH_TRY(ash_jinja_item(run, *out, key, out));
        last = !point;
        rest = ash_jinja_slice(rest, last ? length : length + 1, rest.length - length - !last);
    }
    return ASH_OK;
}

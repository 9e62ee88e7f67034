/* SPDX-License-Identifier: Apache-2.0 */
#include "models/template_internal.h"

#include <string.h>

const char *ash_jinja_type(struct jinja_value value)
{
    static const char *const names[] = {
        [JINJA_ABSENT] = "nothing",
        [JINJA_UNDEFINED] = "Undefined",
        [JINJA_NONE] = "NoneType",
        [JINJA_BOOL] = "bool",
        [JINJA_INT] = "int",
        [JINJA_FLOAT] = "float",
        [JINJA_TEXT] = "str",
        [JINJA_LIST] = "list",
        [JINJA_TUPLE] = "tuple",
        [JINJA_DICT] = "dict",
        [JINJA_NAMESPACE] = "Namespace",
        [JINJA_LOOP] = "LoopContext",
        [JINJA_MACRO] = "Macro",
        [JINJA_FUNCTION] = "function",
    };
    return names[value.kind];
}

enum ash_status ash_jinja_text_value(
    struct jinja_arena *arena, struct jinja_text text, struct jinja_value *out)
{
    struct jinja_text *copy;
    ASH_TRY(JINJA_NEW(arena, 1, &copy));
    *copy = text;
    *out = (struct jinja_value){ .kind = JINJA_TEXT, .text = copy };
    return ASH_OK;
}

enum ash_status ash_jinja_string(struct jinja_arena *arena, const char *bytes, size_t length,
    bool trusted, struct jinja_value *out)
{
    struct jinja_text text = { 0 };
    ASH_TRY(ash_jinja_append_bytes(arena, &text, bytes, length, trusted));
    return ash_jinja_text_value(arena, text, out);
}

enum ash_status ash_jinja_list(
    struct jinja_arena *arena, enum jinja_kind kind, struct jinja_value *out)
{
    struct jinja_list *list;
    ASH_TRY(JINJA_NEW(arena, 1, &list));
    *out = (struct jinja_value){ .kind = kind, .list = list };
    return ASH_OK;
}

/* Arena memory is never given back: doubling wastes as much as it keeps, no more. */
static enum ash_status grow(
    struct jinja_arena *arena, void **items, size_t *capacity, size_t count, size_t item_bytes)
{
    if (count < *capacity)
        return ASH_OK;
    void *fresh;
    size_t wanted = count ? count * 2 : 4;
    ASH_TRY(ash_jinja_alloc(arena, wanted, item_bytes, &fresh));
    if (count)
        memcpy(fresh, *items, count * item_bytes);
    *items = fresh;
    *capacity = wanted;
    return ASH_OK;
}

enum ash_status ash_jinja_push(
    struct jinja_arena *arena, struct jinja_value value, struct jinja_value item)
{
    struct jinja_list *list = value.list;
    void *items = list->item;
    ASH_TRY(grow(arena, &items, &list->capacity, list->count, sizeof *list->item));
    list->item = items;
    list->item[list->count++] = item;
    return ASH_OK;
}

enum ash_status ash_jinja_dict(
    struct jinja_arena *arena, enum jinja_kind kind, struct jinja_value *out)
{
    struct jinja_dict *dict;
    ASH_TRY(JINJA_NEW(arena, 1, &dict));
    *out = (struct jinja_value){ .kind = kind, .dict = dict };
    return ASH_OK;
}

enum ash_status ash_jinja_put_new(struct jinja_arena *arena, struct jinja_value value,
    struct jinja_value key, struct jinja_value item)
{
    struct jinja_dict *dict = value.dict;
    void *entries = dict->entry;
    ASH_TRY(grow(arena, &entries, &dict->capacity, dict->count, sizeof *dict->entry));
    dict->entry = entries;
    dict->entry[dict->count++] = (struct jinja_entry){ key, item };
    return ASH_OK;
}

enum ash_status ash_jinja_put(struct jinja_run *run, struct jinja_value dict,
    struct jinja_value key, struct jinja_value value)
{
    struct jinja_value *old;
    ASH_TRY(ash_jinja_lookup(run, dict, key, &old));
    if (!old)
        return ash_jinja_put_new(&run->arena, dict, key, value);
    *old = value;
    return ASH_OK;
}

struct jinja_value *ash_jinja_lookup_name(struct jinja_value value, struct jinja_text name)
{
    for (size_t i = 0; i < value.dict->count; i++) {
        struct jinja_entry *entry = &value.dict->entry[i];
        if (entry->key.kind == JINJA_TEXT && ash_jinja_same(*entry->key.text, name))
            return &entry->value;
    }
    return NULL;
}

enum ash_status ash_jinja_lookup(struct jinja_run *run, struct jinja_value value,
    struct jinja_value key, struct jinja_value **out)
{
    *out = NULL;
    ASH_TRY(ash_jinja_spend(run, 1 + value.dict->count / 16));
    if (key.kind == JINJA_LIST || key.kind == JINJA_DICT)
        return ash_fail(ASH_ERR_FORMAT, "unhashable type: '%s'", ash_jinja_type(key));
    if (key.kind == JINJA_TEXT) {
        *out = ash_jinja_lookup_name(value, *key.text);
        return ASH_OK;
    }
    for (size_t i = 0; i < value.dict->count && !*out; i++) {
        bool equal;
        ASH_TRY(ash_jinja_equal(run, value.dict->entry[i].key, key, &equal));
        if (equal)
            *out = &value.dict->entry[i].value;
    }
    return ASH_OK;
}

bool ash_jinja_truth(struct jinja_value value)
{
    switch (value.kind) {
    case JINJA_ABSENT:
    case JINJA_UNDEFINED:
    case JINJA_NONE:
        return false;
    case JINJA_BOOL:
        return value.boolean;
    case JINJA_INT:
        return value.integer != 0;
    case JINJA_FLOAT:
        return value.number != 0;
    case JINJA_TEXT:
        return value.text->length > 0;
    case JINJA_LIST:
    case JINJA_TUPLE:
        return value.list->count > 0;
    case JINJA_DICT:
        return value.dict->count > 0;
    case JINJA_NAMESPACE:
    case JINJA_LOOP:
    case JINJA_MACRO:
    case JINJA_FUNCTION:
        return true;
    }
    return false;
}

bool ash_jinja_is_number(struct jinja_value value)
{
    return value.kind == JINJA_BOOL || value.kind == JINJA_INT || value.kind == JINJA_FLOAT;
}

double ash_jinja_as_double(struct jinja_value value)
{
    return value.kind == JINJA_FLOAT  ? value.number
           : value.kind == JINJA_BOOL ? value.boolean
                                      : (double)value.integer;
}

static int64_t as_int(struct jinja_value value)
{
    return value.kind == JINJA_BOOL ? value.boolean : value.integer;
}

static int order_numbers(struct jinja_value a, struct jinja_value b)
{
    if (a.kind == JINJA_FLOAT || b.kind == JINJA_FLOAT) {
        double x = ash_jinja_as_double(a), y = ash_jinja_as_double(b);
        return (x > y) - (x < y);
    }
    return (as_int(a) > as_int(b)) - (as_int(a) < as_int(b));
}

static enum ash_status equal_lists(
    struct jinja_run *run, const struct jinja_list *a, const struct jinja_list *b, bool *out)
{
    *out = a->count == b->count;
    for (size_t i = 0; *out && i < a->count; i++)
        ASH_TRY(ash_jinja_equal(run, a->item[i], b->item[i], out));
    return ASH_OK;
}

static enum ash_status equal_dicts(
    struct jinja_run *run, struct jinja_value a, struct jinja_value b, bool *out)
{
    *out = a.dict->count == b.dict->count;
    for (size_t i = 0; *out && i < a.dict->count; i++) {
        struct jinja_value *found;
        ASH_TRY(ash_jinja_lookup(run, b, a.dict->entry[i].key, &found));
        *out = false;
        if (found)
            ASH_TRY(ash_jinja_equal(run, a.dict->entry[i].value, *found, out));
    }
    return ASH_OK;
}

static enum ash_status equal_inside(
    struct jinja_run *run, struct jinja_value a, struct jinja_value b, bool *out)
{
    *out = false;
    if (ash_jinja_is_number(a) && ash_jinja_is_number(b)) {
        bool nan = (a.kind == JINJA_FLOAT && a.number != a.number) ||
                   (b.kind == JINJA_FLOAT && b.number != b.number);
        *out = !nan && order_numbers(a, b) == 0;
        return ASH_OK;
    }
    if (a.kind != b.kind)
        return ASH_OK;
    switch (a.kind) {
    case JINJA_TEXT:
        *out = ash_jinja_same(*a.text, *b.text);
        return ash_jinja_spend(run, a.text->length / 64);
    case JINJA_LIST:
    case JINJA_TUPLE:
        return equal_lists(run, a.list, b.list, out);
    case JINJA_DICT:
        return equal_dicts(run, a, b, out);
    case JINJA_NAMESPACE:
        *out = a.dict == b.dict;
        return ASH_OK;
    case JINJA_LOOP:
        *out = a.loop == b.loop;
        return ASH_OK;
    case JINJA_MACRO:
        *out = a.macro == b.macro;
        return ASH_OK;
    case JINJA_FUNCTION:
        *out = a.function == b.function;
        return ASH_OK;
    default: /* undefined, none */
        *out = true;
        return ASH_OK;
    }
}

enum ash_status ash_jinja_equal(
    struct jinja_run *run, struct jinja_value a, struct jinja_value b, bool *out)
{
    ASH_TRY(ash_jinja_spend(run, 1));
    ASH_TRY(ash_jinja_enter(run));
    enum ash_status status = equal_inside(run, a, b, out);
    ash_jinja_leave(run);
    return status;
}

static enum ash_status compare_lists(struct jinja_run *run, const struct jinja_list *a,
    const struct jinja_list *b, const char *op, int *out)
{
    for (size_t i = 0; i < a->count && i < b->count; i++) {
        bool equal;
        ASH_TRY(ash_jinja_equal(run, a->item[i], b->item[i], &equal));
        if (!equal)
            return ash_jinja_compare(run, a->item[i], b->item[i], op, out);
    }
    *out = (a->count > b->count) - (a->count < b->count);
    return ASH_OK;
}

enum ash_status ash_jinja_compare(
    struct jinja_run *run, struct jinja_value a, struct jinja_value b, const char *op, int *out)
{
    ASH_TRY(ash_jinja_spend(run, 1));
    if (ash_jinja_is_number(a) && ash_jinja_is_number(b)) {
        *out = order_numbers(a, b);
        return ASH_OK;
    }
    if (a.kind == JINJA_TEXT && b.kind == JINJA_TEXT) {
        *out = ash_jinja_order(*a.text, *b.text);
        return ash_jinja_spend(run, a.text->length / 64);
    }
    if (a.kind == b.kind && (a.kind == JINJA_LIST || a.kind == JINJA_TUPLE)) {
        ASH_TRY(ash_jinja_enter(run));
        enum ash_status status = compare_lists(run, a.list, b.list, op, out);
        ash_jinja_leave(run);
        return status;
    }
    return ash_fail(ASH_ERR_FORMAT, "'%s' not supported between instances of '%s' and '%s'", op,
        ash_jinja_type(a), ash_jinja_type(b));
}

enum ash_status ash_jinja_contains(
    struct jinja_run *run, struct jinja_value container, struct jinja_value item, bool *out)
{
    if (container.kind == JINJA_TEXT) {
        if (item.kind != JINJA_TEXT)
            return ash_fail(ASH_ERR_FORMAT, "'in <string>' requires string as left operand, not %s",
                ash_jinja_type(item));
        *out = ash_jinja_find(*container.text, *item.text, 0) != SIZE_MAX;
        return ash_jinja_spend(run, container.text->length / 16);
    }
    if (container.kind == JINJA_DICT) {
        struct jinja_value *found;
        ASH_TRY(ash_jinja_lookup(run, container, item, &found));
        *out = found != NULL;
        return ASH_OK;
    }
    struct jinja_list *list;
    ASH_TRY(ash_jinja_iterate(run, container, &list));
    *out = false;
    for (size_t i = 0; !*out && i < list->count; i++)
        ASH_TRY(ash_jinja_equal(run, list->item[i], item, out));
    return ASH_OK;
}

static enum ash_status iterate_text(
    struct jinja_run *run, struct jinja_text text, struct jinja_value list)
{
    for (size_t at = 0, bytes; at < text.length; at += bytes) {
        struct jinja_value character;
        bytes = ash_jinja_char_bytes(text, at);
        ASH_TRY(ash_jinja_text_value(&run->arena, ash_jinja_slice(text, at, bytes), &character));
        ASH_TRY(ash_jinja_push(&run->arena, list, character));
    }
    return ash_jinja_spend(run, text.length / 16);
}

enum ash_status ash_jinja_iterate(
    struct jinja_run *run, struct jinja_value value, struct jinja_list **out)
{
    struct jinja_value list = value;
    switch (value.kind) {
    case JINJA_LIST:
    case JINJA_TUPLE:
        break;
    case JINJA_UNDEFINED:
        ASH_TRY(ash_jinja_list(&run->arena, JINJA_LIST, &list));
        break;
    case JINJA_TEXT:
        ASH_TRY(ash_jinja_list(&run->arena, JINJA_LIST, &list));
        ASH_TRY(iterate_text(run, *value.text, list));
        break;
    case JINJA_DICT:
        ASH_TRY(ash_jinja_list(&run->arena, JINJA_LIST, &list));
        for (size_t i = 0; i < value.dict->count; i++)
            ASH_TRY(ash_jinja_push(&run->arena, list, value.dict->entry[i].key));
        break;
    default:
        return ash_fail(ASH_ERR_FORMAT, "'%s' object is not iterable", ash_jinja_type(value));
    }
    *out = list.list;
    return ash_jinja_spend(run, list.list->count / 16);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Methods of dicts, lists and loops. */
#include "models/template_internal.h"

static enum ash_status entries(
    struct jinja_run *run, struct jinja_value self, bool keys, bool values, struct jinja_value *out)
{
    ASH_TRY(ash_jinja_list(&run->arena, JINJA_LIST, out));
    for (size_t i = 0; i < self.dict->count; i++) {
        struct jinja_entry entry = self.dict->entry[i];
        struct jinja_value item = keys ? entry.key : entry.value;
        if (keys && values) {
            ASH_TRY(ash_jinja_list(&run->arena, JINJA_TUPLE, &item));
            ASH_TRY(ash_jinja_push(&run->arena, item, entry.key));
            ASH_TRY(ash_jinja_push(&run->arena, item, entry.value));
        }
        ASH_TRY(ash_jinja_push(&run->arena, *out, item));
    }
    return ash_jinja_spend(run, self.dict->count);
}

JINJA_METHOD(call_items)
{
    (void)arguments;
    return entries(run, self, true, true, out);
}

JINJA_METHOD(call_keys)
{
    (void)arguments;
    return entries(run, self, true, false, out);
}

JINJA_METHOD(call_values)
{
    (void)arguments;
    return entries(run, self, false, true, out);
}

JINJA_METHOD(call_get)
{
    struct jinja_value *found;
    ASH_TRY(ash_jinja_lookup(run, self, arguments->value[0], &found));
    *out = found ? *found : arguments->value[1];
    if (out->kind == JINJA_ABSENT)
        *out = ash_jinja_none();
    return ASH_OK;
}

JINJA_METHOD(call_copy)
{
    (void)run;
    (void)arguments;
    *out = self; /* dicts of a template never change */
    return ASH_OK;
}

JINJA_METHOD(call_list_index)
{
    for (size_t i = 0; i < self.list->count; i++) {
        bool equal;
        ASH_TRY(ash_jinja_equal(run, self.list->item[i], arguments->value[0], &equal));
        if (equal) {
            *out = ash_jinja_int((int64_t)i);
            return ASH_OK;
        }
    }
    return ash_fail(ASH_ERR_FORMAT, "the value is not in the list");
}

JINJA_METHOD(call_list_count)
{
    int64_t count = 0;
    for (size_t i = 0; i < self.list->count; i++) {
        bool equal;
        ASH_TRY(ash_jinja_equal(run, self.list->item[i], arguments->value[0], &equal));
        count += equal;
    }
    *out = ash_jinja_int(count);
    return ASH_OK;
}

JINJA_METHOD(call_cycle)
{
    (void)run;
    if (arguments->count == 0)
        return ash_fail(ASH_ERR_FORMAT, "no items for cycling given");
    *out = arguments->value[self.loop->index % arguments->count];
    return ASH_OK;
}

JINJA_METHOD(call_changed)
{
    bool equal = false;
    struct jinja_value now;
    ASH_TRY(ash_jinja_list(&run->arena, JINJA_TUPLE, &now));
    for (size_t i = 0; i < arguments->count; i++)
        ASH_TRY(ash_jinja_push(&run->arena, now, arguments->value[i]));
    if (self.loop->changed.kind != JINJA_ABSENT)
        ASH_TRY(ash_jinja_equal(run, self.loop->changed, now, &equal));
    self.loop->changed = now;
    *out = ash_jinja_bool(!equal);
    return ASH_OK;
}

static const struct jinja_builtin dict_methods[] = {
    { "copy", call_copy, { NULL }, 0, false },
    { "get", call_get, { "key", "default" }, 1, false },
    { "items", call_items, { NULL }, 0, false },
    { "keys", call_keys, { NULL }, 0, false },
    { "values", call_values, { NULL }, 0, false },
};

static const struct jinja_builtin list_methods[] = {
    { "copy", call_copy, { NULL }, 0, false },
    { "count", call_list_count, { "value" }, 1, false },
    { "index", call_list_index, { "value" }, 1, false },
};

static const struct jinja_builtin loop_methods[] = {
    { "changed", call_changed, { NULL }, 0, true },
    { "cycle", call_cycle, { NULL }, 0, true },
};

#define FIND(table, name) ash_jinja_find_builtin(table, sizeof table / sizeof table[0], name)

const struct jinja_builtin *ash_jinja_container_method(
    struct jinja_value value, struct jinja_text name)
{
    switch (value.kind) {
    case JINJA_DICT:
        return FIND(dict_methods, name);
    case JINJA_LIST:
    case JINJA_TUPLE:
        return FIND(list_methods, name);
    case JINJA_LOOP:
        return FIND(loop_methods, name);
    default:
        return NULL;
    }
}

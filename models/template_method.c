/* SPDX-License-Identifier: Apache-2.0 */
#include "models/template_internal.h"

#include <string.h>
#include <wctype.h>

#define METHOD(name)                                                                               \
    static enum ash_status name(struct jinja_run *run, struct jinja_value self,                    \
        const struct jinja_arguments *arguments, struct jinja_value *out)

/* Absent and None alike. */
static bool given(struct jinja_value value)
{
    return value.kind != JINJA_ABSENT && value.kind != JINJA_NONE;
}

/* ---- Case ------------------------------------------------------------------------------------- */

/* In the template's locale, which the run has set; one character for one. */
static uint32_t change(uint32_t code, enum jinja_case to, bool first)
{
    bool upper = to == JINJA_UPPER || ((to == JINJA_CAPITALIZE || to == JINJA_TITLE) && first);
    if (to == JINJA_SWAP)
        upper = iswlower((wint_t)code);
    return upper ? towupper((wint_t)code) : towlower((wint_t)code);
}

enum ash_status ash_jinja_change_case(
    struct jinja_run *run, struct jinja_text text, enum jinja_case to, struct jinja_value *out)
{
    struct jinja_text changed = { 0 };
    bool first = true;
    ASH_TRY(ash_jinja_spend(run, text.length / 16));
    for (size_t at = 0, bytes; at < text.length; at += bytes) {
        uint32_t code = ash_jinja_char(text, at);
        bytes = ash_jinja_char_bytes(text, at);
        uint32_t other = change(code, to, first);
        if (other == code)
            ASH_TRY(ash_jinja_append(&run->arena, &changed, ash_jinja_slice(text, at, bytes)));
        else
            ASH_TRY(ash_jinja_append_char(&run->arena, &changed, other, ash_jinja_marks(text)[at]));
        first = to == JINJA_TITLE && !iswalpha((wint_t)code);
    }
    return ash_jinja_text_value(&run->arena, changed, out);
}

METHOD(call_upper)
{
    (void)arguments;
    return ash_jinja_change_case(run, *self.text, JINJA_UPPER, out);
}

METHOD(call_lower)
{
    (void)arguments;
    return ash_jinja_change_case(run, *self.text, JINJA_LOWER, out);
}

METHOD(call_capitalize)
{
    (void)arguments;
    return ash_jinja_change_case(run, *self.text, JINJA_CAPITALIZE, out);
}

METHOD(call_title)
{
    (void)arguments;
    return ash_jinja_change_case(run, *self.text, JINJA_TITLE, out);
}

METHOD(call_swapcase)
{
    (void)arguments;
    return ash_jinja_change_case(run, *self.text, JINJA_SWAP, out);
}

/* ---- Ends ------------------------------------------------------------------------------------- */

static enum ash_status strip(struct jinja_run *run, struct jinja_value self,
    const struct jinja_arguments *arguments, enum jinja_side side, struct jinja_value *out)
{
    struct jinja_text set;
    bool has_set = given(arguments->value[0]);
    if (has_set)
        ASH_TRY(ash_jinja_want_text(arguments->value[0], "strip's characters", &set));
    ASH_TRY(ash_jinja_spend(run, self.text->length / 16 * (has_set ? 1 + set.length / 16 : 1)));
    return ash_jinja_text_value(
        &run->arena, ash_jinja_strip(*self.text, has_set ? &set : NULL, side), out);
}

METHOD(call_strip)
{
    return strip(run, self, arguments, JINJA_BOTH, out);
}

METHOD(call_lstrip)
{
    return strip(run, self, arguments, JINJA_LEFT, out);
}

METHOD(call_rstrip)
{
    return strip(run, self, arguments, JINJA_RIGHT, out);
}

METHOD(call_removeprefix)
{
    struct jinja_text end, text = *self.text;
    ASH_TRY(ash_jinja_want_text(arguments->value[0], "removeprefix's argument", &end));
    if (ash_jinja_starts(text, end))
        text = ash_jinja_slice(text, end.length, text.length - end.length);
    return ash_jinja_text_value(&run->arena, text, out);
}

METHOD(call_removesuffix)
{
    struct jinja_text end, text = *self.text;
    ASH_TRY(ash_jinja_want_text(arguments->value[0], "removesuffix's argument", &end));
    if (ash_jinja_ends(text, end))
        text = ash_jinja_slice(text, 0, text.length - end.length);
    return ash_jinja_text_value(&run->arena, text, out);
}

/* One prefix or a tuple of them. */
static enum ash_status any_end(struct jinja_run *run, struct jinja_value self,
    struct jinja_value ends, bool (*has)(struct jinja_text, struct jinja_text),
    struct jinja_value *out)
{
    bool found = false;
    struct jinja_text end;
    if (ends.kind == JINJA_TUPLE) {
        for (size_t i = 0; !found && i < ends.list->count; i++) {
            ASH_TRY(ash_jinja_want_text(ends.list->item[i], "what to look for", &end));
            ASH_TRY(ash_jinja_spend(run, 1 + end.length / 64));
            found = has(*self.text, end);
        }
    } else {
        ASH_TRY(ash_jinja_want_text(ends, "what to look for", &end));
        found = has(*self.text, end);
    }
    *out = ash_jinja_bool(found);
    return ASH_OK;
}

METHOD(call_startswith)
{
    return any_end(run, self, arguments->value[0], ash_jinja_starts, out);
}

METHOD(call_endswith)
{
    return any_end(run, self, arguments->value[0], ash_jinja_ends, out);
}

/* ---- Search ----------------------------------------------------------------------------------- */

static enum ash_status search(struct jinja_run *run, struct jinja_value self,
    const struct jinja_arguments *arguments, bool last, int64_t *out)
{
    struct jinja_text needle;
    ASH_TRY(ash_jinja_want_text(arguments->value[0], "what to find", &needle));
    ASH_TRY(ash_jinja_spend(run, self.text->length / 16 + (last ? needle.length : 0)));
    size_t at =
        last ? ash_jinja_find_last(*self.text, needle) : ash_jinja_find(*self.text, needle, 0);
    *out = at == SIZE_MAX ? -1 : (int64_t)ash_jinja_chars(ash_jinja_slice(*self.text, 0, at));
    return ASH_OK;
}

METHOD(call_find)
{
    int64_t at;
    ASH_TRY(search(run, self, arguments, false, &at));
    *out = ash_jinja_int(at);
    return ASH_OK;
}

METHOD(call_rfind)
{
    int64_t at;
    ASH_TRY(search(run, self, arguments, true, &at));
    *out = ash_jinja_int(at);
    return ASH_OK;
}

METHOD(call_index)
{
    int64_t at;
    ASH_TRY(search(run, self, arguments, false, &at));
    *out = ash_jinja_int(at);
    return at < 0 ? ash_fail(ASH_ERR_FORMAT, "substring not found") : ASH_OK;
}

METHOD(call_count)
{
    struct jinja_text needle;
    int64_t count = 0;
    ASH_TRY(ash_jinja_want_text(arguments->value[0], "what to count", &needle));
    ASH_TRY(ash_jinja_spend(run, self.text->length / 16));
    if (needle.length == 0)
        count = (int64_t)ash_jinja_chars(*self.text) + 1;
    for (size_t at = 0; needle.length > 0; count++, at += needle.length)
        if ((at = ash_jinja_find(*self.text, needle, at)) == SIZE_MAX)
            break;
    *out = ash_jinja_int(count);
    return ASH_OK;
}

/* An empty `old` stands between all characters. */
enum ash_status ash_jinja_replace(struct jinja_run *run, struct jinja_text text,
    struct jinja_text old, struct jinja_text fresh, int64_t most, struct jinja_value *out)
{
    struct jinja_text result = { 0 };
    size_t at = 0;
    ASH_TRY(ash_jinja_spend(run, text.length / 16));
    for (int64_t n = 0; n != most; n++) {
        size_t skipped = old.length == 0 && n > 0 ? 1 : 0;
        if (skipped && at == text.length)
            break;
        size_t found =
            skipped ? at + ash_jinja_char_bytes(text, at) : ash_jinja_find(text, old, at);
        if (found == SIZE_MAX)
            break;
        ASH_TRY(ash_jinja_append(&run->arena, &result, ash_jinja_slice(text, at, found - at)));
        ASH_TRY(ash_jinja_append(&run->arena, &result, fresh));
        ASH_TRY(ash_jinja_spend(run, 1));
        at = found + old.length;
    }
    ASH_TRY(ash_jinja_append(&run->arena, &result, ash_jinja_slice(text, at, text.length - at)));
    return ash_jinja_text_value(&run->arena, result, out);
}

METHOD(call_replace)
{
    struct jinja_text old, fresh;
    int64_t most = -1;
    ASH_TRY(ash_jinja_want_text(arguments->value[0], "replace's old text", &old));
    ASH_TRY(ash_jinja_want_text(arguments->value[1], "replace's new text", &fresh));
    if (arguments->value[2].kind != JINJA_ABSENT)
        ASH_TRY(ash_jinja_want_int(arguments->value[2], "replace's count", &most));
    return ash_jinja_replace(run, *self.text, old, fresh, most, out);
}

/* ---- Parts ------------------------------------------------------------------------------------ */

static enum ash_status push_text(
    struct jinja_run *run, struct jinja_value list, struct jinja_text text)
{
    struct jinja_value value;
    ASH_TRY(ash_jinja_spend(run, 1));
    ASH_TRY(ash_jinja_text_value(&run->arena, text, &value));
    return ash_jinja_push(&run->arena, list, value);
}

/* At runs of white space; none at the ends. */
static enum ash_status split_space(
    struct jinja_run *run, struct jinja_text text, int64_t most, struct jinja_value list)
{
    text = ash_jinja_strip(text, NULL, JINJA_LEFT);
    while (text.length > 0) {
        size_t end = 0;
        while (end < text.length && !ash_jinja_is_space(ash_jinja_char(text, end)))
            end += ash_jinja_char_bytes(text, end);
        if (most-- == 0)
            return push_text(run, list, text); /* with the white space at its end */
        ASH_TRY(push_text(run, list, ash_jinja_slice(text, 0, end)));
        text = ash_jinja_slice(text, end, text.length - end);
        text = ash_jinja_strip(text, NULL, JINJA_LEFT);
    }
    return ASH_OK;
}

static enum ash_status rsplit_space(
    struct jinja_run *run, struct jinja_text text, int64_t most, struct jinja_value list)
{
    struct jinja_value parts;
    ASH_TRY(ash_jinja_list(&run->arena, JINJA_LIST, &parts));
    ASH_TRY(split_space(run, text, -1, parts));
    size_t count = parts.list->count;
    size_t single = most < 0 || (uint64_t)most > count ? count : (size_t)most;
    if (single < count) { /* the front stays together, with its own white space */
        struct jinja_text last = *parts.list->item[count - single - 1].text;
        const char *end = ash_jinja_bytes(last) + last.length;
        ASH_TRY(
            push_text(run, list, ash_jinja_slice(text, 0, (size_t)(end - ash_jinja_bytes(text)))));
    }
    for (size_t i = count - single; i < count; i++)
        ASH_TRY(ash_jinja_push(&run->arena, list, parts.list->item[i]));
    return ASH_OK;
}

static enum ash_status split_at(struct jinja_run *run, struct jinja_text text,
    struct jinja_text separator, int64_t most, struct jinja_value list)
{
    size_t at = 0, found;
    for (; most != 0 && (found = ash_jinja_find(text, separator, at)) != SIZE_MAX; most--) {
        ASH_TRY(push_text(run, list, ash_jinja_slice(text, at, found - at)));
        at = found + separator.length;
    }
    return push_text(run, list, ash_jinja_slice(text, at, text.length - at));
}

/* From the right; the parts are turned round at the end. */
static enum ash_status rsplit_at(struct jinja_run *run, struct jinja_text text,
    struct jinja_text separator, int64_t most, struct jinja_value list)
{
    size_t found;
    for (; most != 0 && (found = ash_jinja_find_last(text, separator)) != SIZE_MAX; most--) {
        size_t after = found + separator.length;
        ASH_TRY(ash_jinja_spend(run, (text.length - found) / 16));
        ASH_TRY(push_text(run, list, ash_jinja_slice(text, after, text.length - after)));
        text = ash_jinja_slice(text, 0, found);
    }
    ASH_TRY(push_text(run, list, text));
    struct jinja_value *item = list.list->item;
    for (size_t i = 0, j = list.list->count - 1; i < j; i++, j--) {
        struct jinja_value old = item[i];
        item[i] = item[j];
        item[j] = old;
    }
    return ASH_OK;
}

static enum ash_status split(struct jinja_run *run, struct jinja_value self,
    const struct jinja_arguments *arguments, bool right, struct jinja_value *out)
{
    struct jinja_text separator;
    int64_t most = -1;
    if (arguments->value[1].kind != JINJA_ABSENT)
        ASH_TRY(ash_jinja_want_int(arguments->value[1], "maxsplit", &most));
    ASH_TRY(ash_jinja_list(&run->arena, JINJA_LIST, out));
    ASH_TRY(ash_jinja_spend(run, self.text->length / 16));
    if (!given(arguments->value[0]))
        return (right ? rsplit_space : split_space)(run, *self.text, most, *out);
    ASH_TRY(ash_jinja_want_text(arguments->value[0], "the separator", &separator));
    if (separator.length == 0)
        return ash_fail(ASH_ERR_FORMAT, "empty separator");
    return (right ? rsplit_at : split_at)(run, *self.text, separator, most, *out);
}

METHOD(call_split)
{
    return split(run, self, arguments, false, out);
}

METHOD(call_rsplit)
{
    return split(run, self, arguments, true, out);
}

static enum ash_status partition(struct jinja_run *run, struct jinja_value self,
    const struct jinja_arguments *arguments, bool right, struct jinja_value *out)
{
    struct jinja_text text = *self.text, separator, part[3] = { { 0 } };
    ASH_TRY(ash_jinja_want_text(arguments->value[0], "the separator", &separator));
    if (separator.length == 0)
        return ash_fail(ASH_ERR_FORMAT, "empty separator");
    ASH_TRY(ash_jinja_spend(run, text.length / 16 + separator.length));
    size_t at = right ? ash_jinja_find_last(text, separator) : ash_jinja_find(text, separator, 0);
    if (at == SIZE_MAX) {
        part[right ? 2 : 0] = text;
    } else {
        size_t after = at + separator.length;
        part[0] = ash_jinja_slice(text, 0, at);
        part[1] = separator;
        part[2] = ash_jinja_slice(text, after, text.length - after);
    }
    ASH_TRY(ash_jinja_list(&run->arena, JINJA_TUPLE, out));
    for (int i = 0; i < 3; i++)
        ASH_TRY(push_text(run, *out, part[i]));
    return ASH_OK;
}

METHOD(call_partition)
{
    return partition(run, self, arguments, false, out);
}

METHOD(call_rpartition)
{
    return partition(run, self, arguments, true, out);
}

METHOD(call_splitlines)
{
    struct jinja_text text = *self.text;
    ASH_TRY(ash_jinja_list(&run->arena, JINJA_LIST, out));
    ASH_TRY(ash_jinja_spend(run, text.length / 16));
    bool keep = ash_jinja_truth(arguments->value[0]);
    for (size_t start = 0, end, next; start < text.length; start = next) {
        for (end = start; end < text.length; end += ash_jinja_char_bytes(text, end)) {
            uint32_t code = ash_jinja_char(text, end);
            if ((code >= 0x0A && code <= 0x0D) || (code >= 0x1C && code <= 0x1E) || code == 0x85 ||
                code == 0x2028 || code == 0x2029)
                break;
        }
        next = end < text.length ? end + ash_jinja_char_bytes(text, end) : end;
        if (end + 1 < text.length && !memcmp(ash_jinja_bytes(text) + end, "\r\n", 2))
            next = end + 2;
        ASH_TRY(push_text(run, *out, ash_jinja_slice(text, start, (keep ? next : end) - start)));
    }
    return ASH_OK;
}

METHOD(call_join)
{
    struct jinja_list *items;
    struct jinja_text text = { 0 }, piece;
    ASH_TRY(ash_jinja_iterate(run, arguments->value[0], &items));
    for (size_t i = 0; i < items->count; i++) {
        ASH_TRY(ash_jinja_spend(run, 1));
        ASH_TRY(ash_jinja_want_text(items->item[i], "each item to join", &piece));
        if (i > 0)
            ASH_TRY(ash_jinja_append(&run->arena, &text, *self.text));
        ASH_TRY(ash_jinja_append(&run->arena, &text, piece));
    }
    return ash_jinja_text_value(&run->arena, text, out);
}

METHOD(call_format)
{
    return ash_jinja_braces(run, *self.text, arguments, out);
}

/* ---- Kinds of characters ---------------------------------------------------------------------- */

static struct jinja_value all(struct jinja_text text, int (*is)(wint_t))
{
    for (size_t at = 0; at < text.length; at += ash_jinja_char_bytes(text, at))
        if (!is((wint_t)ash_jinja_char(text, at)))
            return ash_jinja_bool(false);
    return ash_jinja_bool(text.length > 0);
}

static int is_python_space(wint_t code)
{
    return ash_jinja_is_space((uint32_t)code);
}

METHOD(call_isdigit)
{
    (void)arguments;
    *out = all(*self.text, iswdigit);
    return ash_jinja_spend(run, self.text->length / 16);
}

METHOD(call_isalpha)
{
    (void)arguments;
    *out = all(*self.text, iswalpha);
    return ash_jinja_spend(run, self.text->length / 16);
}

METHOD(call_isalnum)
{
    (void)arguments;
    *out = all(*self.text, iswalnum);
    return ash_jinja_spend(run, self.text->length / 16);
}

METHOD(call_isspace)
{
    (void)arguments;
    *out = all(*self.text, is_python_space);
    return ash_jinja_spend(run, self.text->length / 16);
}

/* Some letter, and none of the other case. */
static struct jinja_value only_case(struct jinja_text text, int (*is)(wint_t), int (*other)(wint_t))
{
    bool found = false;
    for (size_t at = 0; at < text.length; at += ash_jinja_char_bytes(text, at)) {
        wint_t code = (wint_t)ash_jinja_char(text, at);
        if (other(code))
            return ash_jinja_bool(false);
        found |= is(code) != 0;
    }
    return ash_jinja_bool(found);
}

METHOD(call_isupper)
{
    (void)arguments;
    *out = only_case(*self.text, iswupper, iswlower);
    return ash_jinja_spend(run, self.text->length / 16);
}

METHOD(call_islower)
{
    (void)arguments;
    *out = only_case(*self.text, iswlower, iswupper);
    return ash_jinja_spend(run, self.text->length / 16);
}

/* ---- Dicts, lists, loops ----------------------------------------------------------------------- */

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

METHOD(call_items)
{
    (void)arguments;
    return entries(run, self, true, true, out);
}

METHOD(call_keys)
{
    (void)arguments;
    return entries(run, self, true, false, out);
}

METHOD(call_values)
{
    (void)arguments;
    return entries(run, self, false, true, out);
}

METHOD(call_get)
{
    struct jinja_value *found;
    ASH_TRY(ash_jinja_lookup(run, self, arguments->value[0], &found));
    *out = found ? *found : arguments->value[1];
    if (out->kind == JINJA_ABSENT)
        *out = ash_jinja_none();
    return ASH_OK;
}

METHOD(call_copy)
{
    (void)run;
    (void)arguments;
    *out = self; /* dicts of a template never change */
    return ASH_OK;
}

METHOD(call_list_index)
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

METHOD(call_list_count)
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

METHOD(call_cycle)
{
    (void)run;
    if (arguments->count == 0)
        return ash_fail(ASH_ERR_FORMAT, "no items for cycling given");
    *out = arguments->value[self.loop->index % arguments->count];
    return ASH_OK;
}

METHOD(call_changed)
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

/* ---- Tables ----------------------------------------------------------------------------------- */

static const struct jinja_builtin text_methods[] = {
    { "capitalize", call_capitalize, { NULL }, 0, false },
    { "count", call_count, { "sub" }, 1, false },
    { "endswith", call_endswith, { "suffix" }, 1, false },
    { "find", call_find, { "sub" }, 1, false },
    { "format", call_format, { NULL }, 0, true },
    { "index", call_index, { "sub" }, 1, false },
    { "isalnum", call_isalnum, { NULL }, 0, false },
    { "isalpha", call_isalpha, { NULL }, 0, false },
    { "isdigit", call_isdigit, { NULL }, 0, false },
    { "islower", call_islower, { NULL }, 0, false },
    { "isnumeric", call_isdigit, { NULL }, 0, false },
    { "isspace", call_isspace, { NULL }, 0, false },
    { "isupper", call_isupper, { NULL }, 0, false },
    { "join", call_join, { "iterable" }, 1, false },
    { "lower", call_lower, { NULL }, 0, false },
    { "lstrip", call_lstrip, { "chars" }, 0, false },
    { "partition", call_partition, { "sep" }, 1, false },
    { "removeprefix", call_removeprefix, { "prefix" }, 1, false },
    { "removesuffix", call_removesuffix, { "suffix" }, 1, false },
    { "replace", call_replace, { "old", "new", "count" }, 2, false },
    { "rfind", call_rfind, { "sub" }, 1, false },
    { "rpartition", call_rpartition, { "sep" }, 1, false },
    { "rsplit", call_rsplit, { "sep", "maxsplit" }, 0, false },
    { "rstrip", call_rstrip, { "chars" }, 0, false },
    { "split", call_split, { "sep", "maxsplit" }, 0, false },
    { "splitlines", call_splitlines, { "keepends" }, 0, false },
    { "startswith", call_startswith, { "prefix" }, 1, false },
    { "strip", call_strip, { "chars" }, 0, false },
    { "swapcase", call_swapcase, { NULL }, 0, false },
    { "title", call_title, { NULL }, 0, false },
    { "upper", call_upper, { NULL }, 0, false },
};

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

const struct jinja_builtin *ash_jinja_method(struct jinja_value value, struct jinja_text name)
{
    switch (value.kind) {
    case JINJA_TEXT:
        return FIND(text_methods, name);
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

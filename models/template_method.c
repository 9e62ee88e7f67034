/* SPDX-License-Identifier: Apache-2.0 */
#include "models/template_internal.h"

#include <string.h>
#include <wctype.h>

/* Absent and None alike. */
static bool given(struct jinja_value value)
{
    return value.kind != JINJA_ABSENT && value.kind != JINJA_NONE;
}

/* ---- Case ------------------------------------------------------------------------------------- */

JINJA_METHOD(call_upper)
{
    (void)arguments;
    return ash_jinja_change_case(run, *self.text, JINJA_UPPER, out);
}

JINJA_METHOD(call_lower)
{
    (void)arguments;
    return ash_jinja_change_case(run, *self.text, JINJA_LOWER, out);
}

JINJA_METHOD(call_capitalize)
{
    (void)arguments;
    return ash_jinja_change_case(run, *self.text, JINJA_CAPITALIZE, out);
}

JINJA_METHOD(call_title)
{
    (void)arguments;
    return ash_jinja_change_case(run, *self.text, JINJA_TITLE, out);
}

JINJA_METHOD(call_swapcase)
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

JINJA_METHOD(call_strip)
{
    return strip(run, self, arguments, JINJA_BOTH, out);
}

JINJA_METHOD(call_lstrip)
{
    return strip(run, self, arguments, JINJA_LEFT, out);
}

JINJA_METHOD(call_rstrip)
{
    return strip(run, self, arguments, JINJA_RIGHT, out);
}

JINJA_METHOD(call_removeprefix)
{
    struct jinja_text end, text = *self.text;
    ASH_TRY(ash_jinja_want_text(arguments->value[0], "removeprefix's argument", &end));
    if (ash_jinja_starts(text, end))
        text = ash_jinja_slice(text, end.length, text.length - end.length);
    return ash_jinja_text_value(&run->arena, text, out);
}

JINJA_METHOD(call_removesuffix)
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

JINJA_METHOD(call_startswith)
{
    return any_end(run, self, arguments->value[0], ash_jinja_starts, out);
}

JINJA_METHOD(call_endswith)
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

JINJA_METHOD(call_find)
{
    int64_t at;
    ASH_TRY(search(run, self, arguments, false, &at));
    *out = ash_jinja_int(at);
    return ASH_OK;
}

JINJA_METHOD(call_rfind)
{
    int64_t at;
    ASH_TRY(search(run, self, arguments, true, &at));
    *out = ash_jinja_int(at);
    return ASH_OK;
}

JINJA_METHOD(call_index)
{
    int64_t at;
    ASH_TRY(search(run, self, arguments, false, &at));
    *out = ash_jinja_int(at);
    return at < 0 ? ash_fail(ASH_ERR_FORMAT, "substring not found") : ASH_OK;
}

JINJA_METHOD(call_count)
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

JINJA_METHOD(call_replace)
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

JINJA_METHOD(call_split)
{
    return split(run, self, arguments, false, out);
}

JINJA_METHOD(call_rsplit)
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

JINJA_METHOD(call_partition)
{
    return partition(run, self, arguments, false, out);
}

JINJA_METHOD(call_rpartition)
{
    return partition(run, self, arguments, true, out);
}

JINJA_METHOD(call_splitlines)
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

JINJA_METHOD(call_join)
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

JINJA_METHOD(call_format)
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

JINJA_METHOD(call_isdigit)
{
    (void)arguments;
    *out = all(*self.text, iswdigit);
    return ash_jinja_spend(run, self.text->length / 16);
}

JINJA_METHOD(call_isalpha)
{
    (void)arguments;
    *out = all(*self.text, iswalpha);
    return ash_jinja_spend(run, self.text->length / 16);
}

JINJA_METHOD(call_isalnum)
{
    (void)arguments;
    *out = all(*self.text, iswalnum);
    return ash_jinja_spend(run, self.text->length / 16);
}

JINJA_METHOD(call_isspace)
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

JINJA_METHOD(call_isupper)
{
    (void)arguments;
    *out = only_case(*self.text, iswupper, iswlower);
    return ash_jinja_spend(run, self.text->length / 16);
}

JINJA_METHOD(call_islower)
{
    (void)arguments;
    *out = only_case(*self.text, iswlower, iswupper);
    return ash_jinja_spend(run, self.text->length / 16);
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

const struct jinja_builtin *ash_jinja_method(struct jinja_value value, struct jinja_text name)
{
    if (value.kind != JINJA_TEXT)
        return ash_jinja_container_method(value, name);
    return ash_jinja_find_builtin(text_methods, sizeof text_methods / sizeof *text_methods, name);
}

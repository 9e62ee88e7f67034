/* SPDX-License-Identifier: Apache-2.0 */
#include "models/template_internal.h"

#include <string.h>

const struct jinja_builtin *ash_jinja_find_builtin(
    const struct jinja_builtin *table, size_t count, struct jinja_text name)
{
    for (size_t i = 0; i < count; i++)
        if (ash_jinja_is(name, table[i].name))
            return &table[i];
    return NULL;
}

enum ash_status ash_jinja_want_text(
    struct jinja_value value, const char *what, struct jinja_text *out)
{
    if (value.kind != JINJA_TEXT)
        return ash_fail(ASH_ERR_FORMAT, "%s must be str, not %s", what, ash_jinja_type(value));
    *out = *value.text;
    return ASH_OK;
}

enum ash_status ash_jinja_want_int(struct jinja_value value, const char *what, int64_t *out)
{
    if (value.kind != JINJA_INT && value.kind != JINJA_BOOL)
        return ash_fail(
            ASH_ERR_FORMAT, "%s must be an integer, not %s", what, ash_jinja_type(value));
    *out = value.kind == JINJA_BOOL ? value.boolean : value.integer;
    return ASH_OK;
}

/* ---- Builtins --------------------------------------------------------------------------------- */

static int parameter_index(const struct jinja_builtin *builtin, struct jinja_text name)
{
    for (int i = 0; i < JINJA_MAX_PARAMETERS && builtin->parameter[i]; i++)
        if (ash_jinja_is(name, builtin->parameter[i]))
            return i;
    return -1;
}

/* Puts each argument to its parameter. `values` has room for all, ABSENT so far. */
static enum ash_status fit(const struct jinja_builtin *builtin,
    const struct jinja_arguments *arguments, struct jinja_value *values)
{
    size_t parameters = 0;
    while (parameters < JINJA_MAX_PARAMETERS && builtin->parameter[parameters])
        parameters++;
    if (arguments->count > parameters)
        return ash_fail(ASH_ERR_FORMAT, "%s takes at most %zu arguments, %zu given", builtin->name,
            parameters, arguments->count);
    for (size_t i = 0; i < arguments->count; i++)
        values[i] = arguments->value[i];
    for (size_t i = 0; i < arguments->named_count; i++) {
        int at = parameter_index(builtin, arguments->named[i].name);
        if (at < 0 || values[at].kind != JINJA_ABSENT)
            return ash_fail(ASH_ERR_FORMAT, "%s has no such argument, or got it twice: '%.*s'",
                builtin->name,
                arguments->named[i].name.length < 60 ? (int)arguments->named[i].name.length : 60,
                ash_jinja_bytes(arguments->named[i].name));
        values[at] = arguments->named[i].value;
    }
    for (int i = 0; i < builtin->required; i++)
        if (values[i].kind == JINJA_ABSENT)
            return ash_fail(ASH_ERR_FORMAT, "%s is missing the argument '%s'", builtin->name,
                builtin->parameter[i]);
    return ASH_OK;
}

enum ash_status ash_jinja_call_builtin(struct jinja_run *run, const struct jinja_builtin *builtin,
    struct jinja_value self, const struct jinja_arguments *arguments, struct jinja_value *out)
{
    struct jinja_value values[JINJA_MAX_PARAMETERS] = { 0 };
    struct jinja_arguments fitted = { .value = values, .count = JINJA_MAX_PARAMETERS };
    if (builtin->variadic)
        return builtin->call(run, self, arguments, out);
    ASH_TRY(fit(builtin, arguments, values));
    return builtin->call(run, self, &fitted, out);
}

/* ---- Macros ----------------------------------------------------------------------------------- */

static const struct jinja_value *take_named(
    const struct jinja_arguments *arguments, struct jinja_text name, size_t *taken)
{
    for (size_t i = 0; i < arguments->named_count; i++) {
        if (ash_jinja_same(arguments->named[i].name, name)) {
            ++*taken;
            return &arguments->named[i].value;
        }
    }
    return NULL;
}

static enum ash_status bind_name(
    struct jinja_run *run, struct jinja_scope *scope, const char *name, struct jinja_value value)
{
    int symbol = ash_jinja_symbol_of(run->template, name);
    return symbol < 0 ? ASH_OK : ash_jinja_bind(run, scope, symbol, value);
}

/* What fits no parameter: `varargs` and `kwargs`, if the template knows these names at all. */
static enum ash_status bind_rest(struct jinja_run *run, const struct jinja_macro *macro,
    const struct jinja_arguments *arguments, size_t positional, struct jinja_scope *scope)
{
    struct jinja_value rest, named;
    ASH_TRY(ash_jinja_list(&run->arena, JINJA_TUPLE, &rest));
    ASH_TRY(ash_jinja_dict(&run->arena, JINJA_DICT, &named));
    for (size_t i = positional; i < arguments->count; i++)
        ASH_TRY(ash_jinja_push(&run->arena, rest, arguments->value[i]));
    for (size_t i = 0; i < arguments->named_count; i++) {
        bool known = ash_jinja_is(arguments->named[i].name, "caller");
        for (const struct jinja_node *p = macro->node->items; p && !known; p = p->next)
            known = ash_jinja_same(*p->value.text, arguments->named[i].name);
        struct jinja_value key;
        ASH_TRY(ash_jinja_text_value(&run->arena, arguments->named[i].name, &key));
        if (!known)
            ASH_TRY(ash_jinja_put_new(&run->arena, named, key, arguments->named[i].value));
    }
    if (rest.list->count > 0 && ash_jinja_symbol_of(run->template, "varargs") < 0)
        return ash_fail(
            ASH_ERR_FORMAT, "a macro takes %zu arguments, %zu given", positional, arguments->count);
    if (named.dict->count > 0 && ash_jinja_symbol_of(run->template, "kwargs") < 0)
        return ash_fail(ASH_ERR_FORMAT, "a macro has no argument of a name that was given");
    ASH_TRY(bind_name(run, scope, "varargs", rest));
    return bind_name(run, scope, "kwargs", named);
}

static enum ash_status call_macro(struct jinja_run *run, const struct jinja_macro *macro,
    const struct jinja_arguments *arguments, struct jinja_value *out)
{
    struct jinja_scope *scope, *outside = run->scope;
    size_t index = 0, taken = 0;
    ASH_TRY(ash_jinja_scope(run, macro->scope, &scope));
    const struct jinja_node *parameter = macro->node->items;
    for (; parameter; parameter = parameter->next, index++) {
        struct jinja_value value = ash_jinja_undefined("a macro's argument that was not given");
        const struct jinja_value *named = take_named(arguments, *parameter->value.text, &taken);
        if (index < arguments->count) {
            value = arguments->value[index];
        } else if (named) {
            value = *named;
        } else if (parameter->left) {
            run->scope = scope; /* a default may use the parameters before it */
            enum ash_status status = ash_jinja_eval(run, parameter->left, &value);
            run->scope = outside;
            ASH_TRY(status);
        }
        ASH_TRY(ash_jinja_bind(run, scope, parameter->symbol, value));
    }
    struct jinja_text caller = { 0 };
    ASH_TRY(ash_jinja_append_bytes(&run->arena, &caller, "caller", 6, true));
    const struct jinja_value *block = take_named(arguments, caller, &taken);
    ASH_TRY(bind_name(run, scope, "caller", block ? *block : ash_jinja_undefined("caller")));
    ASH_TRY(bind_rest(run, macro, arguments, index, scope));
    return ash_jinja_capture(run, macro->node->body, scope, out);
}

/* {% for ... recursive %}: loop(children) */
static enum ash_status call_loop(struct jinja_run *run, const struct jinja_loop *loop,
    const struct jinja_arguments *arguments, struct jinja_value *out)
{
    struct jinja_text text = { 0 }, *old_out = run->out;
    struct jinja_scope *old_scope = run->scope;
    if (!loop->node->recursive || arguments->count != 1 || arguments->named_count)
        return ash_fail(
            ASH_ERR_FORMAT, "only a recursive loop can be called, with what to go over");
    run->out = &text;
    run->scope = loop->scope;
    enum ash_status status =
        ash_jinja_run_loop(run, loop->node, arguments->value[0], loop->depth + 1);
    run->scope = old_scope;
    run->out = old_out;
    ASH_TRY(status);
    return ash_jinja_text_value(&run->arena, text, out);
}

enum ash_status ash_jinja_call(struct jinja_run *run, struct jinja_value callee,
    const struct jinja_arguments *arguments, struct jinja_value *out)
{
    switch (callee.kind) {
    case JINJA_FUNCTION:
        return ash_jinja_call_builtin(
            run, callee.function->builtin, callee.function->self, arguments, out);
    case JINJA_MACRO:
        return call_macro(run, callee.macro, arguments, out);
    case JINJA_LOOP:
        return call_loop(run, callee.loop, arguments, out);
    case JINJA_UNDEFINED:
        return ash_fail(ASH_ERR_FORMAT, "'%s' is undefined, or not allowed in a template",
            callee.name ? callee.name : "what is called");
    default:
        return ash_fail(ASH_ERR_FORMAT, "'%s' object is not callable", ash_jinja_type(callee));
    }
}

/* ---- Global functions ------------------------------------------------------------------------- */

static enum ash_status call_range(struct jinja_run *run, struct jinja_value self,
    const struct jinja_arguments *arguments, struct jinja_value *out)
{
    int64_t bound[3] = { 0, 0, 1 };
    const struct jinja_value *value = arguments->value;
    (void)self;
    ASH_TRY(ash_jinja_want_int(value[0], "range", &bound[1]));
    if (value[1].kind != JINJA_ABSENT) {
        bound[0] = bound[1];
        ASH_TRY(ash_jinja_want_int(value[1], "range", &bound[1]));
    }
    if (value[2].kind != JINJA_ABSENT)
        ASH_TRY(ash_jinja_want_int(value[2], "range", &bound[2]));
    if (bound[2] == 0)
        return ash_fail(ASH_ERR_FORMAT, "range() arg 3 must not be zero");
    ASH_TRY(ash_jinja_list(&run->arena, JINJA_LIST, out));
    for (int64_t i = bound[0]; bound[2] > 0 ? i < bound[1] : i > bound[1];) {
        if (out->list->count == JINJA_MAX_RANGE)
            return ash_fail(ASH_ERR_LIMIT, "a range has more than %d items", JINJA_MAX_RANGE);
        ASH_TRY(ash_jinja_push(&run->arena, *out, ash_jinja_int(i)));
        if (__builtin_add_overflow(i, bound[2], &i))
            break;
    }
    return ash_jinja_spend(run, out->list->count / 16);
}

/* dict(...) and namespace(...): another one's entries, or pairs, then the named arguments. */
static enum ash_status fill(
    struct jinja_run *run, const struct jinja_arguments *arguments, struct jinja_value dict)
{
    struct jinja_value source = { 0 };
    if (arguments->count > 1)
        return ash_fail(ASH_ERR_FORMAT, "dict takes at most 1 positional argument");
    if (arguments->count == 1)
        source = arguments->value[0];
    struct jinja_list *pairs = NULL;
    if (source.kind == JINJA_DICT) {
        for (size_t i = 0; i < source.dict->count; i++)
            ASH_TRY(
                ash_jinja_put(run, dict, source.dict->entry[i].key, source.dict->entry[i].value));
    } else if (source.kind != JINJA_ABSENT) {
        ASH_TRY(ash_jinja_iterate(run, source, &pairs));
    }
    for (size_t i = 0; pairs && i < pairs->count; i++) {
        struct jinja_list *pair;
        ASH_TRY(ash_jinja_iterate(run, pairs->item[i], &pair));
        if (pair->count != 2)
            return ash_fail(ASH_ERR_FORMAT, "dict wants pairs; item %zu has %zu", i, pair->count);
        ASH_TRY(ash_jinja_put(run, dict, pair->item[0], pair->item[1]));
    }
    for (size_t i = 0; i < arguments->named_count; i++) {
        struct jinja_value key;
        ASH_TRY(ash_jinja_text_value(&run->arena, arguments->named[i].name, &key));
        ASH_TRY(ash_jinja_put(run, dict, key, arguments->named[i].value));
    }
    return ASH_OK;
}

static enum ash_status call_namespace(struct jinja_run *run, struct jinja_value self,
    const struct jinja_arguments *arguments, struct jinja_value *out)
{
    (void)self;
    ASH_TRY(ash_jinja_dict(&run->arena, JINJA_NAMESPACE, out));
    return fill(run, arguments, *out);
}

static enum ash_status call_dict(struct jinja_run *run, struct jinja_value self,
    const struct jinja_arguments *arguments, struct jinja_value *out)
{
    (void)self;
    ASH_TRY(ash_jinja_dict(&run->arena, JINJA_DICT, out));
    return fill(run, arguments, *out);
}

static enum ash_status call_raise(struct jinja_run *run, struct jinja_value self,
    const struct jinja_arguments *arguments, struct jinja_value *out)
{
    struct jinja_text text;
    (void)self;
    (void)out;
    ASH_TRY(ash_jinja_print(run, arguments->value[0], &text));
    run->located = true; /* the author's own words need no line */
    return ash_fail(ASH_ERR_ARGUMENT, "the model's chat template refuses the conversation: %.*s",
        text.length < 500 ? (int)text.length : 500, ash_jinja_bytes(text));
}

/*
 * A format of strftime(3) with nothing in it that reads past the struct or pads without end: letters
 * of the C standard, a minus (%-d) at most before them. The zone is empty, as in Python's naive time.
 */
static enum ash_status safe_format(struct jinja_text wanted, char *out, size_t capacity)
{
    const char *bytes = ash_jinja_bytes(wanted);
    size_t length = 0;
    for (size_t at = 0; at < wanted.length; at++) {
        if (length + 4 > capacity || bytes[at] == '\0')
            return ash_fail(
                ASH_ERR_LIMIT, "strftime_now's format is longer than %zu bytes", capacity - 1);
        out[length++] = bytes[at];
        if (bytes[at] != '%')
            continue;
        if (at + 1 < wanted.length && bytes[at + 1] == '-')
            out[length++] = bytes[++at];
        char letter = ++at < wanted.length ? bytes[at] : '\0';
        if (letter == 'Z' || letter == 'z')
            length -= out[length - 1] == '-' ? 2 : 1;
        else if (letter && strchr("aAbBcdDeFgGhHIjmMnprRStTuUVwWxXyY%", letter))
            out[length++] = letter;
        else
            return ash_fail(ASH_ERR_UNSUPPORTED, "strftime_now does not know %%%c",
                letter >= ' ' && letter < 0x7F ? letter : '?');
    }
    out[length] = '\0';
    return ASH_OK;
}

static enum ash_status call_strftime(struct jinja_run *run, struct jinja_value self,
    const struct jinja_arguments *arguments, struct jinja_value *out)
{
    char format[128], text[1024];
    struct jinja_text wanted;
    struct tm now;
    time_t seconds = time(NULL);
    (void)self;
    ASH_TRY(ash_jinja_want_text(arguments->value[0], "strftime_now's format", &wanted));
    ASH_TRY(safe_format(wanted, format, sizeof format));
    if (run->options->now)
        now = *run->options->now;
    else if (!localtime_r(&seconds, &now))
        return ash_fail(ASH_ERR_IO, "the clock has no local time");
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral" /* safe_format made it safe */
    size_t length = strftime(text, sizeof text, format, &now);
#pragma GCC diagnostic pop
    return ash_jinja_string(&run->arena, text, length, false, out);
}

const struct jinja_builtin *ash_jinja_global(struct jinja_text name)
{
    static const struct jinja_builtin globals[] = {
        { "range", call_range, { "start", "stop", "step" }, 1, false },
        { "namespace", call_namespace, { NULL }, 0, true },
        { "dict", call_dict, { NULL }, 0, true },
        { "raise_exception", call_raise, { "message" }, 1, false },
        { "strftime_now", call_strftime, { "format" }, 1, false },
    };
    return ash_jinja_find_builtin(globals, sizeof globals / sizeof globals[0], name);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "models/template_internal.h"

/* Expressions -> values. */

enum ash_status ash_jinja_spend(struct jinja_run *run, size_t steps)
{
    run->steps -= (int64_t)steps;
    if (run->steps < 0)
        return ash_fail(ASH_ERR_LIMIT, "the chat template takes too many steps");
    return ASH_OK;
}

enum ash_status ash_jinja_enter(struct jinja_run *run)
{
    if (run->depth >= JINJA_MAX_DEPTH)
        return ash_fail(
            ASH_ERR_LIMIT, "the chat template goes deeper than %d levels", JINJA_MAX_DEPTH);
    run->depth++;
    return ASH_OK;
}

void ash_jinja_leave(struct jinja_run *run)
{
    run->depth--;
}

static enum ash_status eval_name(
    struct jinja_run *run, const struct jinja_node *node, struct jinja_value *out)
{
    for (const struct jinja_scope *scope = run->scope; scope; scope = scope->parent) {
        ASH_TRY(ash_jinja_spend(run, scope->count / 16));
        for (size_t i = 0; i < scope->count; i++) {
            if (scope->binding[i].symbol == node->symbol) {
                *out = scope->binding[i].value;
                return ASH_OK;
            }
        }
    }
    struct jinja_text name = *node->value.text;
    const struct jinja_builtin *global = ash_jinja_global(name);
    if (global) {
        struct jinja_function *function;
        ASH_TRY(JINJA_NEW(&run->arena, 1, &function));
        function->builtin = global;
        *out = (struct jinja_value){ .kind = JINJA_FUNCTION, .function = function };
        return ASH_OK;
    }
    char *copy;
    ASH_TRY(JINJA_NEW(&run->arena, name.length + 1, &copy));
    for (size_t i = 0; i < name.length; i++)
        copy[i] = ash_jinja_bytes(name)[i];
    *out = ash_jinja_undefined(copy);
    return ASH_OK;
}

static enum ash_status eval_items(
    struct jinja_run *run, const struct jinja_node *node, struct jinja_value *out)
{
    bool list = node->kind == JINJA_N_LIST;
    ASH_TRY(ash_jinja_list(&run->arena, list ? JINJA_LIST : JINJA_TUPLE, out));
    for (const struct jinja_node *item = node->items; item; item = item->next) {
        struct jinja_value value;
        ASH_TRY(ash_jinja_eval(run, item, &value));
        ASH_TRY(ash_jinja_push(&run->arena, *out, value));
    }
    return ASH_OK;
}

static enum ash_status eval_dict(
    struct jinja_run *run, const struct jinja_node *node, struct jinja_value *out)
{
    ASH_TRY(ash_jinja_dict(&run->arena, JINJA_DICT, out));
    for (const struct jinja_node *pair = node->items; pair; pair = pair->next) {
        struct jinja_value key, value;
        ASH_TRY(ash_jinja_eval(run, pair->left, &key));
        ASH_TRY(ash_jinja_eval(run, pair->right, &value));
        ASH_TRY(ash_jinja_put(run, *out, key, value));
    }
    return ASH_OK;
}

static enum ash_status eval_item(
    struct jinja_run *run, const struct jinja_node *node, struct jinja_value *out)
{
    struct jinja_value value, key, bounds[3] = { 0 };
    ASH_TRY(ash_jinja_eval(run, node->left, &value));
    if (node->right->kind != JINJA_N_SLICE) {
        ASH_TRY(ash_jinja_eval(run, node->right, &key));
        return ash_jinja_item(run, value, key, out);
    }
    const struct jinja_node *slice = node->right,
                            *part[] = { slice->left, slice->right, slice->other };
    for (int i = 0; i < 3; i++)
        if (part[i])
            ASH_TRY(ash_jinja_eval(run, part[i], &bounds[i]));
    return ash_jinja_slice_value(run, value, bounds, out);
}

static enum ash_status eval_compare(
    struct jinja_run *run, const struct jinja_node *node, struct jinja_value *out)
{
    struct jinja_value left, right;
    bool holds = true;
    ASH_TRY(ash_jinja_eval(run, node->left, &left));
    for (const struct jinja_node *next = node->items; next && holds; next = next->next) {
        ASH_TRY(ash_jinja_eval(run, next->left, &right));
        ASH_TRY(ash_jinja_relation(run, next->op, left, right, &holds));
        left = right;
    }
    *out = ash_jinja_bool(holds);
    return ASH_OK;
}

static enum ash_status eval_concat(
    struct jinja_run *run, const struct jinja_node *node, struct jinja_value *out)
{
    struct jinja_text text = { 0 }, piece;
    for (const struct jinja_node *item = node->items; item; item = item->next) {
        struct jinja_value value;
        ASH_TRY(ash_jinja_eval(run, item, &value));
        ASH_TRY(ash_jinja_print(run, value, &piece));
        ASH_TRY(ash_jinja_append(&run->arena, &text, piece));
        ASH_TRY(ash_jinja_spend(run, piece.length / 64));
    }
    return ash_jinja_text_value(&run->arena, text, out);
}

static enum ash_status eval_sign(
    struct jinja_run *run, const struct jinja_node *node, struct jinja_value *out)
{
    struct jinja_value value;
    bool minus = node->kind == JINJA_N_NEGATE;
    ASH_TRY(ash_jinja_eval(run, node->left, &value));
    if (!ash_jinja_is_number(value))
        return ash_fail(ASH_ERR_FORMAT, "bad operand type for unary %c: '%s'", minus ? '-' : '+',
            ash_jinja_type(value));
    if (value.kind == JINJA_FLOAT) {
        *out = ash_jinja_float(minus ? -value.number : value.number);
        return ASH_OK;
    }
    return ash_jinja_binary(run, minus ? '-' : '+', ash_jinja_int(0), value, out);
}

/* ---- Calls ------------------------------------------------------------------------------------ */

static enum ash_status add_positional(
    struct jinja_run *run, struct jinja_value list, struct jinja_arguments *arguments)
{
    struct jinja_list *items;
    ASH_TRY(ash_jinja_iterate(run, list, &items));
    struct jinja_value *grown;
    ASH_TRY(JINJA_NEW(&run->arena, arguments->count + items->count, &grown));
    for (size_t i = 0; i < arguments->count; i++)
        grown[i] = arguments->value[i];
    for (size_t i = 0; i < items->count; i++)
        grown[arguments->count + i] = items->item[i];
    arguments->value = grown;
    arguments->count += items->count;
    return ASH_OK;
}

static enum ash_status add_named(struct jinja_run *run, struct jinja_text name,
    struct jinja_value value, struct jinja_arguments *arguments)
{
    struct jinja_named *grown;
    for (size_t i = 0; i < arguments->named_count; i++)
        if (ash_jinja_same(arguments->named[i].name, name))
            return ash_fail(ASH_ERR_FORMAT, "a named argument is given twice");
    ASH_TRY(ash_jinja_spend(run, 1 + arguments->named_count / 16));
    ASH_TRY(JINJA_NEW(&run->arena, arguments->named_count + 1, &grown));
    for (size_t i = 0; i < arguments->named_count; i++)
        grown[i] = arguments->named[i];
    grown[arguments->named_count++] = (struct jinja_named){ name, value };
    arguments->named = grown;
    return ASH_OK;
}

static enum ash_status add_all_named(
    struct jinja_run *run, struct jinja_value dict, struct jinja_arguments *arguments)
{
    if (dict.kind != JINJA_DICT)
        return ash_fail(
            ASH_ERR_FORMAT, "an argument after ** must be a dict, not %s", ash_jinja_type(dict));
    for (size_t i = 0; i < dict.dict->count; i++) {
        struct jinja_entry entry = dict.dict->entry[i];
        if (entry.key.kind != JINJA_TEXT)
            return ash_fail(ASH_ERR_FORMAT, "keywords must be strings");
        ASH_TRY(add_named(run, *entry.key.text, entry.value, arguments));
    }
    return ASH_OK;
}

static enum ash_status eval_arguments(
    struct jinja_run *run, const struct jinja_node *items, struct jinja_arguments *out)
{
    size_t positional = 0;
    *out = (struct jinja_arguments){ 0 };
    for (const struct jinja_node *item = items; item; item = item->next)
        positional += item->kind == JINJA_N_ARGUMENT && item->value.kind == JINJA_ABSENT;
    ASH_TRY(JINJA_NEW(&run->arena, positional, &out->value));
    for (const struct jinja_node *item = items; item; item = item->next) {
        struct jinja_value value;
        ASH_TRY(ash_jinja_eval(run, item->left, &value));
        if (item->kind == JINJA_N_SPREAD)
            ASH_TRY(add_positional(run, value, out));
        else if (item->kind == JINJA_N_SPREAD_NAMED)
            ASH_TRY(add_all_named(run, value, out));
        else if (item->value.kind == JINJA_TEXT)
            ASH_TRY(add_named(run, *item->value.text, value, out));
        else
            out->value[out->count++] = value;
    }
    return ASH_OK;
}

static enum ash_status eval_call(
    struct jinja_run *run, const struct jinja_node *node, struct jinja_value *out)
{
    struct jinja_value callee;
    struct jinja_arguments arguments;
    ASH_TRY(ash_jinja_eval(run, node->left, &callee));
    ASH_TRY(eval_arguments(run, node->items, &arguments));
    return ash_jinja_call(run, callee, &arguments, out);
}

/* A filter or a test: the left value is what it is called on. */
static enum ash_status eval_builtin(
    struct jinja_run *run, const struct jinja_node *node, struct jinja_value *out)
{
    struct jinja_value self;
    struct jinja_arguments arguments;
    if (!node->builtin)
        return ash_fail(ASH_ERR_UNSUPPORTED, "the %s '%.*s' is not supported",
            node->kind == JINJA_N_FILTER ? "filter" : "test",
            node->value.text->length < 60 ? (int)node->value.text->length : 60,
            ash_jinja_bytes(*node->value.text));
    ASH_TRY(ash_jinja_eval(run, node->left, &self));
    ASH_TRY(eval_arguments(run, node->items, &arguments));
    return ash_jinja_call_builtin(run, node->builtin, self, &arguments, out);
}

/* ---- Every expression ------------------------------------------------------------------------- */

static enum ash_status eval_logic(
    struct jinja_run *run, const struct jinja_node *node, struct jinja_value *out)
{
    if (node->kind == JINJA_N_CHOICE) {
        struct jinja_value condition;
        ASH_TRY(ash_jinja_eval(run, node->right, &condition));
        if (ash_jinja_truth(condition))
            return ash_jinja_eval(run, node->left, out);
        *out = ash_jinja_undefined("an if without else");
        return node->other ? ash_jinja_eval(run, node->other, out) : ASH_OK;
    }
    ASH_TRY(ash_jinja_eval(run, node->left, out));
    if (node->kind == JINJA_N_NOT)
        *out = ash_jinja_bool(!ash_jinja_truth(*out));
    else if (ash_jinja_truth(*out) == (node->kind == JINJA_N_AND))
        return ash_jinja_eval(run, node->right, out);
    return ASH_OK;
}

static enum ash_status eval_inside(
    struct jinja_run *run, const struct jinja_node *node, struct jinja_value *out)
{
    struct jinja_value left, right;
    switch (node->kind) {
    case JINJA_N_CONSTANT:
        *out = node->value;
        return ASH_OK;
    case JINJA_N_NAME:
        return eval_name(run, node, out);
    case JINJA_N_CAPTURED:
        *out = run->captured;
        return ASH_OK;
    case JINJA_N_LIST:
    case JINJA_N_TUPLE:
        return eval_items(run, node, out);
    case JINJA_N_DICT:
        return eval_dict(run, node, out);
    case JINJA_N_ATTRIBUTE:
        ASH_TRY(ash_jinja_eval(run, node->left, &left));
        return ash_jinja_attribute(run, left, *node->value.text, out);
    case JINJA_N_ITEM:
        return eval_item(run, node, out);
    case JINJA_N_CALL:
        return eval_call(run, node, out);
    case JINJA_N_FILTER:
    case JINJA_N_TEST:
        return eval_builtin(run, node, out);
    case JINJA_N_COMPARE:
        return eval_compare(run, node, out);
    case JINJA_N_BINARY:
        ASH_TRY(ash_jinja_eval(run, node->left, &left));
        ASH_TRY(ash_jinja_eval(run, node->right, &right));
        return ash_jinja_binary(run, node->op, left, right, out);
    case JINJA_N_CONCAT:
        return eval_concat(run, node, out);
    case JINJA_N_NEGATE:
    case JINJA_N_POSITIVE:
        return eval_sign(run, node, out);
    default:
        return eval_logic(run, node, out);
    }
}

enum ash_status ash_jinja_eval(
    struct jinja_run *run, const struct jinja_node *node, struct jinja_value *out)
{
    enum ash_status status = ash_jinja_spend(run, 1);
    if (status == ASH_OK)
        status = ash_jinja_enter(run);
    if (status == ASH_OK) {
        status = eval_inside(run, node, out);
        ash_jinja_leave(run);
    }
    if (status != ASH_OK && !run->located) {
        run->located = true;
        return ash_fail_in(status, "chat template, line %d", node->line);
    }
    return status;
}

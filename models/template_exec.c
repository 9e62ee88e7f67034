/* SPDX-License-Identifier: Apache-2.0 */
#include "models/template_internal.h"

/* Statements -> output. */

enum ash_status ash_jinja_scope(
    struct jinja_run *run, struct jinja_scope *parent, struct jinja_scope **out)
{
    ASH_TRY(JINJA_NEW(&run->arena, 1, out));
    (*out)->parent = parent;
    return ASH_OK;
}

enum ash_status ash_jinja_bind(
    struct jinja_run *run, struct jinja_scope *scope, int symbol, struct jinja_value value)
{
    ASH_TRY(ash_jinja_spend(run, scope->count / 16));
    for (size_t i = 0; i < scope->count; i++) {
        if (scope->binding[i].symbol == symbol) {
            scope->binding[i].value = value;
            return ASH_OK;
        }
    }
    if (scope->count == scope->capacity) {
        struct jinja_binding *grown;
        size_t capacity = scope->capacity ? scope->capacity * 2 : 4;
        ASH_TRY(JINJA_NEW(&run->arena, capacity, &grown));
        for (size_t i = 0; i < scope->count; i++)
            grown[i] = scope->binding[i];
        scope->binding = grown;
        scope->capacity = capacity;
    }
    scope->binding[scope->count++] = (struct jinja_binding){ symbol, value };
    return ASH_OK;
}

int ash_jinja_symbol_of(const struct ash_template *template, const char *name)
{
    for (size_t i = 0; i < template->symbol_count; i++)
        if (ash_jinja_is(template->symbol[i], name))
            return (int)i;
    return -1;
}

/* ---- Assignment ------------------------------------------------------------------------------- */

static enum ash_status assign(
    struct jinja_run *run, const struct jinja_node *target, struct jinja_value value);

static enum ash_status assign_tuple(
    struct jinja_run *run, const struct jinja_node *target, struct jinja_value value)
{
    struct jinja_list *items;
    size_t i = 0, wanted = 0;
    ASH_TRY(ash_jinja_iterate(run, value, &items));
    for (const struct jinja_node *part = target->items; part; part = part->next)
        wanted++;
    if (items->count != wanted)
        return ash_fail(
            ASH_ERR_FORMAT, "cannot unpack %zu values into %zu names", items->count, wanted);
    for (const struct jinja_node *part = target->items; part; part = part->next)
        ASH_TRY(assign(run, part, items->item[i++]));
    return ASH_OK;
}

static enum ash_status assign_attribute(
    struct jinja_run *run, const struct jinja_node *target, struct jinja_value value)
{
    for (struct jinja_scope *scope = run->scope; scope; scope = scope->parent) {
        for (size_t i = 0; i < scope->count; i++) {
            struct jinja_value space = scope->binding[i].value;
            if (scope->binding[i].symbol != target->symbol)
                continue;
            if (space.kind != JINJA_NAMESPACE)
                return ash_fail(ASH_ERR_FORMAT, "cannot assign attribute on non-namespace object");
            return ash_jinja_put(run, space, target->value, value);
        }
    }
    return ash_fail(ASH_ERR_FORMAT, "cannot assign attribute on an undefined namespace");
}

/* The depth is that of the source. */
static enum ash_status assign(
    struct jinja_run *run, const struct jinja_node *target, struct jinja_value value)
{
    if (target->kind == JINJA_N_TUPLE)
        return assign_tuple(run, target, value);
    if (target->kind == JINJA_N_ATTRIBUTE_OF)
        return assign_attribute(run, target, value);
    return ash_jinja_bind(run, run->scope, target->symbol, value);
}

/* ---- Bodies ----------------------------------------------------------------------------------- */

enum ash_status ash_jinja_capture(struct jinja_run *run, const struct jinja_node *body,
    struct jinja_scope *scope, struct jinja_value *out)
{
    struct jinja_text text = { 0 }, *old_out = run->out;
    struct jinja_scope *old_scope = run->scope;
    run->out = &text;
    run->scope = scope;
    enum ash_status status = ash_jinja_exec_list(run, body);
    run->out = old_out;
    run->scope = old_scope;
    ASH_TRY(status);
    return ash_jinja_text_value(&run->arena, text, out);
}

/* The block's output, through its filters. */
static enum ash_status capture_filtered(
    struct jinja_run *run, const struct jinja_node *node, struct jinja_value *out)
{
    struct jinja_scope *scope;
    struct jinja_value text, old = run->captured;
    ASH_TRY(ash_jinja_scope(run, run->scope, &scope));
    ASH_TRY(ash_jinja_capture(run, node->body, scope, &text));
    run->captured = text;
    enum ash_status status = ash_jinja_eval(run, node->right, out);
    run->captured = old;
    return status;
}

static enum ash_status output(struct jinja_run *run, struct jinja_value value)
{
    struct jinja_text text;
    ASH_TRY(ash_jinja_print(run, value, &text));
    ASH_TRY(ash_jinja_spend(run, text.length / 64));
    return ash_jinja_append(&run->arena, run->out, text);
}

/* ---- Loops ------------------------------------------------------------------------------------ */

static enum ash_status new_iteration(struct jinja_run *run, const struct jinja_node *node,
    struct jinja_scope *outside, struct jinja_value item)
{
    ASH_TRY(ash_jinja_scope(run, outside, &run->scope));
    return assign(run, node->left, item);
}

/* The items for which the loop's own condition holds. */
static enum ash_status filter_items(struct jinja_run *run, const struct jinja_node *node,
    struct jinja_scope *outside, struct jinja_list **items)
{
    struct jinja_value kept;
    ASH_TRY(ash_jinja_list(&run->arena, JINJA_LIST, &kept));
    for (size_t i = 0; i < (*items)->count; i++) {
        struct jinja_value condition;
        ASH_TRY(new_iteration(run, node, outside, (*items)->item[i]));
        ASH_TRY(ash_jinja_eval(run, node->other, &condition));
        if (ash_jinja_truth(condition))
            ASH_TRY(ash_jinja_push(&run->arena, kept, (*items)->item[i]));
    }
    *items = kept.list;
    return ASH_OK;
}

static enum ash_status run_iterations(
    struct jinja_run *run, const struct jinja_node *node, struct jinja_loop *loop)
{
    int symbol = ash_jinja_symbol_of(run->template, "loop");
    for (loop->index = 0; loop->index < loop->items->count; loop->index++) {
        ASH_TRY(ash_jinja_spend(run, 1));
        ASH_TRY(new_iteration(run, node, loop->scope, loop->items->item[loop->index]));
        if (symbol >= 0)
            ASH_TRY(ash_jinja_bind(
                run, run->scope, symbol, (struct jinja_value){ .kind = JINJA_LOOP, .loop = loop }));
        ASH_TRY(ash_jinja_exec_list(run, node->body));
        bool stop = run->flow == JINJA_BREAK;
        run->flow = JINJA_ON;
        if (stop)
            break;
    }
    return ASH_OK;
}

static enum ash_status run_loop(
    struct jinja_run *run, const struct jinja_node *node, struct jinja_value over, int depth)
{
    struct jinja_loop *loop;
    struct jinja_scope *outside = run->scope;
    ASH_TRY(JINJA_NEW(&run->arena, 1, &loop));
    *loop = (struct jinja_loop){ .node = node, .scope = outside, .depth = depth };
    ASH_TRY(ash_jinja_iterate(run, over, &loop->items));
    if (node->other)
        ASH_TRY(filter_items(run, node, outside, &loop->items));
    if (loop->items->count > 0)
        return run_iterations(run, node, loop);
    ASH_TRY(ash_jinja_scope(run, outside, &run->scope));
    return ash_jinja_exec_list(run, node->items);
}

enum ash_status ash_jinja_run_loop(
    struct jinja_run *run, const struct jinja_node *node, struct jinja_value over, int depth)
{
    struct jinja_scope *outside = run->scope;
    ASH_TRY(ash_jinja_enter(run));
    enum ash_status status = run_loop(run, node, over, depth);
    ash_jinja_leave(run);
    run->scope = outside;
    return status;
}

/* ---- Statements ------------------------------------------------------------------------------- */

static enum ash_status exec_if(struct jinja_run *run, const struct jinja_node *node)
{
    for (const struct jinja_node *branch = node->items; branch; branch = branch->next) {
        struct jinja_value condition = ash_jinja_bool(true);
        if (branch->left)
            ASH_TRY(ash_jinja_eval(run, branch->left, &condition));
        if (ash_jinja_truth(condition))
            return ash_jinja_exec_list(run, branch->body);
    }
    return ASH_OK;
}

static enum ash_status new_macro(
    struct jinja_run *run, const struct jinja_node *node, struct jinja_value *out)
{
    struct jinja_macro *macro;
    ASH_TRY(JINJA_NEW(&run->arena, 1, &macro));
    *macro = (struct jinja_macro){ .node = node, .scope = run->scope };
    *out = (struct jinja_value){ .kind = JINJA_MACRO, .macro = macro };
    return ASH_OK;
}

/* Calls the macro with the block as its argument `caller`. */
static enum ash_status exec_call_block(struct jinja_run *run, const struct jinja_node *node)
{
    struct jinja_value caller, result;
    ASH_TRY(new_macro(run, node, &caller));
    /* The call with one more argument: a constant in front, its node lives for this call only. */
    struct jinja_node constant = { .kind = JINJA_N_CONSTANT, .line = node->line, .value = caller };
    struct jinja_node call = *node->left, *last = NULL, *copy;
    struct jinja_node **tail = &call.items;
    for (const struct jinja_node *argument = node->left->items; argument;
         argument = argument->next) {
        ASH_TRY(JINJA_NEW(&run->arena, 1, &copy));
        *copy = *argument;
        *tail = copy;
        tail = &copy->next;
    }
    ASH_TRY(JINJA_NEW(&run->arena, 1, &last));
    last->kind = JINJA_N_ARGUMENT;
    last->line = node->line;
    last->value = node->value;
    last->left = &constant;
    *tail = last;
    ASH_TRY(ash_jinja_eval(run, &call, &result));
    return output(run, result);
}

static enum ash_status exec_with(struct jinja_run *run, const struct jinja_node *node)
{
    struct jinja_scope *outside = run->scope, *scope;
    enum ash_status status = ASH_OK;
    ASH_TRY(ash_jinja_scope(run, outside, &scope));
    for (const struct jinja_node *set = node->items; set && status == ASH_OK; set = set->next) {
        struct jinja_value value;
        ASH_TRY(ash_jinja_eval(run, set->right, &value)); /* outside: none sees another */
        run->scope = scope;
        status = assign(run, set->left, value);
        run->scope = outside;
    }
    ASH_TRY(status);
    run->scope = scope;
    status = ash_jinja_exec_list(run, node->body);
    run->scope = outside;
    return status;
}

static enum ash_status exec_inside(struct jinja_run *run, const struct jinja_node *node)
{
    struct jinja_value value;
    switch (node->kind) {
    case JINJA_N_DATA:
        return output(run, node->value);
    case JINJA_N_OUTPUT:
        ASH_TRY(ash_jinja_eval(run, node->left, &value));
        return output(run, value);
    case JINJA_N_IF:
        return exec_if(run, node);
    case JINJA_N_FOR:
        ASH_TRY(ash_jinja_eval(run, node->right, &value));
        return ash_jinja_run_loop(run, node, value, 0);
    case JINJA_N_SET:
        ASH_TRY(ash_jinja_eval(run, node->right, &value));
        return assign(run, node->left, value);
    case JINJA_N_SET_BLOCK:
        ASH_TRY(capture_filtered(run, node, &value));
        return assign(run, node->left, value);
    case JINJA_N_MACRO:
        ASH_TRY(new_macro(run, node, &value));
        return ash_jinja_bind(run, run->scope, node->symbol, value);
    case JINJA_N_CALL_BLOCK:
        return exec_call_block(run, node);
    case JINJA_N_FILTER_BLOCK:
        ASH_TRY(capture_filtered(run, node, &value));
        return output(run, value);
    case JINJA_N_WITH:
        return exec_with(run, node);
    default:
        run->flow = node->kind == JINJA_N_BREAK ? JINJA_BREAK : JINJA_CONTINUE;
        return ASH_OK;
    }
}

static enum ash_status exec(struct jinja_run *run, const struct jinja_node *node)
{
    ASH_TRY(ash_jinja_spend(run, 1));
    ASH_TRY(ash_jinja_enter(run));
    enum ash_status status = exec_inside(run, node);
    ash_jinja_leave(run);
    return status;
}

enum ash_status ash_jinja_exec_list(struct jinja_run *run, const struct jinja_node *body)
{
    for (; body && run->flow == JINJA_ON; body = body->next) {
        enum ash_status status = exec(run, body);
        if (status != ASH_OK && !run->located) {
            run->located = true;
            return ash_fail_in(status, "chat template, line %d", body->line);
        }
        ASH_TRY(status);
    }
    return ASH_OK;
}

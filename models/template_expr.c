/* SPDX-License-Identifier: Apache-2.0 */
#include "models/template_internal.h"

#include <string.h>

/*
 * Expressions by recursive descent; the grammar and its precedences are those of Jinja's parser:
 *   choice: or [if or [else choice]]     or: and {or and}         and: not {and not}
 *   not: [not] compare                   compare: sum {op sum}    sum: concat {+- concat}
 *   concat: product {~ product}          product: power {* / // % power}
 *   power: unary {** unary}              unary: [+-] primary postfix filters
 */

/* ---- Primaries ------------------------------------------------------------------------------- */

static enum ash_status parse_unary(
    struct jinja_parser *parser, bool filters, struct jinja_node **out);

/* Items up to the closing bracket, commas between them, one more allowed at the end. */
static enum ash_status parse_items(
    struct jinja_parser *parser, int close, bool pairs, struct jinja_node **out)
{
    struct jinja_node **tail = out;
    while (!ash_jinja_at_op(parser, close)) {
        if (tail != out)
            ASH_TRY(ash_jinja_expect_op(parser, ',', "a comma"));
        if (ash_jinja_at_op(parser, close))
            break;
        struct jinja_node *item, *pair;
        ASH_TRY(ash_jinja_parse_expression(parser, true, &item));
        if (pairs) {
            ASH_TRY(ash_jinja_node(parser, JINJA_N_PAIR, &pair));
            ASH_TRY(ash_jinja_expect_op(parser, ':', "a colon"));
            pair->left = item;
            ASH_TRY(ash_jinja_parse_expression(parser, true, &pair->right));
            item = pair;
        }
        *tail = item;
        tail = &item->next;
    }
    parser->token++;
    return ASH_OK;
}

enum ash_status ash_jinja_parse_name(struct jinja_parser *parser, struct jinja_node **out)
{
    static const struct {
        const char *name;
        struct jinja_value value;
    } constants[] = {
        { "true", { .kind = JINJA_BOOL, .boolean = true } },
        { "True", { .kind = JINJA_BOOL, .boolean = true } },
        { "false", { .kind = JINJA_BOOL } },
        { "False", { .kind = JINJA_BOOL } },
        { "none", { .kind = JINJA_NONE } },
        { "None", { .kind = JINJA_NONE } },
    };
    ASH_TRY(ash_jinja_node(parser, JINJA_N_NAME, out));
    struct jinja_value name = parser->token++->value;
    for (size_t i = 0; i < sizeof constants / sizeof constants[0]; i++) {
        if (ash_jinja_is(*name.text, constants[i].name)) {
            (*out)->kind = JINJA_N_CONSTANT;
            (*out)->value = constants[i].value;
            return ASH_OK;
        }
    }
    (*out)->value = name;
    return ash_jinja_symbol(parser, *name.text, &(*out)->symbol);
}

/* Strings next to each other are one. */
static enum ash_status parse_string(struct jinja_parser *parser, struct jinja_node **out)
{
    struct jinja_arena *arena = &parser->template->arena;
    ASH_TRY(ash_jinja_node(parser, JINJA_N_CONSTANT, out));
    struct jinja_text text = *parser->token++->value.text;
    while (parser->token->kind == JINJA_T_STRING)
        ASH_TRY(ash_jinja_append(arena, &text, *parser->token++->value.text));
    ash_jinja_seal(text);
    return ash_jinja_text_value(arena, text, &(*out)->value);
}

static enum ash_status parse_primary(struct jinja_parser *parser, struct jinja_node **out)
{
    switch (parser->token->kind) {
    case JINJA_T_NAME:
        return ash_jinja_parse_name(parser, out);
    case JINJA_T_STRING:
        return parse_string(parser, out);
    case JINJA_T_NUMBER:
        ASH_TRY(ash_jinja_node(parser, JINJA_N_CONSTANT, out));
        (*out)->value = parser->token++->value;
        return ASH_OK;
    default:
        break;
    }
    if (ash_jinja_skip_op(parser, '(')) {
        if (ash_jinja_at_op(parser, ')'))
            ASH_TRY(ash_jinja_node(parser, JINJA_N_TUPLE, out));
        else
            ASH_TRY(ash_jinja_parse_tuple(parser, true, NULL, out));
        return ash_jinja_expect_op(parser, ')', "')'");
    }
    bool list = ash_jinja_at_op(parser, '[');
    if (!list && !ash_jinja_at_op(parser, '{'))
        return ash_jinja_unexpected(parser, "an expression");
    ASH_TRY(ash_jinja_node(parser, list ? JINJA_N_LIST : JINJA_N_DICT, out));
    parser->token++;
    return parse_items(parser, list ? ']' : '}', !list, &(*out)->items);
}

/* ---- Postfixes: attributes, items, calls, filters, tests ------------------------------------- */

static enum ash_status parse_argument(struct jinja_parser *parser, struct jinja_node **out)
{
    ASH_TRY(ash_jinja_node(parser, JINJA_N_ARGUMENT, out));
    if (ash_jinja_skip_op(parser, '*'))
        (*out)->kind = JINJA_N_SPREAD;
    else if (ash_jinja_skip_op(parser, JINJA_OP('*', '*')))
        (*out)->kind = JINJA_N_SPREAD_NAMED;
    else if (parser->token->kind == JINJA_T_NAME && parser->token[1].kind == JINJA_T_OPERATOR &&
             parser->token[1].op == '=') {
        (*out)->value = parser->token->value;
        parser->token += 2;
    }
    return ash_jinja_parse_expression(parser, true, &(*out)->left);
}

/* The arguments of a call, from the bracket on. */
static enum ash_status parse_arguments(struct jinja_parser *parser, struct jinja_node **out)
{
    struct jinja_node **tail = out;
    bool named = false;
    ASH_TRY(ash_jinja_expect_op(parser, '(', "'('"));
    while (!ash_jinja_at_op(parser, ')')) {
        if (tail != out)
            ASH_TRY(ash_jinja_expect_op(parser, ',', "a comma"));
        if (ash_jinja_at_op(parser, ')'))
            break;
        ASH_TRY(parse_argument(parser, tail));
        bool positional = (*tail)->kind == JINJA_N_ARGUMENT && (*tail)->value.kind == JINJA_ABSENT;
        if (positional && named)
            return ash_fail(ASH_ERR_FORMAT, "line %d: a positional argument follows a named one",
                (*tail)->line);
        named |= !positional;
        tail = &(*tail)->next;
    }
    parser->token++;
    return ASH_OK;
}

/* Wraps `*left` in a call node from the bracket on. */
static enum ash_status parse_call(struct jinja_parser *parser, struct jinja_node **left)
{
    struct jinja_node *call;
    ASH_TRY(ash_jinja_node(parser, JINJA_N_CALL, &call));
    call->left = *left;
    *left = call;
    return parse_arguments(parser, &call->items);
}

static enum ash_status parse_index(struct jinja_parser *parser, struct jinja_node **out)
{
    struct jinja_node *first = NULL, *slice;
    if (!ash_jinja_at_op(parser, ':'))
        ASH_TRY(ash_jinja_parse_expression(parser, true, &first));
    *out = first;
    if (!ash_jinja_at_op(parser, ':'))
        return ASH_OK;
    ASH_TRY(ash_jinja_node(parser, JINJA_N_SLICE, &slice));
    parser->token++;
    slice->left = first;
    *out = slice;
    if (!ash_jinja_at_op(parser, ':') && !ash_jinja_at_op(parser, ']'))
        ASH_TRY(ash_jinja_parse_expression(parser, true, &slice->right));
    if (ash_jinja_skip_op(parser, ':') && !ash_jinja_at_op(parser, ']'))
        ASH_TRY(ash_jinja_parse_expression(parser, true, &slice->other));
    return ASH_OK;
}

static enum ash_status parse_postfix(struct jinja_parser *parser, struct jinja_node **left)
{
    for (;;) {
        struct jinja_node *node;
        if (ash_jinja_at_op(parser, '(')) {
            ASH_TRY(parse_call(parser, left));
            continue;
        }
        bool point = ash_jinja_at_op(parser, '.');
        if (!point && !ash_jinja_at_op(parser, '['))
            return ASH_OK;
        ASH_TRY(ash_jinja_node(parser, point ? JINJA_N_ATTRIBUTE : JINJA_N_ITEM, &node));
        parser->token++;
        node->left = *left;
        *left = node;
        if (!point) {
            ASH_TRY(parse_index(parser, &node->right));
            ASH_TRY(ash_jinja_expect_op(parser, ']', "']'"));
        } else if (parser->token->kind == JINJA_T_NUMBER &&
                   parser->token->value.kind == JINJA_INT) {
            node->kind = JINJA_N_ITEM;
            ASH_TRY(parse_primary(parser, &node->right));
        } else {
            ASH_TRY(ash_jinja_expect_name(parser, &node->value));
        }
    }
}

/* A filter's or test's node with its name in place; the token behind it is next. */
static enum ash_status parse_builtin_name(
    struct jinja_parser *parser, enum jinja_node_kind kind, struct jinja_node **left)
{
    struct jinja_node *node;
    ASH_TRY(ash_jinja_node(parser, kind, &node));
    ASH_TRY(ash_jinja_expect_name(parser, &node->value));
    node->left = *left;
    node->builtin = kind == JINJA_N_FILTER ? ash_jinja_filter(*node->value.text)
                                           : ash_jinja_test(*node->value.text);
    *left = node;
    return ASH_OK;
}

enum ash_status ash_jinja_parse_filters(
    struct jinja_parser *parser, bool bare, struct jinja_node **left)
{
    while (bare || ash_jinja_skip_op(parser, '|')) {
        bare = false;
        ASH_TRY(parse_builtin_name(parser, JINJA_N_FILTER, left));
        if (ash_jinja_at_op(parser, '('))
            ASH_TRY(parse_arguments(parser, &(*left)->items));
    }
    return ASH_OK;
}

/* `is divisibleby 3`: one argument without brackets. */
static bool at_bare_argument(const struct jinja_parser *parser)
{
    switch (parser->token->kind) {
    case JINJA_T_NAME:
        return !ash_jinja_at_name(parser, "else") && !ash_jinja_at_name(parser, "or") &&
               !ash_jinja_at_name(parser, "and");
    case JINJA_T_STRING:
    case JINJA_T_NUMBER:
        return true;
    default:
        return ash_jinja_at_op(parser, '[') || ash_jinja_at_op(parser, '{');
    }
}

static enum ash_status parse_test(struct jinja_parser *parser, struct jinja_node **left)
{
    struct jinja_node *negation;
    bool negated = ash_jinja_skip_name(parser, "not");
    ASH_TRY(parse_builtin_name(parser, JINJA_N_TEST, left));
    struct jinja_node *test = *left;
    if (ash_jinja_at_op(parser, '(')) {
        ASH_TRY(parse_arguments(parser, &test->items));
    } else if (at_bare_argument(parser)) {
        if (ash_jinja_at_name(parser, "is"))
            return ash_fail(
                ASH_ERR_FORMAT, "line %d: tests with 'is' cannot be chained", parser->token->line);
        ASH_TRY(ash_jinja_node(parser, JINJA_N_ARGUMENT, &test->items));
        ASH_TRY(parse_primary(parser, &test->items->left));
        ASH_TRY(parse_postfix(parser, &test->items->left));
    }
    if (!negated)
        return ASH_OK;
    ASH_TRY(ash_jinja_node(parser, JINJA_N_NOT, &negation));
    negation->left = test;
    *left = negation;
    return ASH_OK;
}

static enum ash_status parse_filters_and_tests(
    struct jinja_parser *parser, struct jinja_node **left)
{
    for (;;) {
        if (ash_jinja_at_op(parser, '|'))
            ASH_TRY(ash_jinja_parse_filters(parser, false, left));
        else if (ash_jinja_skip_name(parser, "is"))
            ASH_TRY(parse_test(parser, left));
        else if (ash_jinja_at_op(parser, '('))
            ASH_TRY(parse_call(parser, left));
        else
            return ASH_OK;
    }
}

static enum ash_status parse_unary(
    struct jinja_parser *parser, bool filters, struct jinja_node **out)
{
    bool minus = ash_jinja_at_op(parser, '-');
    ASH_TRY(ash_jinja_deeper(parser));
    if (minus || ash_jinja_at_op(parser, '+')) {
        ASH_TRY(ash_jinja_node(parser, minus ? JINJA_N_NEGATE : JINJA_N_POSITIVE, out));
        parser->token++;
        ASH_TRY(parse_unary(parser, false, &(*out)->left));
    } else {
        ASH_TRY(parse_primary(parser, out));
    }
    ASH_TRY(parse_postfix(parser, out));
    parser->nesting--;
    return filters ? parse_filters_and_tests(parser, out) : ASH_OK;
}

/* ---- Operators ------------------------------------------------------------------------------- */

static enum ash_status binary(
    struct jinja_parser *parser, enum jinja_node_kind kind, struct jinja_node **left)
{
    struct jinja_node *node;
    ASH_TRY(ash_jinja_node(parser, kind, &node));
    node->op = parser->token->op;
    node->left = *left;
    *left = node;
    parser->token++;
    return ASH_OK;
}

static enum ash_status parse_power(struct jinja_parser *parser, struct jinja_node **out)
{
    ASH_TRY(parse_unary(parser, true, out));
    while (ash_jinja_at_op(parser, JINJA_OP('*', '*'))) {
        ASH_TRY(binary(parser, JINJA_N_BINARY, out));
        ASH_TRY(parse_unary(parser, true, &(*out)->right));
    }
    return ASH_OK;
}

static enum ash_status parse_product(struct jinja_parser *parser, struct jinja_node **out)
{
    ASH_TRY(parse_power(parser, out));
    while (ash_jinja_at_op(parser, '*') || ash_jinja_at_op(parser, '/') ||
           ash_jinja_at_op(parser, '%') || ash_jinja_at_op(parser, JINJA_OP('/', '/'))) {
        ASH_TRY(binary(parser, JINJA_N_BINARY, out));
        ASH_TRY(parse_power(parser, &(*out)->right));
    }
    return ASH_OK;
}

static enum ash_status parse_concat(struct jinja_parser *parser, struct jinja_node **out)
{
    struct jinja_node *first, **tail, *concat;
    ASH_TRY(parse_product(parser, &first));
    *out = first;
    if (!ash_jinja_at_op(parser, '~'))
        return ASH_OK;
    ASH_TRY(ash_jinja_node(parser, JINJA_N_CONCAT, &concat));
    concat->items = first;
    tail = &first->next;
    while (ash_jinja_skip_op(parser, '~')) {
        ASH_TRY(parse_product(parser, tail));
        tail = &(*tail)->next;
    }
    *out = concat;
    return ASH_OK;
}

static enum ash_status parse_sum(struct jinja_parser *parser, struct jinja_node **out)
{
    ASH_TRY(parse_concat(parser, out));
    while (ash_jinja_at_op(parser, '+') || ash_jinja_at_op(parser, '-')) {
        ASH_TRY(binary(parser, JINJA_N_BINARY, out));
        ASH_TRY(parse_concat(parser, &(*out)->right));
    }
    return ASH_OK;
}

/* The comparison at the token, 0 if there is none; `words` = how many tokens it takes. */
static int comparison(const struct jinja_parser *parser, int *words)
{
    static const int ops[] = { '<', '>', JINJA_OP('=', '='), JINJA_OP('!', '='), JINJA_OP('<', '='),
        JINJA_OP('>', '=') };
    *words = 1;
    for (size_t i = 0; i < sizeof ops / sizeof ops[0]; i++)
        if (ash_jinja_at_op(parser, ops[i]))
            return ops[i];
    if (ash_jinja_at_name(parser, "in"))
        return JINJA_OP_IN;
    *words = 2;
    bool not_in = ash_jinja_at_name(parser, "not") && parser->token[1].kind == JINJA_T_NAME &&
                  ash_jinja_is(*parser->token[1].value.text, "in");
    return not_in ? JINJA_OP_NOT_IN : 0;
}

static enum ash_status parse_compare(struct jinja_parser *parser, struct jinja_node **out)
{
    struct jinja_node *compare, **tail;
    int words, op;
    ASH_TRY(parse_sum(parser, out));
    if (!comparison(parser, &words))
        return ASH_OK;
    ASH_TRY(ash_jinja_node(parser, JINJA_N_COMPARE, &compare));
    compare->left = *out;
    *out = compare;
    for (tail = &compare->items; (op = comparison(parser, &words)); tail = &(*tail)->next) {
        ASH_TRY(ash_jinja_node(parser, JINJA_N_OPERAND, tail));
        (*tail)->op = op;
        parser->token += words;
        ASH_TRY(parse_sum(parser, &(*tail)->left));
    }
    return ASH_OK;
}

static enum ash_status parse_not(struct jinja_parser *parser, struct jinja_node **out)
{
    if (!ash_jinja_at_name(parser, "not"))
        return parse_compare(parser, out);
    ASH_TRY(ash_jinja_deeper(parser));
    ASH_TRY(ash_jinja_node(parser, JINJA_N_NOT, out));
    parser->token++;
    ASH_TRY(parse_not(parser, &(*out)->left));
    parser->nesting--;
    return ASH_OK;
}

static enum ash_status parse_and(struct jinja_parser *parser, struct jinja_node **out)
{
    ASH_TRY(parse_not(parser, out));
    while (ash_jinja_at_name(parser, "and")) {
        ASH_TRY(binary(parser, JINJA_N_AND, out));
        ASH_TRY(parse_not(parser, &(*out)->right));
    }
    return ASH_OK;
}

static enum ash_status parse_or(struct jinja_parser *parser, struct jinja_node **out)
{
    ASH_TRY(parse_and(parser, out));
    while (ash_jinja_at_name(parser, "or")) {
        ASH_TRY(binary(parser, JINJA_N_OR, out));
        ASH_TRY(parse_and(parser, &(*out)->right));
    }
    return ASH_OK;
}

enum ash_status ash_jinja_parse_expression(
    struct jinja_parser *parser, bool choice, struct jinja_node **out)
{
    ASH_TRY(ash_jinja_deeper(parser));
    ASH_TRY(parse_or(parser, out));
    while (choice && ash_jinja_at_name(parser, "if")) {
        ASH_TRY(binary(parser, JINJA_N_CHOICE, out));
        ASH_TRY(parse_or(parser, &(*out)->right));
        if (ash_jinja_skip_name(parser, "else"))
            ASH_TRY(ash_jinja_parse_expression(parser, true, &(*out)->other));
    }
    parser->nesting--;
    return ASH_OK;
}

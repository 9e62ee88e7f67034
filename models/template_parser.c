/* SPDX-License-Identifier: Apache-2.0 */
/* What expressions and statements share: steps over tokens, tuples, and what is assigned to. */
#include "models/template_internal.h"

#include <string.h>

enum ash_status ash_jinja_node(
    struct jinja_parser *parser, enum jinja_node_kind kind, struct jinja_node **out)
{
    struct jinja_node *node;
    ASH_TRY(JINJA_NEW(&parser->template->arena, 1, &node));
    node->kind = kind;
    node->line = parser->token->line;
    *out = node;
    return ASH_OK;
}

enum ash_status ash_jinja_symbol(struct jinja_parser *parser, struct jinja_text name, int *out)
{
    struct ash_template *template = parser->template;
    for (size_t i = 0; i < template->symbol_count; i++) {
        if (ash_jinja_same(template->symbol[i], name)) {
            *out = (int)i;
            return ASH_OK;
        }
    }
    if (template->symbol_count == JINJA_MAX_SYMBOLS)
        return ash_fail(
            ASH_ERR_LIMIT, "a chat template may have %d names; more found", JINJA_MAX_SYMBOLS);
    if (!template->symbol)
        ASH_TRY(JINJA_NEW(&template->arena, JINJA_MAX_SYMBOLS, &template->symbol));
    template->symbol[template->symbol_count] = name;
    *out = (int)template->symbol_count++;
    return ASH_OK;
}

enum ash_status ash_jinja_unexpected(const struct jinja_parser *parser, const char *expected)
{
    const struct jinja_token *token = parser->token;
    static const char *const kinds[] = {
        [JINJA_T_END] = "the end of the template",
        [JINJA_T_DATA] = "text",
        [JINJA_T_OUTPUT_BEGIN] = "{{",
        [JINJA_T_OUTPUT_END] = "}}",
        [JINJA_T_BLOCK_BEGIN] = "{%",
        [JINJA_T_BLOCK_END] = "%}",
        [JINJA_T_STRING] = "a string",
        [JINJA_T_NUMBER] = "a number",
    };
    if (token->kind == JINJA_T_NAME)
        return ash_fail(ASH_ERR_FORMAT, "line %d: expected %s, found '%.*s'", token->line, expected,
            token->value.text->length < 60 ? (int)token->value.text->length : 60,
            ash_jinja_bytes(*token->value.text));
    if (token->kind == JINJA_T_OPERATOR)
        return ash_fail(ASH_ERR_FORMAT, "line %d: expected %s, found '%c%.1s'", token->line,
            expected, token->op & 0xFF, (char[]){ (char)(token->op >> 8), 0 });
    return ash_fail(ASH_ERR_FORMAT, "line %d: expected %s, found %s", token->line, expected,
        kinds[token->kind]);
}

bool ash_jinja_at_op(const struct jinja_parser *parser, int op)
{
    return parser->token->kind == JINJA_T_OPERATOR && parser->token->op == op;
}

bool ash_jinja_at_name(const struct jinja_parser *parser, const char *name)
{
    return parser->token->kind == JINJA_T_NAME && ash_jinja_is(*parser->token->value.text, name);
}

bool ash_jinja_skip_op(struct jinja_parser *parser, int op)
{
    bool found = ash_jinja_at_op(parser, op);
    parser->token += found;
    return found;
}

bool ash_jinja_skip_name(struct jinja_parser *parser, const char *name)
{
    bool found = ash_jinja_at_name(parser, name);
    parser->token += found;
    return found;
}

enum ash_status ash_jinja_expect_op(struct jinja_parser *parser, int op, const char *what)
{
    return ash_jinja_skip_op(parser, op) ? ASH_OK : ash_jinja_unexpected(parser, what);
}

enum ash_status ash_jinja_expect_name(struct jinja_parser *parser, struct jinja_value *out)
{
    if (parser->token->kind != JINJA_T_NAME)
        return ash_jinja_unexpected(parser, "a name");
    *out = parser->token++->value;
    return ASH_OK;
}

enum ash_status ash_jinja_deeper(struct jinja_parser *parser)
{
    if (++parser->nesting > JINJA_MAX_NESTING)
        return ash_fail(ASH_ERR_LIMIT, "line %d: nested deeper than %d levels", parser->token->line,
            JINJA_MAX_NESTING);
    return ASH_OK;
}

/* ---- Tuples and targets ----------------------------------------------------------------------- */

static bool at_tuple_end(const struct jinja_parser *parser, const char *end)
{
    enum jinja_token_kind kind = parser->token->kind;
    return kind == JINJA_T_OUTPUT_END || kind == JINJA_T_BLOCK_END ||
           ash_jinja_at_op(parser, ')') || (end && ash_jinja_at_name(parser, end));
}

enum ash_status ash_jinja_parse_tuple(
    struct jinja_parser *parser, bool choice, const char *end, struct jinja_node **out)
{
    struct jinja_node *tuple, *first, **tail;
    ASH_TRY(ash_jinja_parse_expression(parser, choice, &first));
    *out = first;
    if (!ash_jinja_at_op(parser, ','))
        return ASH_OK;
    ASH_TRY(ash_jinja_node(parser, JINJA_N_TUPLE, &tuple));
    tuple->items = first;
    tail = &first->next;
    while (ash_jinja_skip_op(parser, ',') && !at_tuple_end(parser, end)) {
        ASH_TRY(ash_jinja_parse_expression(parser, choice, tail));
        tail = &(*tail)->next;
    }
    *out = tuple;
    return ASH_OK;
}

static enum ash_status parse_target_item(
    struct jinja_parser *parser, bool attributes, struct jinja_node **out)
{
    if (ash_jinja_skip_op(parser, '(')) {
        ASH_TRY(ash_jinja_deeper(parser));
        ASH_TRY(ash_jinja_parse_target(parser, false, out));
        parser->nesting--;
        return ash_jinja_expect_op(parser, ')', "')'");
    }
    if (parser->token->kind != JINJA_T_NAME)
        return ash_jinja_unexpected(parser, "a name to assign to");
    ASH_TRY(ash_jinja_parse_name(parser, out));
    if ((*out)->kind != JINJA_N_NAME)
        return ash_fail(ASH_ERR_FORMAT, "line %d: cannot assign to a constant", (*out)->line);
    if (attributes && ash_jinja_skip_op(parser, '.')) {
        (*out)->kind = JINJA_N_ATTRIBUTE_OF;
        return ash_jinja_expect_name(parser, &(*out)->value);
    }
    return ASH_OK;
}

enum ash_status ash_jinja_parse_target(
    struct jinja_parser *parser, bool attributes, struct jinja_node **out)
{
    struct jinja_node *tuple, *first, **tail;
    ASH_TRY(parse_target_item(parser, attributes, &first));
    *out = first;
    if (!ash_jinja_at_op(parser, ','))
        return ASH_OK;
    ASH_TRY(ash_jinja_node(parser, JINJA_N_TUPLE, &tuple));
    tuple->items = first;
    tail = &first->next;
    while (ash_jinja_skip_op(parser, ',')) {
        if (at_tuple_end(parser, "in") || ash_jinja_at_op(parser, '='))
            break;
        ASH_TRY(parse_target_item(parser, attributes, tail));
        tail = &(*tail)->next;
    }
    *out = tuple;
    return ASH_OK;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "models/template_internal.h"

#include <string.h>

/* Statements. A body ends before the tag that closes it or goes on with another branch. */
static enum ash_status parse_body(
    struct jinja_parser *parser, const char *const *ends, struct jinja_node **out);

static enum ash_status expect_block_end(struct jinja_parser *parser)
{
    if (parser->token->kind != JINJA_T_BLOCK_END)
        return ash_jinja_unexpected(parser, "%}");
    parser->token++;
    return ASH_OK;
}

static bool at_any_name(const struct jinja_parser *parser, const char *const *names)
{
    for (; *names; names++)
        if (ash_jinja_at_name(parser, *names))
            return true;
    return false;
}

/* The rest of the opening tag, the body, and the name of the closing tag, whose end is left. */
static enum ash_status parse_block(
    struct jinja_parser *parser, const char *const *ends, struct jinja_node **out)
{
    ash_jinja_skip_op(parser, ':');
    ASH_TRY(expect_block_end(parser));
    return parse_body(parser, ends, out);
}

static enum ash_status parse_for(struct jinja_parser *parser, struct jinja_node **out)
{
    struct jinja_node *node;
    ASH_TRY(ash_jinja_node(parser, JINJA_N_FOR, out));
    node = *out;
    parser->token++;
    ASH_TRY(ash_jinja_parse_target(parser, false, &node->left));
    if (!ash_jinja_skip_name(parser, "in"))
        return ash_jinja_unexpected(parser, "'in'");
    ASH_TRY(ash_jinja_parse_tuple(parser, false, "recursive", &node->right));
    if (ash_jinja_skip_name(parser, "if"))
        ASH_TRY(ash_jinja_parse_expression(parser, true, &node->other));
    node->recursive = ash_jinja_skip_name(parser, "recursive");
    parser->loops++;
    ASH_TRY(parse_block(parser, (const char *const[]){ "endfor", "else", NULL }, &node->body));
    parser->loops--;
    if (ash_jinja_skip_name(parser, "else"))
        ASH_TRY(parse_block(parser, (const char *const[]){ "endfor", NULL }, &node->items));
    parser->token++;
    return ASH_OK;
}

static enum ash_status parse_if(struct jinja_parser *parser, struct jinja_node **out)
{
    static const char *const ends[] = { "elif", "else", "endif", NULL };
    ASH_TRY(ash_jinja_node(parser, JINJA_N_IF, out));
    struct jinja_node **tail = &(*out)->items;
    for (bool last = false; !last || !ash_jinja_at_name(parser, "endif"); tail = &(*tail)->next) {
        ASH_TRY(ash_jinja_node(parser, JINJA_N_BRANCH, tail));
        last = ash_jinja_at_name(parser, "else");
        parser->token++; /* if, elif, else */
        if (!last)
            ASH_TRY(ash_jinja_parse_tuple(parser, false, NULL, &(*tail)->left));
        ASH_TRY(parse_block(parser, last ? ends + 2 : ends, &(*tail)->body));
        last |= ash_jinja_at_name(parser, "endif");
    }
    parser->token++;
    return ASH_OK;
}

static enum ash_status parse_set(struct jinja_parser *parser, struct jinja_node **out)
{
    struct jinja_node *node;
    ASH_TRY(ash_jinja_node(parser, JINJA_N_SET, out));
    node = *out;
    parser->token++;
    ASH_TRY(ash_jinja_parse_target(parser, true, &node->left));
    if (ash_jinja_skip_op(parser, '='))
        return ash_jinja_parse_tuple(parser, true, NULL, &node->right);
    node->kind = JINJA_N_SET_BLOCK;
    ASH_TRY(ash_jinja_node(parser, JINJA_N_CAPTURED, &node->right));
    ASH_TRY(ash_jinja_parse_filters(parser, false, &node->right));
    ASH_TRY(parse_block(parser, (const char *const[]){ "endset", NULL }, &node->body));
    parser->token++;
    return ASH_OK;
}

static enum ash_status parse_parameters(struct jinja_parser *parser, struct jinja_node **out)
{
    struct jinja_node **tail = out;
    bool defaults = false;
    ASH_TRY(ash_jinja_expect_op(parser, '(', "'('"));
    while (!ash_jinja_at_op(parser, ')')) {
        if (tail != out)
            ASH_TRY(ash_jinja_expect_op(parser, ',', "a comma"));
        ASH_TRY(ash_jinja_node(parser, JINJA_N_PARAMETER, tail));
        ASH_TRY(ash_jinja_expect_name(parser, &(*tail)->value));
        ASH_TRY(ash_jinja_symbol(parser, *(*tail)->value.text, &(*tail)->symbol));
        if (ash_jinja_skip_op(parser, '='))
            ASH_TRY(ash_jinja_parse_expression(parser, true, &(*tail)->left));
        else if (defaults)
            return ash_fail(ASH_ERR_FORMAT,
                "line %d: a parameter without a default follows one with a default",
                parser->token->line);
        defaults |= (*tail)->left != NULL;
        tail = &(*tail)->next;
    }
    parser->token++;
    return ASH_OK;
}

/* A loop around a macro is none for the statements inside it. */
static enum ash_status parse_body_outside_loops(
    struct jinja_parser *parser, const char *end, struct jinja_node **out)
{
    int loops = parser->loops;
    parser->loops = 0;
    ASH_TRY(parse_block(parser, (const char *const[]){ end, NULL }, out));
    parser->loops = loops;
    parser->token++;
    return ASH_OK;
}

static enum ash_status parse_macro(struct jinja_parser *parser, struct jinja_node **out)
{
    ASH_TRY(ash_jinja_node(parser, JINJA_N_MACRO, out));
    parser->token++;
    ASH_TRY(ash_jinja_expect_name(parser, &(*out)->value));
    ASH_TRY(ash_jinja_symbol(parser, *(*out)->value.text, &(*out)->symbol));
    ASH_TRY(parse_parameters(parser, &(*out)->items));
    return parse_body_outside_loops(parser, "endmacro", &(*out)->body);
}

static enum ash_status parse_call_block(struct jinja_parser *parser, struct jinja_node **out)
{
    ASH_TRY(ash_jinja_node(parser, JINJA_N_CALL_BLOCK, out));
    ASH_TRY(ash_jinja_string(&parser->template->arena, "caller", 6, true, &(*out)->value));
    parser->token++;
    if (ash_jinja_at_op(parser, '('))
        ASH_TRY(parse_parameters(parser, &(*out)->items));
    ASH_TRY(ash_jinja_parse_expression(parser, true, &(*out)->left));
    if ((*out)->left->kind != JINJA_N_CALL)
        return ash_fail(ASH_ERR_FORMAT, "line %d: expected a call", (*out)->line);
    return parse_body_outside_loops(parser, "endcall", &(*out)->body);
}

static enum ash_status parse_filter_block(struct jinja_parser *parser, struct jinja_node **out)
{
    ASH_TRY(ash_jinja_node(parser, JINJA_N_FILTER_BLOCK, out));
    parser->token++;
    ASH_TRY(ash_jinja_node(parser, JINJA_N_CAPTURED, &(*out)->right));
    ASH_TRY(ash_jinja_parse_filters(parser, true, &(*out)->right));
    ASH_TRY(parse_block(parser, (const char *const[]){ "endfilter", NULL }, &(*out)->body));
    parser->token++;
    return ASH_OK;
}

static enum ash_status parse_with(struct jinja_parser *parser, struct jinja_node **out)
{
    ASH_TRY(ash_jinja_node(parser, JINJA_N_WITH, out));
    struct jinja_node **tail = &(*out)->items;
    parser->token++;
    while (parser->token->kind != JINJA_T_BLOCK_END) {
        if (tail != &(*out)->items)
            ASH_TRY(ash_jinja_expect_op(parser, ',', "a comma"));
        ASH_TRY(ash_jinja_node(parser, JINJA_N_SET, tail));
        ASH_TRY(ash_jinja_parse_target(parser, false, &(*tail)->left));
        ASH_TRY(ash_jinja_expect_op(parser, '=', "'='"));
        ASH_TRY(ash_jinja_parse_expression(parser, true, &(*tail)->right));
        tail = &(*tail)->next;
    }
    ASH_TRY(parse_block(parser, (const char *const[]){ "endwith", NULL }, &(*out)->body));
    parser->token++;
    return ASH_OK;
}

/* Marks the assistant's words for training; to a prompt it is a scope. */
static enum ash_status parse_generation(struct jinja_parser *parser, struct jinja_node **out)
{
    ASH_TRY(ash_jinja_node(parser, JINJA_N_WITH, out));
    parser->token++;
    return parse_body_outside_loops(parser, "endgeneration", &(*out)->body);
}

static enum ash_status parse_jump(struct jinja_parser *parser, struct jinja_node **out)
{
    bool is_break = ash_jinja_at_name(parser, "break");
    if (parser->loops == 0)
        return ash_fail(ASH_ERR_FORMAT, "line %d: '%s' outside a loop", parser->token->line,
            is_break ? "break" : "continue");
    ASH_TRY(ash_jinja_node(parser, is_break ? JINJA_N_BREAK : JINJA_N_CONTINUE, out));
    parser->token++;
    return ASH_OK;
}

/* {% print a, b %}: a list of outputs. */
static enum ash_status parse_print(struct jinja_parser *parser, struct jinja_node **out)
{
    parser->token++;
    while (parser->token->kind != JINJA_T_BLOCK_END) {
        ASH_TRY(ash_jinja_node(parser, JINJA_N_OUTPUT, out));
        ASH_TRY(ash_jinja_parse_expression(parser, true, &(*out)->left));
        if (parser->token->kind != JINJA_T_BLOCK_END)
            ASH_TRY(ash_jinja_expect_op(parser, ',', "a comma"));
        out = &(*out)->next;
    }
    return ASH_OK;
}

static enum ash_status parse_statement(
    struct jinja_parser *parser, const char *const *ends, struct jinja_node **out)
{
    static const struct {
        const char *name;
        enum ash_status (*parse)(struct jinja_parser *, struct jinja_node **);
    } statements[] = {
        { "if", parse_if },
        { "for", parse_for },
        { "set", parse_set },
        { "macro", parse_macro },
        { "call", parse_call_block },
        { "filter", parse_filter_block },
        { "with", parse_with },
        { "generation", parse_generation },
        { "break", parse_jump },
        { "continue", parse_jump },
        { "print", parse_print },
    };
    static const char *const left_out[] = { "block", "extends", "include", "import", "from",
        "autoescape", "do", "trans", "debug", NULL };
    for (size_t i = 0; i < sizeof statements / sizeof statements[0]; i++)
        if (ash_jinja_at_name(parser, statements[i].name))
            return statements[i].parse(parser, out);
    if (at_any_name(parser, left_out))
        return ash_fail(ASH_ERR_UNSUPPORTED, "line %d: '%.*s' is not supported in chat templates",
            parser->token->line, (int)parser->token->value.text->length,
            ash_jinja_bytes(*parser->token->value.text));
    if (!ends)
        return ash_jinja_unexpected(parser, "a statement");
    char expected[100];
    size_t length = 0;
    for (size_t i = 0; ends[i]; i++) {
        const char *join = i ? " or " : "a statement, ";
        size_t more = strlen(join) + strlen(ends[i]);
        if (length + more >= sizeof expected)
            break;
        memcpy(expected + length, join, strlen(join));
        memcpy(expected + length + strlen(join), ends[i], strlen(ends[i]));
        length += more;
    }
    expected[length] = '\0';
    return ash_jinja_unexpected(parser, expected);
}

static enum ash_status parse_output(struct jinja_parser *parser, struct jinja_node **out)
{
    ASH_TRY(ash_jinja_node(parser, JINJA_N_OUTPUT, out));
    parser->token++;
    ASH_TRY(ash_jinja_parse_tuple(parser, true, NULL, &(*out)->left));
    if (parser->token->kind != JINJA_T_OUTPUT_END)
        return ash_jinja_unexpected(parser, "}}");
    parser->token++;
    return ASH_OK;
}

/* Up to the name of a closing tag out of `ends`, or to the end of the source where that is NULL. */
static enum ash_status parse_nodes(
    struct jinja_parser *parser, const char *const *ends, struct jinja_node **out)
{
    for (;;) {
        switch (parser->token->kind) {
        case JINJA_T_DATA:
            ASH_TRY(ash_jinja_node(parser, JINJA_N_DATA, out));
            (*out)->value = parser->token++->value;
            break;
        case JINJA_T_OUTPUT_BEGIN:
            ASH_TRY(parse_output(parser, out));
            break;
        case JINJA_T_BLOCK_BEGIN:
            parser->token++;
            if (ends && at_any_name(parser, ends))
                return ASH_OK;
            ASH_TRY(parse_statement(parser, ends, out));
            ASH_TRY(expect_block_end(parser));
            break;
        default:
            return ends ? ash_jinja_unexpected(parser, ends[0]) : ASH_OK;
        }
        while (*out)
            out = &(*out)->next;
    }
}

static enum ash_status parse_body(
    struct jinja_parser *parser, const char *const *ends, struct jinja_node **out)
{
    if (++parser->nesting > JINJA_MAX_NESTING)
        return ash_fail(ASH_ERR_LIMIT, "line %d: nested deeper than %d levels", parser->token->line,
            JINJA_MAX_NESTING);
    ASH_TRY(parse_nodes(parser, ends, out));
    parser->nesting--;
    return ASH_OK;
}

enum ash_status ash_jinja_parse(struct jinja_parser *parser, struct jinja_node **out)
{
    return parse_body(parser, NULL, out);
}

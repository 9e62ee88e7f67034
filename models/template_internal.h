/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "models/template_value.h"

/*
 * The inside of the template engine: arena -> text -> value -> tree -> run.
 *
 *   template_text.c     arena, texts with a mark for every byte, UTF-8
 *   template_value.c    values: truth, equality, order, lists, dicts
 *   template_print.c    values as Python prints them
 *   template_json.c     values from JSON and to JSON
 *   template_lex.c      source -> tokens
 *   template_parser.c   steps over tokens; tuples and targets
 *   template_expr.c     tokens -> expressions
 *   template_parse.c    tokens -> statements
 *   template_eval.c     expressions -> values
 *   template_operate.c  arithmetic and comparison
 *   template_access.c   attributes, items, slices
 *   template_call.c     arguments, macros, global functions
 *   template_exec.c     statements -> output
 *   template_filter*.c  filters;  template_test.c  tests;  template_method*.c  methods of values
 *   template_format.c   % and str.format
 *   template.c          the public face
 *
 * Nothing is freed one by one: a template owns one arena, and so does each run. Errors are Python's
 * and Jinja's own words where there are any, since those are what a user can search for.
 */

/* ---- Tokens --------------------------------------------------------------------------------- */

enum jinja_token_kind {
    JINJA_T_END,
    JINJA_T_DATA,
    JINJA_T_OUTPUT_BEGIN,
    JINJA_T_OUTPUT_END,
    JINJA_T_BLOCK_BEGIN,
    JINJA_T_BLOCK_END,
    JINJA_T_NAME,
    JINJA_T_STRING,
    JINJA_T_NUMBER,
    JINJA_T_OPERATOR,
};

/* An operator's one or two characters in one number, to switch over. */
#define JINJA_OP(first, second) ((first) | (second) << 8)

struct jinja_token {
    enum jinja_token_kind kind;
    int op; /* OPERATOR: JINJA_OP */
    int line;
    struct jinja_value value; /* NAME, STRING, DATA: a text; NUMBER */
};

/* The tokens of a template, END last. */
enum ash_status ash_jinja_lex(
    struct jinja_arena *arena, const char *source, size_t length, struct jinja_token **out);

/* ---- The tree ------------------------------------------------------------------------------- */

/* In brackets: what the fields of the node mean. `items` and `body` are lists linked by `next`. */
enum jinja_node_kind {
    /* statements */
    JINJA_N_DATA,         /* [value] */
    JINJA_N_OUTPUT,       /* [left] */
    JINJA_N_IF,           /* [items: BRANCH] */
    JINJA_N_BRANCH,       /* [left: condition, NULL for else; body] */
    JINJA_N_FOR,          /* [left: target, right: iterable, other: condition; body, items: else] */
    JINJA_N_SET,          /* [left: target, right] */
    JINJA_N_SET_BLOCK,    /* [left: target, right: filters over CAPTURED; body] */
    JINJA_N_MACRO,        /* [symbol, value: name, items: PARAMETER; body] */
    JINJA_N_CALL_BLOCK,   /* [left: CALL, items: PARAMETER; body] */
    JINJA_N_FILTER_BLOCK, /* [right: filters over CAPTURED; body] */
    JINJA_N_WITH,         /* [items: SET; body] */
    JINJA_N_BREAK,
    JINJA_N_CONTINUE,
    /* parts */
    JINJA_N_PARAMETER,    /* [symbol, value: name, left: default or NULL] */
    JINJA_N_PAIR,         /* [left: key, right: value] */
    JINJA_N_OPERAND,      /* [op, left] */
    JINJA_N_ARGUMENT,     /* [left, value: name or ABSENT] */
    JINJA_N_SPREAD,       /* *left */
    JINJA_N_SPREAD_NAMED, /* **left */
    JINJA_N_SLICE,        /* [left: start, right: stop, other: step; each may be NULL] */
    JINJA_N_ATTRIBUTE_OF, /* target ns.x: [symbol, value: attribute] */
    /* expressions */
    JINJA_N_CONSTANT,  /* [value] */
    JINJA_N_NAME,      /* [symbol, value: name] */
    JINJA_N_CAPTURED,  /* the output of the block */
    JINJA_N_LIST,      /* [items] */
    JINJA_N_TUPLE,     /* [items] */
    JINJA_N_DICT,      /* [items: PAIR] */
    JINJA_N_ATTRIBUTE, /* [left, value: name] */
    JINJA_N_ITEM,      /* [left, right: index or SLICE] */
    JINJA_N_CALL,      /* [left, items: ARGUMENT, SPREAD, SPREAD_NAMED] */
    JINJA_N_FILTER,    /* [left, builtin or NULL, value: name, items as CALL] */
    JINJA_N_TEST,      /* the same */
    JINJA_N_AND,       /* [left, right] */
    JINJA_N_OR,        /* [left, right] */
    JINJA_N_NOT,       /* [left] */
    JINJA_N_CHOICE,    /* left if right else other (or NULL) */
    JINJA_N_COMPARE,   /* [left, items: OPERAND] */
    JINJA_N_BINARY,    /* [op, left, right] */
    JINJA_N_CONCAT,    /* [items] */
    JINJA_N_NEGATE,    /* [left] */
    JINJA_N_POSITIVE,  /* [left] */
};

/* Operators that are words, beside JINJA_OP. */
enum { JINJA_OP_IN = 1, JINJA_OP_NOT_IN = 2 };

struct jinja_node {
    enum jinja_node_kind kind;
    int line;
    int op;
    int symbol; /* index of a name of the template */
    bool recursive;
    struct jinja_value value;
    const struct jinja_builtin *builtin;
    struct jinja_node *left, *right, *other;
    struct jinja_node *items, *body;
    struct jinja_node *next;
};

struct ash_template {
    struct jinja_arena arena;
    struct jinja_node *body;
    struct jinja_text *symbol; /* the names of variables */
    size_t symbol_count, symbol_capacity;
    locale_t locale; /* C.UTF-8: letters of all languages, points in numbers */
};

enum {
    JINJA_MAX_NESTING = 100, /* of brackets and blocks in the source */
    JINJA_MAX_SYMBOLS = 4096,
    JINJA_MAX_DEPTH = 1000,   /* of evaluation: nested nodes, macros in macros, values in values */
    JINJA_MAX_RANGE = 100000, /* as Jinja's sandbox */
};

struct jinja_parser {
    struct ash_template *template;
    struct jinja_token *token;
    int nesting;
    int loops; /* around the current statement: break and continue need one */
};

/* Statements up to the end of the source. */
enum ash_status ash_jinja_parse(struct jinja_parser *parser, struct jinja_node **out);

enum ash_status ash_jinja_node(
    struct jinja_parser *parser, enum jinja_node_kind kind, struct jinja_node **out);
enum ash_status ash_jinja_symbol(struct jinja_parser *parser, struct jinja_text name, int *out);
/* "line 3: expected ..., found ..." */
enum ash_status ash_jinja_unexpected(const struct jinja_parser *parser, const char *expected);
bool ash_jinja_at_op(const struct jinja_parser *parser, int op);
bool ash_jinja_at_name(const struct jinja_parser *parser, const char *name);
bool ash_jinja_skip_op(struct jinja_parser *parser, int op);
bool ash_jinja_skip_name(struct jinja_parser *parser, const char *name);
enum ash_status ash_jinja_expect_op(struct jinja_parser *parser, int op, const char *what);
enum ash_status ash_jinja_expect_name(struct jinja_parser *parser, struct jinja_value *out);
/* A name or a constant that is spelt like one. */
enum ash_status ash_jinja_parse_name(struct jinja_parser *parser, struct jinja_node **out);
/* Every recursion of the grammar comes through here; `nesting` goes down again on the way back. */
enum ash_status ash_jinja_deeper(struct jinja_parser *parser);

enum ash_status ash_jinja_parse_expression(
    struct jinja_parser *parser, bool choice, struct jinja_node **out);
/* An expression, or several with commas: a tuple. Ends before the name `end`, if not NULL. */
enum ash_status ash_jinja_parse_tuple(
    struct jinja_parser *parser, bool choice, const char *end, struct jinja_node **out);
enum ash_status ash_jinja_parse_target(
    struct jinja_parser *parser, bool attributes, struct jinja_node **out);
/* `left | name(...) | ...` from the bar on, or (`bare`) from the name on. */
enum ash_status ash_jinja_parse_filters(
    struct jinja_parser *parser, bool bare, struct jinja_node **left);

/* ---- A run ---------------------------------------------------------------------------------- */

struct jinja_binding {
    int symbol;
    struct jinja_value value;
};

struct jinja_scope {
    struct jinja_scope *parent;
    struct jinja_binding *binding;
    size_t count, capacity;
};

struct jinja_loop {
    const struct jinja_node *node;
    struct jinja_scope *scope; /* around the loop */
    struct jinja_list *items;
    size_t index;
    int depth;
    struct jinja_value changed; /* what ifchanged compares with: a tuple, or ABSENT */
};

struct jinja_macro {
    const struct jinja_node *node;
    struct jinja_scope *scope;    /* where it was defined */
    struct jinja_value *fallback; /* defaults are evaluated where the macro is defined */
};

enum jinja_flow { JINJA_ON, JINJA_BREAK, JINJA_CONTINUE };

struct jinja_run {
    struct jinja_arena arena;
    const struct ash_template *template;
    const struct ash_template_options *options;
    struct jinja_scope *scope;
    struct jinja_text *out;
    struct jinja_value captured;
    enum jinja_flow flow;
    int64_t steps; /* left */
    int depth;
    bool located; /* the error's message already names its line */
};

/* Counts work against the limit of the run: about one step for each node, or for 16 bytes. */
enum ash_status ash_jinja_spend(struct jinja_run *run, size_t steps);
enum ash_status ash_jinja_enter(struct jinja_run *run); /* one level deeper */
void ash_jinja_leave(struct jinja_run *run);

enum ash_status ash_jinja_eval(
    struct jinja_run *run, const struct jinja_node *node, struct jinja_value *out);
enum ash_status ash_jinja_exec_list(struct jinja_run *run, const struct jinja_node *body);
/* Runs the body in a scope of its own inside `parent`, its output into a text. */
enum ash_status ash_jinja_capture(struct jinja_run *run, const struct jinja_node *body,
    struct jinja_scope *scope, struct jinja_value *out);
enum ash_status ash_jinja_scope(
    struct jinja_run *run, struct jinja_scope *parent, struct jinja_scope **out);
enum ash_status ash_jinja_bind(
    struct jinja_run *run, struct jinja_scope *scope, int symbol, struct jinja_value value);
/* -1: the template has no such name. */
int ash_jinja_symbol_of(const struct ash_template *template, const char *name);
enum ash_status ash_jinja_run_loop(
    struct jinja_run *run, const struct jinja_node *node, struct jinja_value over, int depth);

enum ash_status ash_jinja_binary(struct jinja_run *run, int op, struct jinja_value a,
    struct jinja_value b, struct jinja_value *out);
enum ash_status ash_jinja_relation(
    struct jinja_run *run, int op, struct jinja_value a, struct jinja_value b, bool *out);

/* x.name, x[key], x[a:b:c]. Undefined where there is none. */
enum ash_status ash_jinja_attribute(struct jinja_run *run, struct jinja_value value,
    struct jinja_text name, struct jinja_value *out);
enum ash_status ash_jinja_item(struct jinja_run *run, struct jinja_value value,
    struct jinja_value key, struct jinja_value *out);
enum ash_status ash_jinja_slice_value(struct jinja_run *run, struct jinja_value value,
    const struct jinja_value bounds[3], struct jinja_value *out);
/* The path of map(attribute="a.b.0"). */
enum ash_status ash_jinja_path(struct jinja_run *run, struct jinja_value value,
    struct jinja_value path, struct jinja_value *out);

/* ---- What can be called ---------------------------------------------------------------------- */

struct jinja_named {
    struct jinja_text name;
    struct jinja_value value;
};

struct jinja_arguments {
    struct jinja_value *value;
    size_t count;
    struct jinja_named *named;
    size_t named_count;
};

enum { JINJA_MAX_PARAMETERS = 6 };

/*
 * A filter, a test, a method or a global function. With parameters, `value` has one item for each of
 * them (ABSENT where not given); a variadic one sees the arguments as they came.
 */
struct jinja_builtin {
    const char *name;
    enum ash_status (*call)(struct jinja_run *run, struct jinja_value self,
        const struct jinja_arguments *arguments, struct jinja_value *out);
    const char *parameter[JINJA_MAX_PARAMETERS];
    int required;
    bool variadic;
};

struct jinja_function {
    const struct jinja_builtin *builtin;
    struct jinja_value self;
};

const struct jinja_builtin *ash_jinja_filter(struct jinja_text name);
const struct jinja_builtin *ash_jinja_text_filter(struct jinja_text name);
const struct jinja_builtin *ash_jinja_test(struct jinja_text name);
const struct jinja_builtin *ash_jinja_method(struct jinja_value value, struct jinja_text name);
/* Of anything but texts, for the one above. */
const struct jinja_builtin *ash_jinja_container_method(
    struct jinja_value value, struct jinja_text name);
const struct jinja_builtin *ash_jinja_global(struct jinja_text name);
const struct jinja_builtin *ash_jinja_find_builtin(
    const struct jinja_builtin *table, size_t count, struct jinja_text name);

enum ash_status ash_jinja_call_builtin(struct jinja_run *run, const struct jinja_builtin *builtin,
    struct jinja_value self, const struct jinja_arguments *arguments, struct jinja_value *out);
enum ash_status ash_jinja_call(struct jinja_run *run, struct jinja_value callee,
    const struct jinja_arguments *arguments, struct jinja_value *out);

/* Arguments by type: ASH_ERR_FORMAT with the parameter's name where it is another. */
enum ash_status ash_jinja_want_text(
    struct jinja_value value, const char *what, struct jinja_text *out);
enum ash_status ash_jinja_want_int(struct jinja_value value, const char *what, int64_t *out);

/* The head of a method's function. */
#define JINJA_METHOD(name)                                                                         \
    static enum ash_status name(struct jinja_run *run, struct jinja_value self,                    \
        const struct jinja_arguments *arguments, struct jinja_value *out)

/* "%s" % arguments, and "{}".format(arguments). */
enum ash_status ash_jinja_percent(struct jinja_run *run, struct jinja_text format,
    struct jinja_value arguments, struct jinja_value *out);
enum ash_status ash_jinja_braces(struct jinja_run *run, struct jinja_text format,
    const struct jinja_arguments *arguments, struct jinja_value *out);
/* Letters in their other case, one for one. */
enum jinja_case { JINJA_UPPER, JINJA_LOWER, JINJA_CAPITALIZE, JINJA_TITLE, JINJA_SWAP };
enum ash_status ash_jinja_change_case(
    struct jinja_run *run, struct jinja_text text, enum jinja_case to, struct jinja_value *out);
/* At most `most` times; negative: every one. */
enum ash_status ash_jinja_replace(struct jinja_run *run, struct jinja_text text,
    struct jinja_text old, struct jinja_text fresh, int64_t most, struct jinja_value *out);

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "models/template.h"

#include <locale.h>
#include <stdint.h>

/*
 * The inside of the template engine: arena -> text -> value -> tree -> run.
 *
 *   template_text.c     arena, texts with a mark for every byte, UTF-8
 *   template_value.c    values: truth, equality, order, lists, dicts
 *   template_print.c    values as Python prints them
 *   template_json.c     values from JSON and to JSON
 *   template_lex.c      source -> tokens
 *   template_expr.c     tokens -> expressions
 *   template_parse.c    tokens -> statements
 *   template_eval.c     expressions -> values
 *   template_operate.c  arithmetic and comparison
 *   template_access.c   attributes, items, slices
 *   template_call.c     arguments, macros, global functions
 *   template_exec.c     statements -> output
 *   template_filter*.c  filters;  template_test.c  tests;  template_method.c  methods of values
 *   template_format.c   % and str.format
 *   template.c          the public face
 *
 * Nothing is freed one by one: a template owns one arena, and so does each run. Errors are Python's
 * and Jinja's own words where there are any, since those are what a user can search for.
 */

/* ---- Arena ---------------------------------------------------------------------------------- */

struct jinja_arena {
    struct jinja_block *block; /* the newest first */
    size_t used_bytes;
    size_t limit_bytes;
};

/* `count` zeroed items. ASH_ERR_LIMIT when the arena's limit is passed. */
enum ash_status ash_jinja_alloc(
    struct jinja_arena *arena, size_t count, size_t item_bytes, void **out);
void ash_jinja_arena_finish(struct jinja_arena *arena);

#define JINJA_NEW(arena, count, out)                                                               \
    ({                                                                                             \
        void *jinja_new = NULL;                                                                    \
        enum ash_status jinja_new_status =                                                         \
            ash_jinja_alloc((arena), (count), sizeof **(out), &jinja_new);                         \
        *(out) = jinja_new;                                                                        \
        jinja_new_status;                                                                          \
    })

/* ---- Text ----------------------------------------------------------------------------------- */

/*
 * Bytes that several texts share; each has its mark. Only grows at its end, so that whoever holds
 * the end may append in place and nobody notices.
 */
struct jinja_buffer {
    char *bytes;
    unsigned char *trusted;
    size_t used, capacity;
};

struct jinja_text {
    struct jinja_buffer *buffer; /* NULL when empty */
    size_t start, length;
};

const char *ash_jinja_bytes(struct jinja_text text);
const unsigned char *ash_jinja_marks(struct jinja_text text);

/* Appends; `text` starts as { 0 }. */
enum ash_status ash_jinja_append(
    struct jinja_arena *arena, struct jinja_text *text, struct jinja_text piece);
enum ash_status ash_jinja_append_bytes(struct jinja_arena *arena, struct jinja_text *text,
    const char *bytes, size_t length, bool trusted);
/* printf, untrusted; at most 511 bytes. */
enum ash_status ash_jinja_append_format(struct jinja_arena *arena, struct jinja_text *text,
    const char *format, ...) __attribute__((format(printf, 3, 4)));
/* Ends appending in place: from now on the bytes are constant. */
void ash_jinja_seal(struct jinja_text text);

struct jinja_text ash_jinja_slice(struct jinja_text text, size_t start, size_t length);
bool ash_jinja_same(struct jinja_text a, struct jinja_text b);
bool ash_jinja_is(struct jinja_text text, const char *string);
bool ash_jinja_starts(struct jinja_text text, struct jinja_text prefix);
bool ash_jinja_ends(struct jinja_text text, struct jinja_text suffix);
/* Byte order, which for UTF-8 is the order of code points. */
int ash_jinja_order(struct jinja_text a, struct jinja_text b);
/* Byte position of the first `needle` at or after `from`; SIZE_MAX when there is none. */
size_t ash_jinja_find(struct jinja_text text, struct jinja_text needle, size_t from);
size_t ash_jinja_find_last(struct jinja_text text, struct jinja_text needle);

/* How many bytes the character at `at` has; a byte that is not UTF-8 is a character by itself. */
size_t ash_jinja_char_bytes(struct jinja_text text, size_t at);
uint32_t ash_jinja_char(struct jinja_text text, size_t at);
size_t ash_jinja_chars(struct jinja_text text);
/* Byte position of character `index`; the length when there are not as many. */
size_t ash_jinja_char_start(struct jinja_text text, size_t index);
/* Appends the UTF-8 form of `code`. */
enum ash_status ash_jinja_append_char(
    struct jinja_arena *arena, struct jinja_text *text, uint32_t code, bool trusted);
/* Python's str.isspace of one character. */
bool ash_jinja_is_space(uint32_t code);

enum jinja_side { JINJA_LEFT = 1, JINJA_RIGHT = 2, JINJA_BOTH = 3 };
/* Without the characters of `set` at its ends; a NULL `set` is white space. */
struct jinja_text ash_jinja_strip(
    struct jinja_text text, const struct jinja_text *set, enum jinja_side side);

/* ---- Values --------------------------------------------------------------------------------- */

enum jinja_kind {
    JINJA_ABSENT, /* an argument that was not given; never seen by a template */
    JINJA_UNDEFINED,
    JINJA_NONE,
    JINJA_BOOL,
    JINJA_INT,
    JINJA_FLOAT,
    JINJA_TEXT,
    JINJA_LIST,
    JINJA_TUPLE,
    JINJA_DICT,
    JINJA_NAMESPACE,
    JINJA_LOOP,
    JINJA_MACRO,
    JINJA_FUNCTION, /* a global function, or a method with the value it belongs to */
};

struct jinja_value {
    enum jinja_kind kind;
    union {
        bool boolean;
        int64_t integer;
        double number;
        const struct jinja_text *text;
        struct jinja_list *list; /* LIST, TUPLE */
        struct jinja_dict *dict; /* DICT, NAMESPACE */
        struct jinja_loop *loop;
        struct jinja_macro *macro;
        struct jinja_function *function;
        const char *name; /* UNDEFINED: what for; may be NULL */
    };
};

struct jinja_list {
    struct jinja_value *item;
    size_t count, capacity;
};

struct jinja_entry {
    struct jinja_value key, value;
};

/* In order of insertion. */
struct jinja_dict {
    struct jinja_entry *entry;
    size_t count, capacity;
};

struct jinja_run;

static inline struct jinja_value ash_jinja_bool(bool boolean)
{
    return (struct jinja_value){ .kind = JINJA_BOOL, .boolean = boolean };
}

static inline struct jinja_value ash_jinja_int(int64_t integer)
{
    return (struct jinja_value){ .kind = JINJA_INT, .integer = integer };
}

static inline struct jinja_value ash_jinja_float(double number)
{
    return (struct jinja_value){ .kind = JINJA_FLOAT, .number = number };
}

static inline struct jinja_value ash_jinja_none(void)
{
    return (struct jinja_value){ .kind = JINJA_NONE };
}

static inline struct jinja_value ash_jinja_undefined(const char *name)
{
    return (struct jinja_value){ .kind = JINJA_UNDEFINED, .name = name };
}

/* Python's name of the type, for messages. */
const char *ash_jinja_type(struct jinja_value value);

enum ash_status ash_jinja_text_value(
    struct jinja_arena *arena, struct jinja_text text, struct jinja_value *out);
enum ash_status ash_jinja_string(struct jinja_arena *arena, const char *bytes, size_t length,
    bool trusted, struct jinja_value *out);
enum ash_status ash_jinja_list(
    struct jinja_arena *arena, enum jinja_kind kind, struct jinja_value *out);
enum ash_status ash_jinja_push(
    struct jinja_arena *arena, struct jinja_value list, struct jinja_value item);
enum ash_status ash_jinja_dict(
    struct jinja_arena *arena, enum jinja_kind kind, struct jinja_value *out);
/* Replaces the value of an equal key. */
enum ash_status ash_jinja_put(struct jinja_run *run, struct jinja_value dict,
    struct jinja_value key, struct jinja_value value);
/* For keys that are known to be new. */
enum ash_status ash_jinja_put_new(struct jinja_arena *arena, struct jinja_value dict,
    struct jinja_value key, struct jinja_value value);

/* The value of an equal key; NULL when there is none. */
enum ash_status ash_jinja_lookup(struct jinja_run *run, struct jinja_value dict,
    struct jinja_value key, struct jinja_value **out);
struct jinja_value *ash_jinja_lookup_name(struct jinja_value dict, struct jinja_text name);

bool ash_jinja_truth(struct jinja_value value);
bool ash_jinja_is_number(struct jinja_value value); /* bool, int or float */
double ash_jinja_as_double(struct jinja_value value);
enum ash_status ash_jinja_equal(
    struct jinja_run *run, struct jinja_value a, struct jinja_value b, bool *out);
/* Negative, 0, positive; ASH_ERR_FORMAT where Python has no order. `op` is for the message. */
enum ash_status ash_jinja_compare(
    struct jinja_run *run, struct jinja_value a, struct jinja_value b, const char *op, int *out);
/* Into Python's order, stably; `fold`: texts without regard to case. `by` as long as `list`, or {0}. */
enum ash_status ash_jinja_sort(struct jinja_run *run, struct jinja_list *list,
    const struct jinja_list *by, bool fold, bool reverse);
enum ash_status ash_jinja_contains(
    struct jinja_run *run, struct jinja_value container, struct jinja_value item, bool *out);
/* What `for` goes over: items, keys, characters; nothing for an undefined value. A shared list. */
enum ash_status ash_jinja_iterate(
    struct jinja_run *run, struct jinja_value value, struct jinja_list **out);
/* As {{ }} prints it (str), and as it is printed inside a list (repr). */
enum ash_status ash_jinja_print(
    struct jinja_run *run, struct jinja_value value, struct jinja_text *out);
enum ash_status ash_jinja_repr(
    struct jinja_run *run, struct jinja_value value, struct jinja_text *out);
/* Python's repr of a float. `out` has 32 bytes. */
void ash_jinja_print_float(double number, char *out);

enum ash_status ash_jinja_from_json(
    struct jinja_run *run, const struct json_t *json, struct jinja_value *out);
struct jinja_json_style {
    int indent; /* -1: on one line */
    bool ascii, sorted;
    struct jinja_text item_separator, key_separator;
};
enum ash_status ash_jinja_to_json(struct jinja_run *run, struct jinja_value value,
    const struct jinja_json_style *style, struct jinja_text *out);

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

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "models/template.h"

#include <locale.h>
#include <stdint.h>

/* What the template engine works on: memory, texts with a mark for every byte, values. The map of the
 * engine is template_internal.h. */

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

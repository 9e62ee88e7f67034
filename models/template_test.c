/* SPDX-License-Identifier: Apache-2.0 */
#include "models/template_internal.h"

#include <string.h>

/* Tests: value is NAME. */
#define TEST(name)                                                                                 \
    static enum ash_status name(struct jinja_run *run, struct jinja_value self,                    \
        const struct jinja_arguments *arguments, struct jinja_value *out)

#define TEST_OF_KIND(name, condition)                                                              \
    TEST(name)                                                                                     \
    {                                                                                              \
        (void)run;                                                                                 \
        (void)arguments;                                                                           \
        *out = ash_jinja_bool(condition);                                                          \
        return ASH_OK;                                                                             \
    }

static bool is_bool(struct jinja_value value, bool boolean)
{
    return value.kind == JINJA_BOOL && value.boolean == boolean;
}

TEST_OF_KIND(is_defined, self.kind != JINJA_UNDEFINED)
TEST_OF_KIND(is_undefined, self.kind == JINJA_UNDEFINED)
TEST_OF_KIND(is_none, self.kind == JINJA_NONE)
TEST_OF_KIND(is_boolean, self.kind == JINJA_BOOL)
TEST_OF_KIND(is_true, is_bool(self, true))
TEST_OF_KIND(is_false, is_bool(self, false))
TEST_OF_KIND(is_integer, self.kind == JINJA_INT)
TEST_OF_KIND(is_float, self.kind == JINJA_FLOAT)
TEST_OF_KIND(is_number, ash_jinja_is_number(self))
TEST_OF_KIND(is_string, self.kind == JINJA_TEXT)
TEST_OF_KIND(is_mapping, self.kind == JINJA_DICT)
TEST_OF_KIND(is_callable, self.kind == JINJA_FUNCTION || self.kind == JINJA_MACRO)

/* Jinja asks for a length and for items: an undefined value has both. */
TEST_OF_KIND(is_sequence, self.kind == JINJA_TEXT || self.kind == JINJA_LIST ||
                              self.kind == JINJA_TUPLE || self.kind == JINJA_DICT ||
                              self.kind == JINJA_UNDEFINED)
TEST_OF_KIND(is_iterable, self.kind == JINJA_TEXT || self.kind == JINJA_LIST ||
                              self.kind == JINJA_TUPLE || self.kind == JINJA_DICT ||
                              self.kind == JINJA_UNDEFINED || self.kind == JINJA_LOOP)

static enum ash_status remainder_is(struct jinja_run *run, struct jinja_value self,
    struct jinja_value divisor, int64_t wanted, struct jinja_value *out)
{
    struct jinja_value rest;
    bool equal;
    if (!ash_jinja_is_number(self))
        return ash_fail(ASH_ERR_FORMAT, "a %s has no remainder", ash_jinja_type(self));
    ASH_TRY(ash_jinja_binary(run, '%', self, divisor, &rest));
    ASH_TRY(ash_jinja_equal(run, rest, ash_jinja_int(wanted), &equal));
    *out = ash_jinja_bool(equal);
    return ASH_OK;
}

TEST(is_even)
{
    (void)arguments;
    return remainder_is(run, self, ash_jinja_int(2), 0, out);
}

TEST(is_odd)
{
    (void)arguments;
    return remainder_is(run, self, ash_jinja_int(2), 1, out);
}

TEST(is_divisible)
{
    return remainder_is(run, self, arguments->value[0], 0, out);
}

static enum ash_status relation(struct jinja_run *run, int op, struct jinja_value self,
    const struct jinja_arguments *arguments, struct jinja_value *out)
{
    bool holds;
    ASH_TRY(ash_jinja_relation(run, op, self, arguments->value[0], &holds));
    *out = ash_jinja_bool(holds);
    return ASH_OK;
}

TEST(is_equal)
{
    return relation(run, JINJA_OP('=', '='), self, arguments, out);
}

TEST(is_unequal)
{
    return relation(run, JINJA_OP('!', '='), self, arguments, out);
}

TEST(is_less)
{
    return relation(run, '<', self, arguments, out);
}

TEST(is_at_most)
{
    return relation(run, JINJA_OP('<', '='), self, arguments, out);
}

TEST(is_greater)
{
    return relation(run, '>', self, arguments, out);
}

TEST(is_at_least)
{
    return relation(run, JINJA_OP('>', '='), self, arguments, out);
}

TEST(is_in)
{
    return relation(run, JINJA_OP_IN, self, arguments, out);
}

TEST(is_same)
{
    struct jinja_value other = arguments->value[0];
    bool same = self.kind == other.kind;
    if (same && (self.kind == JINJA_LIST || self.kind == JINJA_TUPLE))
        same = self.list == other.list;
    else if (same && self.kind == JINJA_DICT)
        same = self.dict == other.dict;
    else if (same)
        ASH_TRY(ash_jinja_equal(run, self, other, &same));
    *out = ash_jinja_bool(same);
    return ASH_OK;
}

static enum ash_status is_case(
    struct jinja_run *run, struct jinja_value self, const char *method, struct jinja_value *out)
{
    struct jinja_text text;
    struct jinja_value value, name;
    ASH_TRY(ash_jinja_print(run, self, &text));
    ASH_TRY(ash_jinja_text_value(&run->arena, text, &value));
    ASH_TRY(ash_jinja_string(&run->arena, method, strlen(method), true, &name));
    const struct jinja_arguments none = { 0 };
    return ash_jinja_call_builtin(run, ash_jinja_method(value, *name.text), value, &none, out);
}

TEST(is_lower)
{
    (void)arguments;
    return is_case(run, self, "islower", out);
}

TEST(is_upper)
{
    (void)arguments;
    return is_case(run, self, "isupper", out);
}

TEST(is_filter)
{
    (void)run;
    (void)arguments;
    *out = ash_jinja_bool(self.kind == JINJA_TEXT && ash_jinja_filter(*self.text));
    return ASH_OK;
}

TEST(is_test)
{
    (void)run;
    (void)arguments;
    *out = ash_jinja_bool(self.kind == JINJA_TEXT && ash_jinja_test(*self.text));
    return ASH_OK;
}

const struct jinja_builtin *ash_jinja_test(struct jinja_text name)
{
    static const struct jinja_builtin tests[] = {
        { "!=", is_unequal, { "other" }, 1, false },
        { "<", is_less, { "other" }, 1, false },
        { "<=", is_at_most, { "other" }, 1, false },
        { "==", is_equal, { "other" }, 1, false },
        { ">", is_greater, { "other" }, 1, false },
        { ">=", is_at_least, { "other" }, 1, false },
        { "boolean", is_boolean, { NULL }, 0, false },
        { "callable", is_callable, { NULL }, 0, false },
        { "defined", is_defined, { NULL }, 0, false },
        { "divisibleby", is_divisible, { "num" }, 1, false },
        { "eq", is_equal, { "other" }, 1, false },
        { "equalto", is_equal, { "other" }, 1, false },
        { "even", is_even, { NULL }, 0, false },
        { "false", is_false, { NULL }, 0, false },
        { "filter", is_filter, { NULL }, 0, false },
        { "float", is_float, { NULL }, 0, false },
        { "ge", is_at_least, { "other" }, 1, false },
        { "greaterthan", is_greater, { "other" }, 1, false },
        { "gt", is_greater, { "other" }, 1, false },
        { "in", is_in, { "seq" }, 1, false },
        { "integer", is_integer, { NULL }, 0, false },
        { "iterable", is_iterable, { NULL }, 0, false },
        { "le", is_at_most, { "other" }, 1, false },
        { "lessthan", is_less, { "other" }, 1, false },
        { "lower", is_lower, { NULL }, 0, false },
        { "lt", is_less, { "other" }, 1, false },
        { "mapping", is_mapping, { NULL }, 0, false },
        { "ne", is_unequal, { "other" }, 1, false },
        { "none", is_none, { NULL }, 0, false },
        { "number", is_number, { NULL }, 0, false },
        { "odd", is_odd, { NULL }, 0, false },
        { "sameas", is_same, { "other" }, 1, false },
        { "sequence", is_sequence, { NULL }, 0, false },
        { "string", is_string, { NULL }, 0, false },
        { "test", is_test, { NULL }, 0, false },
        { "true", is_true, { NULL }, 0, false },
        { "undefined", is_undefined, { NULL }, 0, false },
        { "upper", is_upper, { NULL }, 0, false },
    };
    return ash_jinja_find_builtin(tests, sizeof tests / sizeof tests[0], name);
}

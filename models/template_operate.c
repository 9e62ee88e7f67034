/* SPDX-License-Identifier: Apache-2.0 */
#include "models/template_internal.h"

#include <math.h>
#include <string.h>

static enum ash_status unsupported(const char *op, struct jinja_value a, struct jinja_value b)
{
    const struct jinja_value *undefined = a.kind == JINJA_UNDEFINED ? &a : &b;
    if (undefined->kind == JINJA_UNDEFINED)
        return ash_fail(
            ASH_ERR_FORMAT, "'%s' is undefined", undefined->name ? undefined->name : "a value");
    return ash_fail(ASH_ERR_FORMAT, "unsupported operand types for %s: '%s' and '%s'", op,
        ash_jinja_type(a), ash_jinja_type(b));
}

static enum ash_status overflow(void)
{
    return ash_fail(ASH_ERR_LIMIT, "a number does not fit 64 bits");
}

/* `times` copies of a text or list, one after another. */
static enum ash_status repeat(
    struct jinja_run *run, struct jinja_value value, int64_t times, struct jinja_value *out)
{
    struct jinja_text text = { 0 };
    bool is_text = value.kind == JINJA_TEXT;
    if (!is_text)
        ASH_TRY(ash_jinja_list(&run->arena, value.kind, out));
    if (is_text ? value.text->length == 0 : value.list->count == 0)
        times = 0;
    for (int64_t n = 0; n < times; n++) {
        ASH_TRY(ash_jinja_spend(run, 1));
        if (is_text)
            ASH_TRY(ash_jinja_append(&run->arena, &text, *value.text));
        for (size_t i = 0; !is_text && i < value.list->count; i++)
            ASH_TRY(ash_jinja_push(&run->arena, *out, value.list->item[i]));
    }
    return is_text ? ash_jinja_text_value(&run->arena, text, out) : ASH_OK;
}

static enum ash_status join(
    struct jinja_run *run, struct jinja_value a, struct jinja_value b, struct jinja_value *out)
{
    if (a.kind == JINJA_TEXT) {
        struct jinja_text text = *a.text;
        ASH_TRY(ash_jinja_append(&run->arena, &text, *b.text));
        ASH_TRY(ash_jinja_spend(run, b.text->length / 64));
        return ash_jinja_text_value(&run->arena, text, out);
    }
    ASH_TRY(ash_jinja_list(&run->arena, a.kind, out));
    for (size_t i = 0; i < a.list->count; i++)
        ASH_TRY(ash_jinja_push(&run->arena, *out, a.list->item[i]));
    for (size_t i = 0; i < b.list->count; i++)
        ASH_TRY(ash_jinja_push(&run->arena, *out, b.list->item[i]));
    return ash_jinja_spend(run, (a.list->count + b.list->count) / 16);
}

static int64_t as_int(struct jinja_value value)
{
    return value.kind == JINJA_BOOL ? value.boolean : value.integer;
}

/* Python rounds quotients down and gives remainders the sign of the divisor. */
static enum ash_status divide_ints(int op, int64_t a, int64_t b, struct jinja_value *out)
{
    if (b == 0)
        return ash_fail(ASH_ERR_FORMAT, "division by zero");
    if (op == '/') {
        *out = ash_jinja_float((double)a / (double)b);
        return ASH_OK;
    }
    if (b == -1) { /* INT64_MIN / -1 traps */
        int64_t negated;
        if (__builtin_sub_overflow((int64_t)0, a, &negated))
            return overflow();
        *out = ash_jinja_int(op == '%' ? 0 : negated);
        return ASH_OK;
    }
    bool inexact = a % b != 0 && (a % b < 0) != (b < 0);
    *out = ash_jinja_int(op == '%' ? a % b + (inexact ? b : 0) : a / b - inexact);
    return ASH_OK;
}

static enum ash_status power_ints(int64_t base, int64_t exponent, struct jinja_value *out)
{
    if (exponent < 0) {
        if (base == 0)
            return ash_fail(ASH_ERR_FORMAT, "0 cannot be raised to a negative power");
        *out = ash_jinja_float(pow((double)base, (double)exponent));
        return ASH_OK;
    }
    int64_t result = 1;
    for (; exponent > 0; exponent >>= 1) {
        if ((exponent & 1) && __builtin_mul_overflow(result, base, &result))
            return overflow();
        if (exponent > 1 && __builtin_mul_overflow(base, base, &base))
            return overflow();
    }
    *out = ash_jinja_int(result);
    return ASH_OK;
}

static enum ash_status operate_ints(int op, int64_t a, int64_t b, struct jinja_value *out)
{
    int64_t result = 0;
    bool too_large = false;
    switch (op) {
    case '+':
        too_large = __builtin_add_overflow(a, b, &result);
        break;
    case '-':
        too_large = __builtin_sub_overflow(a, b, &result);
        break;
    case '*':
        too_large = __builtin_mul_overflow(a, b, &result);
        break;
    case JINJA_OP('*', '*'):
        return power_ints(a, b, out);
    default:
        return divide_ints(op, a, b, out);
    }
    *out = ash_jinja_int(result);
    return too_large ? overflow() : ASH_OK;
}

static enum ash_status operate_floats(int op, double a, double b, struct jinja_value *out)
{
    if (b == 0 && (op == '/' || op == '%' || op == JINJA_OP('/', '/')))
        return ash_fail(ASH_ERR_FORMAT, "float division by zero");
    double rest = 0;
    switch (op) {
    case '+':
        *out = ash_jinja_float(a + b);
        return ASH_OK;
    case '-':
        *out = ash_jinja_float(a - b);
        return ASH_OK;
    case '*':
        *out = ash_jinja_float(a * b);
        return ASH_OK;
    case '/':
        *out = ash_jinja_float(a / b);
        return ASH_OK;
    case '%':
        rest = fmod(a, b);
        *out = ash_jinja_float(rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest);
        return ASH_OK;
    case JINJA_OP('/', '/'):
        *out = ash_jinja_float(floor(a / b));
        return ASH_OK;
    default:
        *out = ash_jinja_float(pow(a, b));
        return ASH_OK;
    }
}

enum ash_status ash_jinja_binary(struct jinja_run *run, int op, struct jinja_value a,
    struct jinja_value b, struct jinja_value *out)
{
    char name[3] = { (char)(op & 0xFF), (char)(op >> 8), 0 };
    bool a_list = a.kind == JINJA_LIST || a.kind == JINJA_TUPLE || a.kind == JINJA_TEXT;
    bool b_list = b.kind == JINJA_LIST || b.kind == JINJA_TUPLE || b.kind == JINJA_TEXT;
    bool a_int = a.kind == JINJA_INT || a.kind == JINJA_BOOL;
    bool b_int = b.kind == JINJA_INT || b.kind == JINJA_BOOL;
    if (op == '%' && a.kind == JINJA_TEXT)
        return ash_jinja_percent(run, *a.text, b, out);
    if (op == '+' && a_list && a.kind == b.kind)
        return join(run, a, b, out);
    if (op == '*' && a_list && b_int)
        return repeat(run, a, as_int(b), out);
    if (op == '*' && b_list && a_int)
        return repeat(run, b, as_int(a), out);
    if (a_int && b_int)
        return operate_ints(op, as_int(a), as_int(b), out);
    if (ash_jinja_is_number(a) && ash_jinja_is_number(b))
        return operate_floats(op, ash_jinja_as_double(a), ash_jinja_as_double(b), out);
    return unsupported(name, a, b);
}

enum ash_status ash_jinja_relation(
    struct jinja_run *run, int op, struct jinja_value a, struct jinja_value b, bool *out)
{
    int order;
    if (op == JINJA_OP_IN || op == JINJA_OP_NOT_IN) {
        ASH_TRY(ash_jinja_contains(run, b, a, out));
        *out ^= op == JINJA_OP_NOT_IN;
        return ASH_OK;
    }
    if (op == JINJA_OP('=', '=') || op == JINJA_OP('!', '=')) {
        ASH_TRY(ash_jinja_equal(run, a, b, out));
        *out ^= op == JINJA_OP('!', '=');
        return ASH_OK;
    }
    char name[3] = { (char)(op & 0xFF), (char)(op >> 8), 0 };
    ASH_TRY(ash_jinja_compare(run, a, b, name, &order));
    *out = op == '<'                  ? order < 0
           : op == '>'                ? order > 0
           : op == JINJA_OP('<', '=') ? order <= 0
                                      : order >= 0;
    return ASH_OK;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "models/template_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/*
 * Source -> tokens, with the white space rules of Jinja's lexer under trim_blocks and lstrip_blocks:
 * a tag's minus eats all white space on its side; a plain block or comment also eats the blanks
 * before it on its line, and the line's end after it.
 */
struct lexer {
    struct jinja_arena *arena;
    struct jinja_text source; /* line ends already \n, the last one dropped */
    const char *bytes;
    size_t at, line_counted;
    int line;
    bool line_starting; /* the last tag took its line's end along */
    struct jinja_token *token;
    size_t count, capacity;
};

static enum ash_status push(
    struct lexer *lexer, enum jinja_token_kind kind, struct jinja_value value)
{
    if (lexer->count == lexer->capacity) {
        struct jinja_token *fresh;
        size_t capacity = lexer->capacity ? lexer->capacity * 2 : 64;
        ASH_TRY(JINJA_NEW(lexer->arena, capacity, &fresh));
        if (lexer->count)
            memcpy(fresh, lexer->token, lexer->count * sizeof *fresh);
        lexer->token = fresh;
        lexer->capacity = capacity;
    }
    for (; lexer->line_counted < lexer->at; lexer->line_counted++)
        lexer->line += lexer->bytes[lexer->line_counted] == '\n';
    lexer->token[lexer->count++] =
        (struct jinja_token){ .kind = kind, .line = lexer->line, .value = value };
    return ASH_OK;
}

static enum ash_status push_text(
    struct lexer *lexer, enum jinja_token_kind kind, struct jinja_text text)
{
    struct jinja_value value;
    ASH_TRY(ash_jinja_text_value(lexer->arena, text, &value));
    return push(lexer, kind, value);
}

static struct jinja_text part(const struct lexer *lexer, size_t start, size_t end)
{
    return ash_jinja_slice(lexer->source, start, end - start);
}

/* What is at `at`; 0 past the end. The source may hold a 0 itself, which fits no rule either. */
static char peek(const struct lexer *lexer, size_t at)
{
    return at < lexer->source.length ? lexer->bytes[at] : '\0';
}

static bool looking_at(const struct lexer *lexer, size_t at, const char *string)
{
    size_t length = strlen(string);
    return at <= lexer->source.length && lexer->source.length - at >= length &&
           !memcmp(lexer->bytes + at, string, length);
}

static size_t skip_space(const struct lexer *lexer, size_t at)
{
    while (at < lexer->source.length && ash_jinja_is_space(ash_jinja_char(lexer->source, at)))
        at += ash_jinja_char_bytes(lexer->source, at);
    return at;
}

/* After a tag's end with `sign` before it. `trim`: a plain end eats one line end. */
static void end_tag(struct lexer *lexer, char sign, bool trim)
{
    if (sign == '-')
        lexer->at = skip_space(lexer, lexer->at);
    else if (sign != '+' && trim && peek(lexer, lexer->at) == '\n')
        lexer->at++;
    lexer->line_starting = lexer->at > 0 && lexer->bytes[lexer->at - 1] == '\n';
}

/* The text before a tag, stripped as the tag's sign wants it. */
static struct jinja_text before_tag(
    const struct lexer *lexer, struct jinja_text data, char sign, bool block)
{
    if (sign == '-')
        return ash_jinja_strip(data, NULL, JINJA_RIGHT);
    if (sign == '+' || !block)
        return data;
    const char *bytes = ash_jinja_bytes(data);
    const char *newline = data.length ? memrchr(bytes, '\n', data.length) : NULL;
    size_t line = newline ? (size_t)(newline - bytes) + 1 : 0;
    if (line == 0 && !lexer->line_starting)
        return data;
    struct jinja_text rest = ash_jinja_slice(data, line, data.length - line);
    bool blank = ash_jinja_strip(rest, NULL, JINJA_LEFT).length == 0;
    return blank ? ash_jinja_slice(data, 0, line) : data;
}

static enum ash_status push_data(struct lexer *lexer, struct jinja_text data)
{
    return data.length ? push_text(lexer, JINJA_T_DATA, data) : ASH_OK;
}

static char sign_at(const struct lexer *lexer, size_t at)
{
    char sign = peek(lexer, at);
    return sign == '-' || sign == '+' ? sign : '\0';
}

static enum ash_status lex_comment(struct lexer *lexer)
{
    size_t start = lexer->at;
    const char *end = memmem(lexer->bytes + start, lexer->source.length - start, "#}", 2);
    if (!end)
        return ash_fail(ASH_ERR_FORMAT, "line %d: a comment has no end; expected #}", lexer->line);
    lexer->at = (size_t)(end - lexer->bytes) + 2;
    end_tag(lexer, lexer->at - 2 > start ? sign_at(lexer, lexer->at - 3) : '\0', true);
    return ASH_OK;
}

/* "{% raw %}" at `at`: where its content begins; 0 if it is another block. */
static size_t raw_begin(const struct lexer *lexer, size_t at)
{
    at += 2;
    at = skip_space(lexer, at + (sign_at(lexer, at) != 0));
    if (!looking_at(lexer, at, "raw"))
        return 0;
    at = skip_space(lexer, at + 3);
    if (looking_at(lexer, at, "-%}"))
        return skip_space(lexer, at + 3);
    return looking_at(lexer, at, "%}") ? at + 2 : 0;
}

/* From the content on to behind "{% endraw %}". */
static enum ash_status lex_raw(struct lexer *lexer, size_t start)
{
    lexer->line_starting = lexer->bytes[start - 1] == '\n';
    for (size_t at = start;; at++) {
        const char *found = memmem(lexer->bytes + at, lexer->source.length - at, "{%", 2);
        if (!found)
            return ash_fail(ASH_ERR_FORMAT, "line %d: a raw block has no end", lexer->line);
        at = (size_t)(found - lexer->bytes);
        char sign = sign_at(lexer, at + 2);
        size_t end = skip_space(lexer, at + 2 + (sign != 0));
        if (!looking_at(lexer, end, "endraw"))
            continue;
        end = skip_space(lexer, end + 6);
        char end_sign = sign_at(lexer, end);
        end += end_sign != 0;
        if (!looking_at(lexer, end, "%}"))
            continue;
        ASH_TRY(push_data(lexer, before_tag(lexer, part(lexer, start, at), sign, true)));
        lexer->at = end + 2;
        end_tag(lexer, end_sign, true);
        return ASH_OK;
    }
}

/* ---- Inside a tag ---------------------------------------------------------------------------- */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_word(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
           (unsigned char)c >= 0x80;
}

static enum ash_status lex_name(struct lexer *lexer)
{
    size_t start = lexer->at;
    while (is_word(peek(lexer, lexer->at)))
        lexer->at++;
    return push_text(lexer, JINJA_T_NAME, part(lexer, start, lexer->at));
}

/* Digits with single underscores between them, appended without the underscores. */
static size_t take_digits(
    const struct lexer *lexer, size_t at, char *out, size_t *length, size_t capacity)
{
    while (is_digit(peek(lexer, at)) ||
           (peek(lexer, at) == '_' && *length > 0 && is_digit(peek(lexer, at + 1)))) {
        if (peek(lexer, at) != '_' && *length < capacity)
            out[(*length)++] = peek(lexer, at);
        at++;
    }
    return at;
}

static enum ash_status lex_based(struct lexer *lexer, int base)
{
    char *end, digits[80] = "";
    size_t length = 0;
    for (lexer->at += 2; is_word(peek(lexer, lexer->at)); lexer->at++)
        if (peek(lexer, lexer->at) != '_' && length < sizeof digits - 1)
            digits[length++] = peek(lexer, lexer->at);
    errno = 0;
    long long value = strtoll(digits, &end, base);
    if (length == 0 || *end || errno || length == sizeof digits - 1)
        return ash_fail(ASH_ERR_FORMAT, "line %d: not a number of base %d that fits 64 bits",
            lexer->line, base);
    return push(lexer, JINJA_T_NUMBER, ash_jinja_int(value));
}

static enum ash_status lex_number(struct lexer *lexer)
{
    static const struct {
        const char *prefix;
        int base;
    } bases[] = { { "0x", 16 }, { "0X", 16 }, { "0o", 8 }, { "0O", 8 }, { "0b", 2 }, { "0B", 2 } };
    for (size_t i = 0; i < sizeof bases / sizeof bases[0]; i++)
        if (looking_at(lexer, lexer->at, bases[i].prefix))
            return lex_based(lexer, bases[i].base);
    char digits[320];
    size_t length = 0, capacity = sizeof digits - 8;
    bool fraction = false, after_point = lexer->at > 0 && lexer->bytes[lexer->at - 1] == '.';
    size_t at = take_digits(lexer, lexer->at, digits, &length, capacity);
    if (!after_point && peek(lexer, at) == '.' && is_digit(peek(lexer, at + 1))) {
        digits[length++] = '.';
        at = take_digits(lexer, at + 1, digits, &length, capacity);
        fraction = true;
    }
    size_t power = at + 1 + (peek(lexer, at + 1) == '-' || peek(lexer, at + 1) == '+');
    if (!after_point && (peek(lexer, at) | 0x20) == 'e' && is_digit(peek(lexer, power))) {
        digits[length++] = 'e';
        if (power > at + 1)
            digits[length++] = peek(lexer, at + 1);
        at = take_digits(lexer, power, digits, &length, capacity + 4);
        fraction = true;
    }
    digits[length] = '\0';
    lexer->at = at;
    if (fraction)
        return push(lexer, JINJA_T_NUMBER, ash_jinja_float(strtod(digits, NULL)));
    errno = 0;
    long long value = strtoll(digits, NULL, 10);
    if (errno)
        return ash_fail(ASH_ERR_LIMIT, "line %d: a number does not fit 64 bits", lexer->line);
    return push(lexer, JINJA_T_NUMBER, ash_jinja_int(value));
}

/* The number of `digits` hex digits at `at`; false if they are not. */
static bool hex(const struct lexer *lexer, size_t at, size_t digits, uint32_t *out)
{
    *out = 0;
    for (size_t i = 0; i < digits; i++) {
        char c = peek(lexer, at + i), low = (char)(c | 0x20);
        if (!is_digit(c) && !(low >= 'a' && low <= 'f'))
            return false;
        *out = *out << 4 | (uint32_t)(is_digit(c) ? c - '0' : low - 'a' + 10);
    }
    return *out <= 0x10FFFF && (*out < 0xD800 || *out > 0xDFFF);
}

/* One escape of Python's unicode-escape at `at`, which is behind the backslash; moves it on. */
static enum ash_status unescape(struct lexer *lexer, size_t *at, struct jinja_text *out)
{
    static const char letters[] = "abfnrtv\\'\"", values[] = "\a\b\f\n\r\t\v\\'\"";
    char c = peek(lexer, (*at)++);
    const char *letter = c ? strchr(letters, c) : NULL;
    uint32_t code;
    if (c == '\n')
        return ASH_OK;
    if (letter)
        return ash_jinja_append_bytes(lexer->arena, out, &values[letter - letters], 1, true);
    if (c >= '0' && c <= '7') {
        code = (uint32_t)(c - '0');
        for (int i = 0; i < 2 && peek(lexer, *at) >= '0' && peek(lexer, *at) <= '7'; i++)
            code = code << 3 | (uint32_t)(peek(lexer, (*at)++) - '0');
        return ash_jinja_append_char(lexer->arena, out, code, true);
    }
    size_t digits = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
    if (c == 'N' || (digits && !hex(lexer, *at, digits, &code)))
        return ash_fail(ASH_ERR_FORMAT,
            "line %d: \\%c in a string is not followed by a character's number", lexer->line, c);
    if (digits) {
        *at += digits;
        return ash_jinja_append_char(lexer->arena, out, code, true);
    }
    (*at)--; /* not an escape: the backslash stays, and what follows it is read again */
    return ash_jinja_append_bytes(lexer->arena, out, "\\", 1, true);
}

static enum ash_status lex_string(struct lexer *lexer)
{
    char quote = lexer->bytes[lexer->at];
    size_t start = lexer->at + 1, end = start;
    while (end < lexer->source.length && lexer->bytes[end] != quote)
        end += lexer->bytes[end] == '\\' ? 2 : 1;
    if (end >= lexer->source.length)
        return ash_fail(ASH_ERR_FORMAT, "line %d: a string has no end", lexer->line);
    struct jinja_text text = part(lexer, start, end);
    if (memchr(lexer->bytes + start, '\\', end - start)) {
        text = (struct jinja_text){ 0 };
        for (size_t at = start; at < end;) {
            if (lexer->bytes[at] != '\\') {
                ASH_TRY(ash_jinja_append_bytes(lexer->arena, &text, lexer->bytes + at, 1, true));
                at++;
                continue;
            }
            at++;
            ASH_TRY(unescape(lexer, &at, &text));
        }
        ash_jinja_seal(text);
    }
    lexer->at = end + 1;
    return push_text(lexer, JINJA_T_STRING, text);
}

static enum ash_status lex_operator(struct lexer *lexer)
{
    static const char pairs[][3] = { "//", "**", "==", "!=", ">=", "<=" };
    int op = 0;
    for (size_t i = 0; !op && i < sizeof pairs / sizeof pairs[0]; i++)
        if (looking_at(lexer, lexer->at, pairs[i]))
            op = JINJA_OP(pairs[i][0], pairs[i][1]);
    char c = peek(lexer, lexer->at);
    if (!op && (!c || !strchr("+-*/%~[](){}><=.:|,;", c)))
        return ash_fail(ASH_ERR_FORMAT, "line %d: unexpected character '%c' (byte 0x%02X) in a tag",
            lexer->line, c >= ' ' && c < 0x7F ? c : '?', (unsigned char)c);
    lexer->at += op ? 2 : 1;
    ASH_TRY(push(lexer, JINJA_T_OPERATOR, (struct jinja_value){ 0 }));
    lexer->token[lexer->count - 1].op = op ? op : c;
    return ASH_OK;
}

static enum ash_status lex_token(struct lexer *lexer)
{
    char c = peek(lexer, lexer->at);
    if (is_digit(c))
        return lex_number(lexer);
    if (is_word(c))
        return lex_name(lexer);
    if (c == '\'' || c == '"')
        return lex_string(lexer);
    return lex_operator(lexer);
}

/* Up to "%}" or "}}", which count as the end only where no bracket is open. */
static enum ash_status lex_tag(struct lexer *lexer, bool block)
{
    const char *end = block ? "%}" : "}}";
    char open[JINJA_MAX_NESTING];
    size_t depth = 0;
    for (;;) {
        lexer->at = skip_space(lexer, lexer->at);
        char sign = sign_at(lexer, lexer->at);
        bool signed_end = sign && (block || sign == '-') && looking_at(lexer, lexer->at + 1, end);
        if (depth == 0 && (signed_end || looking_at(lexer, lexer->at, end))) {
            lexer->at += signed_end ? 3 : 2;
            ASH_TRY(push(
                lexer, block ? JINJA_T_BLOCK_END : JINJA_T_OUTPUT_END, (struct jinja_value){ 0 }));
            end_tag(lexer, signed_end ? sign : '\0', block);
            return ASH_OK;
        }
        if (lexer->at >= lexer->source.length)
            return ash_fail(
                ASH_ERR_FORMAT, "line %d: a tag has no end; expected %s", lexer->line, end);
        char c = lexer->bytes[lexer->at];
        ASH_TRY(lex_token(lexer));
        if (c == '(' || c == '[' || c == '{') {
            if (depth == sizeof open)
                return ash_fail(ASH_ERR_LIMIT, "line %d: more than %d brackets in each other",
                    lexer->line, JINJA_MAX_NESTING);
            open[depth++] = c;
        } else if (c == ')' || c == ']' || c == '}') {
            char wanted = c == ')' ? '(' : c == ']' ? '[' : '{';
            if (depth == 0 || open[--depth] != wanted)
                return ash_fail(ASH_ERR_FORMAT, "line %d: unexpected '%c'", lexer->line, c);
        }
    }
}

/* Where the next tag begins, or the source's end. */
static size_t next_tag(const struct lexer *lexer)
{
    for (size_t at = lexer->at; at + 1 < lexer->source.length; at++)
        if (lexer->bytes[at] == '{' && strchr("{%#", lexer->bytes[at + 1]) && lexer->bytes[at + 1])
            return at;
    return lexer->source.length;
}

static enum ash_status lex_all(struct lexer *lexer)
{
    while (lexer->at < lexer->source.length) {
        size_t start = lexer->at, tag = next_tag(lexer);
        if (tag == lexer->source.length)
            lexer->at = tag;
        if (lexer->at == tag && tag == lexer->source.length)
            return push_data(lexer, part(lexer, start, tag));
        char kind = lexer->bytes[tag + 1], sign = sign_at(lexer, tag + 2);
        ASH_TRY(push_data(lexer, before_tag(lexer, part(lexer, start, tag), sign, kind != '{')));
        size_t raw = kind == '%' ? raw_begin(lexer, tag) : 0;
        lexer->at = tag + 2 + (sign != 0);
        if (raw) {
            ASH_TRY(lex_raw(lexer, raw));
        } else if (kind == '#') {
            ASH_TRY(lex_comment(lexer));
        } else {
            ASH_TRY(push(lexer, kind == '%' ? JINJA_T_BLOCK_BEGIN : JINJA_T_OUTPUT_BEGIN,
                (struct jinja_value){ 0 }));
            ASH_TRY(lex_tag(lexer, kind == '%'));
        }
    }
    return ASH_OK;
}

/* \r\n and \r become \n; one line end at the very end is dropped. */
static enum ash_status normalise(
    struct jinja_arena *arena, const char *source, size_t length, struct jinja_text *out)
{
    *out = (struct jinja_text){ 0 };
    for (size_t at = 0, run; at < length; at += run) {
        const char *found = memchr(source + at, '\r', length - at);
        run = found ? (size_t)(found - source) - at : length - at;
        ASH_TRY(ash_jinja_append_bytes(arena, out, source + at, run, true));
        if (!found)
            break;
        ASH_TRY(ash_jinja_append_bytes(arena, out, "\n", 1, true));
        run += at + run + 1 < length && source[at + run + 1] == '\n' ? 2 : 1;
    }
    ash_jinja_seal(*out);
    if (out->length > 0 && ash_jinja_bytes(*out)[out->length - 1] == '\n')
        out->length--;
    return ASH_OK;
}

enum ash_status ash_jinja_lex(
    struct jinja_arena *arena, const char *source, size_t length, struct jinja_token **out)
{
    struct lexer lexer = { .arena = arena, .line = 1, .line_starting = true };
    ASH_TRY(normalise(arena, source, length, &lexer.source));
    lexer.bytes = ash_jinja_bytes(lexer.source);
    ASH_TRY(lex_all(&lexer));
    ASH_TRY(push(&lexer, JINJA_T_END, (struct jinja_value){ 0 }));
    *out = lexer.token;
    return ASH_OK;
}

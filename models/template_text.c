/* SPDX-License-Identifier: Apache-2.0 */
#include "models/template_internal.h"
#include "runtime/memory.h"

#include <assert.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <wctype.h>

/* ---- Arena ---------------------------------------------------------------------------------- */

enum { BLOCK_BYTES = 16384 };

struct jinja_block {
    struct jinja_block *older;
    size_t used, capacity;
    _Alignas(max_align_t) unsigned char bytes[];
};

enum ash_status ash_jinja_alloc(
    struct jinja_arena *arena, size_t count, size_t item_bytes, void **out)
{
    size_t size, aligned;
    if (__builtin_mul_overflow(count, item_bytes, &size) ||
        __builtin_add_overflow(size, sizeof(max_align_t) - 1, &aligned) ||
        (aligned &= ~(sizeof(max_align_t) - 1)) > arena->limit_bytes - arena->used_bytes)
        return ash_fail(
            ASH_ERR_LIMIT, "the chat template needs more than %zu bytes", arena->limit_bytes);
    if (!arena->block || arena->block->capacity - arena->block->used < aligned) {
        size_t capacity = aligned > BLOCK_BYTES ? aligned : BLOCK_BYTES;
        struct jinja_block *block = ash_alloc_zero(sizeof *block + capacity);
        if (!block)
            return ash_fail_memory(capacity, "a chat template");
        block->capacity = capacity;
        block->older = arena->block;
        arena->block = block;
    }
    *out = arena->block->bytes + arena->block->used;
    arena->block->used += aligned;
    arena->used_bytes += aligned;
    return ASH_OK;
}

void ash_jinja_arena_finish(struct jinja_arena *arena)
{
    while (arena->block) {
        struct jinja_block *older = arena->block->older;
        ash_free(arena->block);
        arena->block = older;
    }
}

/* ---- Text ----------------------------------------------------------------------------------- */

const char *ash_jinja_bytes(struct jinja_text text)
{
    return text.buffer ? text.buffer->bytes + text.start : "";
}

const unsigned char *ash_jinja_marks(struct jinja_text text)
{
    return text.buffer ? text.buffer->trusted + text.start : (const unsigned char *)"";
}

/* Makes the text end at its buffer's end, with room for `more` bytes. */
static enum ash_status make_room(struct jinja_arena *arena, struct jinja_text *text, size_t more)
{
    struct jinja_buffer *old = text->buffer;
    if (old && text->start + text->length == old->used && old->capacity - old->used >= more)
        return ASH_OK;
    struct jinja_buffer *fresh;
    size_t needed, capacity;
    if (__builtin_add_overflow(text->length, more, &needed) ||
        __builtin_mul_overflow(needed, 2, &capacity))
        return ash_fail(ASH_ERR_LIMIT, "a text of the chat template is too long");
    if (!old) /* often the only one */
        capacity = needed;
    ASH_TRY(JINJA_NEW(arena, 1, &fresh));
    ASH_TRY(JINJA_NEW(arena, capacity, &fresh->bytes));
    ASH_TRY(JINJA_NEW(arena, capacity, &fresh->trusted));
    memcpy(fresh->bytes, ash_jinja_bytes(*text), text->length);
    memcpy(fresh->trusted, ash_jinja_marks(*text), text->length);
    fresh->used = text->length;
    fresh->capacity = capacity;
    *text = (struct jinja_text){ fresh, 0, text->length };
    return ASH_OK;
}

enum ash_status ash_jinja_append(
    struct jinja_arena *arena, struct jinja_text *text, struct jinja_text piece)
{
    if (piece.length == 0)
        return ASH_OK;
    if (text->length == 0) {
        *text = piece;
        return ASH_OK;
    }
    ASH_TRY(make_room(arena, text, piece.length));
    struct jinja_buffer *buffer = text->buffer;
    memcpy(buffer->bytes + buffer->used, ash_jinja_bytes(piece), piece.length);
    memcpy(buffer->trusted + buffer->used, ash_jinja_marks(piece), piece.length);
    buffer->used += piece.length;
    text->length += piece.length;
    return ASH_OK;
}

enum ash_status ash_jinja_append_bytes(struct jinja_arena *arena, struct jinja_text *text,
    const char *bytes, size_t length, bool trusted)
{
    if (length == 0)
        return ASH_OK;
    ASH_TRY(make_room(arena, text, length));
    struct jinja_buffer *buffer = text->buffer;
    memcpy(buffer->bytes + buffer->used, bytes, length);
    memset(buffer->trusted + buffer->used, trusted, length);
    buffer->used += length;
    text->length += length;
    return ASH_OK;
}

enum ash_status ash_jinja_append_format(
    struct jinja_arena *arena, struct jinja_text *text, const char *format, ...)
{
    char bytes[512];
    va_list list;
    va_start(list, format);
    int length = vsnprintf(bytes, sizeof bytes, format, list);
    va_end(list);
    assert(length >= 0 && (size_t)length < sizeof bytes);
    return ash_jinja_append_bytes(arena, text, bytes, (size_t)length, false);
}

void ash_jinja_seal(struct jinja_text text)
{
    if (text.buffer)
        text.buffer->capacity = text.buffer->used;
}

struct jinja_text ash_jinja_slice(struct jinja_text text, size_t start, size_t length)
{
    assert(start <= text.length && length <= text.length - start);
    return (struct jinja_text){ text.buffer, text.start + start, length };
}

bool ash_jinja_same(struct jinja_text a, struct jinja_text b)
{
    return a.length == b.length && !memcmp(ash_jinja_bytes(a), ash_jinja_bytes(b), a.length);
}

bool ash_jinja_is(struct jinja_text text, const char *string)
{
    return text.length == strlen(string) && !memcmp(ash_jinja_bytes(text), string, text.length);
}

bool ash_jinja_starts(struct jinja_text text, struct jinja_text prefix)
{
    return text.length >= prefix.length &&
           ash_jinja_same(ash_jinja_slice(text, 0, prefix.length), prefix);
}

bool ash_jinja_ends(struct jinja_text text, struct jinja_text suffix)
{
    return text.length >= suffix.length &&
           ash_jinja_same(
               ash_jinja_slice(text, text.length - suffix.length, suffix.length), suffix);
}

int ash_jinja_order(struct jinja_text a, struct jinja_text b)
{
    size_t common = a.length < b.length ? a.length : b.length;
    int order = memcmp(ash_jinja_bytes(a), ash_jinja_bytes(b), common);
    return order ? order : (a.length > b.length) - (a.length < b.length);
}

size_t ash_jinja_find(struct jinja_text text, struct jinja_text needle, size_t from)
{
    if (from > text.length)
        return SIZE_MAX;
    const char *bytes = ash_jinja_bytes(text);
    const char *found =
        memmem(bytes + from, text.length - from, ash_jinja_bytes(needle), needle.length);
    return found ? (size_t)(found - bytes) : SIZE_MAX;
}

size_t ash_jinja_find_last(struct jinja_text text, struct jinja_text needle)
{
    if (needle.length > text.length)
        return SIZE_MAX;
    const char *bytes = ash_jinja_bytes(text), *wanted = ash_jinja_bytes(needle);
    for (size_t at = text.length - needle.length + 1; at-- > 0;)
        if (!memcmp(bytes + at, wanted, needle.length))
            return at;
    return SIZE_MAX;
}

/* ---- Characters ------------------------------------------------------------------------------ */

size_t ash_jinja_char_bytes(struct jinja_text text, size_t at)
{
    const unsigned char *byte = (const unsigned char *)ash_jinja_bytes(text) + at;
    size_t length = byte[0] < 0xC2   ? 1
                    : byte[0] < 0xE0 ? 2
                    : byte[0] < 0xF0 ? 3
                    : byte[0] < 0xF5 ? 4
                                     : 1;
    if (length > text.length - at)
        return 1;
    for (size_t i = 1; i < length; i++)
        if ((byte[i] & 0xC0) != 0x80)
            return 1;
    return length;
}

uint32_t ash_jinja_char(struct jinja_text text, size_t at)
{
    const unsigned char *byte = (const unsigned char *)ash_jinja_bytes(text) + at;
    size_t length = ash_jinja_char_bytes(text, at);
    if (length == 1)
        return byte[0] < 0x80 ? byte[0] : 0xFFFD;
    uint32_t code = byte[0] & (0x7Fu >> length);
    for (size_t i = 1; i < length; i++)
        code = code << 6 | (byte[i] & 0x3F);
    return code;
}

size_t ash_jinja_chars(struct jinja_text text)
{
    size_t count = 0;
    for (size_t at = 0; at < text.length; at += ash_jinja_char_bytes(text, at))
        count++;
    return count;
}

size_t ash_jinja_char_start(struct jinja_text text, size_t index)
{
    size_t at = 0;
    for (; index > 0 && at < text.length; index--)
        at += ash_jinja_char_bytes(text, at);
    return at;
}

enum ash_status ash_jinja_append_char(
    struct jinja_arena *arena, struct jinja_text *text, uint32_t code, bool trusted)
{
    char bytes[4];
    size_t length = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    if (length == 1) {
        bytes[0] = (char)code;
    } else {
        for (size_t i = length; i-- > 1; code >>= 6)
            bytes[i] = (char)(0x80 | (code & 0x3F));
        bytes[0] = (char)((0xF00u >> length & 0xF0) | code);
    }
    return ash_jinja_append_bytes(arena, text, bytes, length, trusted);
}

bool ash_jinja_is_space(uint32_t code)
{
    return (code >= 0x09 && code <= 0x0D) || (code >= 0x1C && code <= 0x20) || code == 0x85 ||
           code == 0xA0 || code == 0x1680 || (code >= 0x2000 && code <= 0x200A) || code == 0x2028 ||
           code == 0x2029 || code == 0x202F || code == 0x205F || code == 0x3000;
}

static bool in_set(const struct jinja_text *set, uint32_t code)
{
    if (!set)
        return ash_jinja_is_space(code);
    for (size_t at = 0; at < set->length; at += ash_jinja_char_bytes(*set, at))
        if (ash_jinja_char(*set, at) == code)
            return true;
    return false;
}

/* Where the last character of the text begins; it is not empty. */
static size_t last_char(struct jinja_text text)
{
    size_t at = text.length - 1;
    for (size_t back = 1; back < 4 && back < text.length; back++)
        if (ash_jinja_char_bytes(text, text.length - 1 - back) == back + 1)
            at = text.length - 1 - back;
    return at;
}

struct jinja_text ash_jinja_strip(
    struct jinja_text text, const struct jinja_text *set, enum jinja_side side)
{
    while ((side & JINJA_LEFT) && text.length > 0 && in_set(set, ash_jinja_char(text, 0))) {
        size_t bytes = ash_jinja_char_bytes(text, 0);
        text = ash_jinja_slice(text, bytes, text.length - bytes);
    }
    while ((side & JINJA_RIGHT) && text.length > 0) {
        size_t at = last_char(text);
        if (!in_set(set, ash_jinja_char(text, at)))
            break;
        text = ash_jinja_slice(text, 0, at);
    }
    return text;
}

/* ---- Case ------------------------------------------------------------------------------------- */

/* In the template's locale, which the run has set; one character for one. */
static uint32_t change(uint32_t code, enum jinja_case to, bool first)
{
    bool upper = to == JINJA_UPPER || ((to == JINJA_CAPITALIZE || to == JINJA_TITLE) && first);
    if (to == JINJA_SWAP)
        upper = iswlower((wint_t)code);
    return upper ? towupper((wint_t)code) : towlower((wint_t)code);
}

enum ash_status ash_jinja_change_case(
    struct jinja_run *run, struct jinja_text text, enum jinja_case to, struct jinja_value *out)
{
    struct jinja_text changed = { 0 };
    bool first = true;
    ASH_TRY(ash_jinja_spend(run, text.length / 16));
    for (size_t at = 0, bytes; at < text.length; at += bytes) {
        uint32_t code = ash_jinja_char(text, at);
        bytes = ash_jinja_char_bytes(text, at);
        uint32_t other = change(code, to, first);
        if (other == code)
            ASH_TRY(ash_jinja_append(&run->arena, &changed, ash_jinja_slice(text, at, bytes)));
        else
            ASH_TRY(ash_jinja_append_char(&run->arena, &changed, other, ash_jinja_marks(text)[at]));
        first = to == JINJA_TITLE && !iswalpha((wint_t)code);
    }
    return ash_jinja_text_value(&run->arena, changed, out);
}

/* An empty `old` stands between all characters. */
enum ash_status ash_jinja_replace(struct jinja_run *run, struct jinja_text text,
    struct jinja_text old, struct jinja_text fresh, int64_t most, struct jinja_value *out)
{
    struct jinja_text result = { 0 };
    size_t at = 0;
    ASH_TRY(ash_jinja_spend(run, text.length / 16));
    for (int64_t n = 0; n != most; n++) {
        size_t skipped = old.length == 0 && n > 0 ? 1 : 0;
        if (skipped && at == text.length)
            break;
        size_t found =
            skipped ? at + ash_jinja_char_bytes(text, at) : ash_jinja_find(text, old, at);
        if (found == SIZE_MAX)
            break;
        ASH_TRY(ash_jinja_append(&run->arena, &result, ash_jinja_slice(text, at, found - at)));
        ASH_TRY(ash_jinja_append(&run->arena, &result, fresh));
        ASH_TRY(ash_jinja_spend(run, 1));
        at = found + old.length;
    }
    ASH_TRY(ash_jinja_append(&run->arena, &result, ash_jinja_slice(text, at, text.length - at)));
    return ash_jinja_text_value(&run->arena, result, out);
}

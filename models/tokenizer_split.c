/* SPDX-License-Identifier: Apache-2.0 */
#include "models/tokenizer_split.h"

#include "models/tokenizer_internal.h"
#include "models/utf8.h"

static const struct ash_split splits[] = {
    { .name = "smollm",
        .also = ",starcoder,refact,command-r,codeshell,exaone,minerva-7b,mellum2,",
        .lone_digits = true },
    { .name = "llama-bpe",
        .also = ",llama3,llama-v3,falcon3,falcon-h1,pixtral,midm-2.0,lfm2,",
        .by_line = true,
        .digits = 3,
        .whole_words = true,
        .add_bos = true },
    { .name = "gpt-2",
        .also = ",default,phi-2,gigachat,a.x-4.0,mellum,mpt,olmo,jais,exaone4,trillion,"
                "granite-docling," },
    { .name = "qwen2",
        .also = ",deepseek-r1-qwen,kormo,f2llmv2,stablelm2,megrez,hunyuan,solar-open,",
        .by_line = true,
        .digits = 1 },
};

const char *ash_split_known(void)
{
    return "smollm (starcoder, refact, command-r, codeshell, exaone, minerva-7b, mellum2), "
           "llama-bpe (llama3, llama-v3, falcon3, falcon-h1, pixtral, midm-2.0, lfm2), "
           "gpt-2 (default, phi-2, gigachat, a.x-4.0, mellum, mpt, olmo, jais, exaone4, trillion, "
           "granite-docling), "
           "qwen2 (deepseek-r1-qwen, kormo, f2llmv2, stablelm2, megrez, hunyuan, solar-open)";
}

/* Whether `list` (",a,b,") has `name` between two commas. */
static bool listed(const char *list, const char *name)
{
    size_t length = strlen(name);
    if (length == 0 || strchr(name, ','))
        return false;
    for (const char *at = list; (at = strstr(at, name)); at++)
        if (at[-1] == ',' && at[length] == ',')
            return true;
    return false;
}

const struct ash_split *ash_split_find(const char *name)
{
    if (!name)
        name = "gpt-2";
    for (size_t i = 0; i < sizeof splits / sizeof *splits; i++)
        if (strcmp(splits[i].name, name) == 0 || listed(splits[i].also, name))
            return &splits[i];
    return NULL;
}

/* The text that is left, and its characters: at `at` = length stands one of no class. */
struct rest {
    const char *text;
    size_t length;
};

enum { END = ASH_CHAR_SPACE + 1 };

struct seen {
    int kind; /* enum ash_char_class or END */
    size_t size;
};

static const unsigned char ascii[128] = {
    ['\t'] = ASH_CHAR_SPACE,
    ['\n'] = ASH_CHAR_SPACE,
    ['\v'] = ASH_CHAR_SPACE,
    ['\f'] = ASH_CHAR_SPACE,
    ['\r'] = ASH_CHAR_SPACE,
    [' '] = ASH_CHAR_SPACE,
    ['0' ... '9'] = ASH_CHAR_NUMBER,
    ['A' ... 'Z'] = ASH_CHAR_LETTER,
    ['a' ... 'z'] = ASH_CHAR_LETTER,
};

static struct seen look_wide(struct rest rest, size_t at)
{
    uint32_t point;
    size_t used;
    if (ash_utf8_next(rest.text + at, rest.length - at, &point, &used) != ASH_UTF8_VALID)
        return (struct seen){ ASH_CHAR_OTHER, 1 };
    return (struct seen){ ash_char_class(point), used };
}

static inline struct seen look(struct rest rest, size_t at)
{
    if (at >= rest.length)
        return (struct seen){ END, 0 };
    unsigned char byte = (unsigned char)rest.text[at];
    return byte < 128 ? (struct seen){ ascii[byte], 1 } : look_wide(rest, at);
}

static inline bool is(struct rest rest, size_t at, char byte)
{
    return at < rest.length && rest.text[at] == byte;
}

static inline bool is_newline(struct rest rest, size_t at)
{
    return is(rest, at, '\n') || is(rest, at, '\r');
}

/* The end of the run of `kind` that begins at `at`. */
static size_t run_end(struct rest rest, size_t at, int kind)
{
    for (struct seen seen; (seen = look(rest, at)).kind == kind;)
        at += seen.size;
    return at;
}

/* The size of a letter of a contraction at `at`, 0 if it is another; `any_case` also finds capitals. */
static size_t letter(struct rest rest, size_t at, char wanted, bool any_case)
{
    if (is(rest, at, wanted) || (any_case && is(rest, at, (char)(wanted - 'a' + 'A'))))
        return 1;
    /* The long s folds to s: an expression that ignores case finds it. */
    bool long_s = any_case && wanted == 's' && is(rest, at, '\xC5') && is(rest, at + 1, '\xBF');
    return long_s ? 2 : 0;
}

/* The length of 's, 't, 're, 've, 'm, 'll or 'd at the start of the text; 0 if there is none. */
static size_t contraction(struct rest rest, bool any_case)
{
    static const char endings[][3] = { "s", "t", "re", "ve", "m", "ll", "d" };
    if (rest.text[0] != '\'')
        return 0;
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        size_t first = letter(rest, 1, endings[i][0], any_case);
        if (first && endings[i][1] == '\0')
            return 1 + first;
        if (first && letter(rest, 1 + first, endings[i][1], any_case))
            return 2 + first;
    }
    return 0;
}

/* White space, where no earlier alternative took it: \s*[\r\n]+ if `by_line`, \s+(?!\S), \s+ */
static size_t spaces(const struct ash_split *split, struct rest rest)
{
    size_t at = 0, last = 0, line = 0; /* line: the end of the last newline */
    struct seen seen;
    for (; (seen = look(rest, at)).kind == ASH_CHAR_SPACE; at += seen.size) {
        last = at;
        if (split->by_line && is_newline(rest, at))
            line = at + 1;
    }
    if (line)
        return line;
    bool text_ends = seen.kind == END || (split->lone_digits && seen.kind == ASH_CHAR_NUMBER);
    return text_ends || last == 0 ? at : last; /* the last space belongs to the next word */
}

/* At most `most` (0: any number of) characters of the class number from `at` on. */
static size_t numbers(struct rest rest, size_t at, int most)
{
    if (most == 0)
        return run_end(rest, at, ASH_CHAR_NUMBER);
    struct seen seen;
    for (int i = 0; i < most && (seen = look(rest, at)).kind == ASH_CHAR_NUMBER; i++)
        at += seen.size;
    return at;
}

/* gpt-2 and smollm. */
static size_t next_of_gpt2(const struct ash_split *split, struct rest rest)
{
    size_t length = contraction(rest, false);
    if (length)
        return length;
    size_t start = is(rest, 0, ' ') ? 1 : 0;
    int kind = look(rest, start).kind;
    if (kind == ASH_CHAR_LETTER || kind == ASH_CHAR_OTHER)
        return run_end(rest, start, kind);
    if (kind == ASH_CHAR_NUMBER && !split->lone_digits)
        return numbers(rest, start, split->digits);
    if (kind == ASH_CHAR_NUMBER && start == 0)
        return numbers(rest, 0, 1);
    return spaces(split, rest);
}

/* llama-bpe and qwen2. */
static size_t next_by_line(const struct ash_split *split, struct rest rest)
{
    size_t length = contraction(rest, true);
    if (length)
        return length;
    struct seen first = look(rest, 0);
    if (first.kind == ASH_CHAR_NUMBER)
        return numbers(rest, 0, split->digits);
    if (first.kind == ASH_CHAR_LETTER)
        return run_end(rest, first.size, ASH_CHAR_LETTER);
    if (!is_newline(rest, 0) && look(rest, first.size).kind == ASH_CHAR_LETTER)
        return run_end(rest, first.size, ASH_CHAR_LETTER);
    size_t start = is(rest, 0, ' ') ? 1 : 0;
    if (look(rest, start).kind != ASH_CHAR_OTHER)
        return spaces(split, rest);
    size_t end = run_end(rest, start, ASH_CHAR_OTHER);
    while (is_newline(rest, end))
        end++;
    return end;
}

size_t ash_split_next(const struct ash_split *split, const char *text, size_t length)
{
    struct rest rest = { text, length };
    return split->by_line ? next_by_line(split, rest) : next_of_gpt2(split, rest);
}

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "runtime/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <time.h>

/*
 * Chat templates: from a conversation to the prompt a model was trained on.
 *
 * Runs the subset of Jinja that the templates in GGUF files are written in (tokenizer.chat_template),
 * in the environment Hugging Face Transformers renders them in (trim_blocks, lstrip_blocks, loop
 * controls, immutable sandbox; utils/chat_template_utils.py), and gives the same text byte for byte.
 * Left out: inheritance, include, import, autoescape, and filters that serve web pages. What is not
 * supported is refused with ASH_ERR_UNSUPPORTED when it is reached, never rendered wrongly.
 *
 * A user's text never becomes a special token. Every byte of the prompt is either trusted (literal
 * text of the template, bos and eos, the well-known role names) or not (all the rest: contents, tool
 * definitions, variables, numbers), whatever filters it went through. A tokenizer may recognise a
 * special token only where all of its bytes are trusted.
 *
 * A template may come from a stranger: its size, nesting, work and memory are bounded, and nothing
 * it does reaches outside the render.
 * Threads: a parsed template is immutable; any number of threads may render it at once. The most deeply
 * nested render was measured to fit a stack of 512 KiB.
 */
struct ash_template;

/* The opaque value of the library jansson. */
struct json_t;

enum { ASH_TEMPLATE_MAX_BYTES = 1 << 18 };

/*
 * ChatML, for a model that carries no template: most instruction-tuned models of unknown origin
 * understand it, none is guaranteed to. Whoever falls back to it must tell the user.
 */
extern const char ash_template_chatml[];

/* All is borrowed for the time of the call, and must be UTF-8. */
struct ash_chat_message {
    const char *role;    /* "system", "user", "assistant", "tool", ... */
    const char *content; /* NULL = none, or in `fields` (a list of parts, for example) */
    size_t content_bytes;
    const struct json_t *fields; /* object: name, tool_calls, tool_call_id, ...; NULL = none */
};

struct ash_template_options {
    bool add_generation_prompt; /* ends with the beginning of the assistant's answer */
    const char *bos_token;      /* the texts of the model's tokens; NULL = it has none */
    const char *eos_token;
    const struct json_t *tools;     /* array of JSON schemas of functions; NULL = none */
    const struct json_t *variables; /* object: more variables (enable_thinking, ...); NULL = none */
    const struct tm *now;           /* for strftime_now, all fields set; NULL = the clock, local */
};

/* A run of bytes of the prompt that are all trusted or all not. */
struct ash_prompt_segment {
    size_t start_bytes;
    size_t length_bytes;
    bool trusted;
};

/* Segments are in order, without gaps, and alternate. `text` also ends with a 0 that is not counted. */
struct ash_prompt {
    char *text;
    size_t length_bytes;
    struct ash_prompt_segment *segment;
    size_t segment_count;
};

/*
 * Copies what it needs of `source`. The caller owns *out and ends it with ash_template_destroy(); on
 * failure *out is untouched.
 *
 * ASH_ERR_FORMAT       not a template; the message has the line
 * ASH_ERR_UNSUPPORTED  a statement this subset leaves out
 * ASH_ERR_LIMIT        larger or nested deeper than any real template
 */
enum ash_status ash_template_parse(
    const char *source, size_t source_bytes, struct ash_template **out);

/* Takes NULL. */
void ash_template_destroy(struct ash_template *template);

/*
 * The prompt for a conversation. The caller owns what *out points at and ends it with
 * ash_prompt_finish(); on failure *out is untouched.
 *
 * ASH_ERR_ARGUMENT     the template itself refuses the conversation (raise_exception); its message
 * ASH_ERR_FORMAT       the template fails on it: an undefined name, a wrong type; with the line
 * ASH_ERR_UNSUPPORTED  a filter, test or method this subset leaves out
 * ASH_ERR_LIMIT        more steps, nesting or memory than any real template needs
 */
enum ash_status ash_template_render(const struct ash_template *template,
    const struct ash_chat_message *messages, size_t message_count,
    const struct ash_template_options *options, struct ash_prompt *out);

void ash_prompt_finish(struct ash_prompt *prompt);

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "runtime/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Text to token ids and back: byte-level BPE, as GGUF files carry it (tokenizer.ggml.model "gpt2").
 *
 * A text is cut into words by the model's pre-tokenizer (tokenizer_split.h); each word starts as its
 * bytes' tokens, and the neighbours whose merge comes first in the model's list are joined until
 * none is left (Sennrich et al. 2016, arXiv 1508.07909; the alphabet of bytes is GPT-2's). The ids are
 * those of the Python package `tokenizers`; where that and llama.cpp differ, README.md says so.
 *
 * Any bytes are a text. A byte that is not part of well-formed UTF-8 counts as a symbol of its own
 * and gives its own byte's token: decoding gives exactly the bytes that were encoded. Nothing is
 * normalised. A zero byte is a byte like any other.
 *
 * Threads: any number may use a tokenizer at once; what it does never changes once it is made.
 */
struct ash_tokenizer;

/* The numbers of GGUF's tokenizer.ggml.token_type. */
enum ash_token_type {
    ASH_TOKEN_NORMAL = 1,       /* written in GPT-2's alphabet of bytes; text becomes these */
    ASH_TOKEN_UNKNOWN = 2,      /* treated as control */
    ASH_TOKEN_CONTROL = 3,      /* <|im_start|>: no text ever becomes one, unless asked */
    ASH_TOKEN_USER_DEFINED = 4, /* a word of its own, found in any text before it is cut */
    ASH_TOKEN_UNUSED = 5,       /* fills a gap in the numbering */
    ASH_TOKEN_BYTE = 6,         /* treated as normal */
};

/* `length` bytes at `data`, borrowed; no 0 at the end. */
struct ash_tokenizer_text {
    const char *data;
    size_t length;
};

/*
 * A vocabulary, wherever it is kept. Read once, each list from 0 upwards, and only during
 * ash_tokenizer_create(): a text needs to stay valid until the next call of the same function.
 */
struct ash_tokenizer_source {
    const char *pre; /* the pre-tokenizer's name, tokenizer.ggml.pre; NULL = "gpt-2" */
    int64_t token_count;
    int64_t merge_count;
    struct ash_tokenizer_text (*token)(void *context, int64_t index);
    int64_t (*type)(void *context, int64_t index);                    /* NULL: all are normal */
    struct ash_tokenizer_text (*merge)(void *context, int64_t index); /* "left right" */
    void *context;
    int64_t bos, eos, eot, eom, unk, pad; /* ids; -1: the model has none */
    int add_bos, add_eos;                 /* 0 or 1; -1: what is usual for the pre-tokenizer */
};

enum {
    ASH_TOKENIZER_MAX_TOKENS = 1 << 24,      /* and as many merges */
    ASH_TOKENIZER_MAX_TOKEN_BYTES = 1 << 12, /* of one token */
    ASH_TOKENIZER_MAX_MARKER_BYTES = 1 << 9, /* of a control or user-defined one */
    ASH_TOKENIZER_MAX_TEXT_BYTES = 1 << 30,  /* of one text to encode */
};

/*
 * What a vocabulary may contain, and what becomes of it:
 *   an empty token                      kept; no text becomes it; decodes to nothing
 *   a normal token with characters outside the alphabet: kept; no text becomes it; decodes to itself
 *   two normal or two marker tokens with the same text: ASH_ERR_FORMAT (which id is meant?)
 *   a merge that is not two words, or names or makes a token that is not there or not normal:
 *                                       ASH_ERR_FORMAT
 *   the same merge twice                the first counts
 *   a byte without a token              left out of every text, counted in ash_tokens.dropped
 *   bos, eos, eot, eom out of range     ASH_ERR_FORMAT; unk and pad: as if there were none
 * ASH_ERR_UNSUPPORTED  a pre-tokenizer this library does not know
 * ASH_ERR_LIMIT        more or longer tokens than the limits above
 * The caller owns *out and ends it with ash_tokenizer_destroy(). On failure *out is untouched.
 */
enum ash_status ash_tokenizer_create(
    const struct ash_tokenizer_source *source, struct ash_tokenizer **out);

/*
 * The tokenizer of a model file: its tokenizer.ggml.* keys. Nothing of the file is kept. Beyond the
 * errors above, ASH_ERR_UNSUPPORTED for another model than "gpt2", and ASH_ERR_FORMAT for keys that are
 * missing or of another type.
 */
struct ash_gguf;
enum ash_status ash_tokenizer_from_gguf(const struct ash_gguf *gguf, struct ash_tokenizer **out);

/* Takes NULL. */
void ash_tokenizer_destroy(struct ash_tokenizer *tokenizer);

/* Ids, in an array that grows. Start from { 0 }; keep it for the next text: set count to 0. */
struct ash_tokens {
    int32_t *id;
    size_t count;
    size_t capacity;
    uint64_t dropped; /* bytes that the vocabulary has no token for, since the caller set it to 0 */
};

void ash_tokens_free(struct ash_tokens *tokens);

enum ash_encode_flag {
    /* The text of a control token in the input is that token. For templates, never for user text. */
    ASH_ENCODE_SPECIAL = 1 << 0,
    /* The token that begins or ends a sequence, where the model's file asks for one. */
    ASH_ENCODE_ADD_BOS = 1 << 1,
    ASH_ENCODE_ADD_EOS = 1 << 2,
};

/*
 * Appends the ids of `text` to *out. Time is O(length log length) whatever the text.
 * ASH_ERR_LIMIT      `length` is above ASH_TOKENIZER_MAX_TEXT_BYTES
 * ASH_ERR_NO_MEMORY  out->count is as before
 */
enum ash_status ash_tokenizer_encode(const struct ash_tokenizer *tokenizer, const char *text,
    size_t length, unsigned flags, struct ash_tokens *out);

/*
 * The ids of a rendered conversation (template.h): control tokens are recognised where all their bytes
 * are trusted, and nowhere else; words are cut as in one text. No bos or eos is added: the template
 * writes what the model wants. Errors as above.
 */
struct ash_prompt;
enum ash_status ash_tokenizer_encode_prompt(
    const struct ash_tokenizer *tokenizer, const struct ash_prompt *prompt, struct ash_tokens *out);

/*
 * The bytes that `id` stands for, which may be a part of a character (utf8.h); a control token's are
 * its name. Not ended by 0; lives as long as the tokenizer. An id out of range has length 0.
 */
const char *ash_tokenizer_piece(const struct ash_tokenizer *tokenizer, int64_t id, size_t *length);

/* Also ASH_TOKEN_UNUSED for an id out of range. */
enum ash_token_type ash_tokenizer_type(const struct ash_tokenizer *tokenizer, int64_t id);

/*
 * The bytes of `count` ids one after the other, without those of control tokens unless `special`.
 * Writes at most `capacity` bytes to `out` (no 0 at the end) and returns how many there are in all.
 */
size_t ash_tokenizer_decode(const struct ash_tokenizer *tokenizer, const int32_t *ids, size_t count,
    bool special, char *out, size_t capacity);

/* The control or user-defined token with exactly this text ("<|im_start|>"); -1 if there is none. */
int32_t ash_tokenizer_find(const struct ash_tokenizer *tokenizer, const char *text, size_t length);

/* Whether a model that gives this token has ended its answer: eos, eot, eom and their namesakes. */
bool ash_tokenizer_ends(const struct ash_tokenizer *tokenizer, int64_t id);

/* What the file says; ids are -1 where there is none. */
struct ash_tokenizer_info {
    const char *pre; /* the pre-tokenizer in use: "smollm" */
    int32_t token_count;
    int32_t merge_count;
    int32_t bos, eos, eot, eom, unk, pad;
    bool add_bos, add_eos;
    int missing_bytes; /* how many of the 256 bytes have no token */
};

struct ash_tokenizer_info ash_tokenizer_describe(const struct ash_tokenizer *tokenizer);

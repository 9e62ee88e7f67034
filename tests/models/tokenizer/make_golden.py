#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes the golden files of the tokenizer with the Python packages `tokenizers` 0.23 and `gguf`.

    python3 make_golden.py MODEL.gguf      (SmolLM2's vocabulary; the other four are trained here)

texts.txt         one text a line; \\n \\r \\t \\\\ and \\xHH stand for what a line cannot hold
vocab-NAME.txt    a small vocabulary for each pre-tokenizer: "tokens N", a line "TYPE TEXT" each,
                  "merges N", and the merges; all as a GGUF file has them
ids-NAME.txt      the ids of each text, three base-64 digits an id; a tab and the ids with special
                  tokens where those are others

A text that is not UTF-8 has no reference: a Python string cannot hold it. Its definition here is the
reference's parts put together: the pre-tokenizer cuts the text with U+FFFD in place of each bad
byte, and the merging model is given the bytes themselves.
"""
import re
import sys
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, models, pre_tokenizers, trainers

from golden_lines import all_lines

HERE = Path(__file__).parent
CONTROL, USER = 3, 4
MARKERS = [("<|endoftext|>", CONTROL), ("<|im_start|>", CONTROL), ("<|im_end|>", CONTROL),
           ("<tool>", USER), ("<tool>>", USER)]
BY_LINE = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}%s| ?[^\s\p{L}\p{N}]+[\r\n]*"
           r"|\s*[\r\n]+|\s+(?!\S)|\s+")


def bytes_to_unicode():
    same = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    other = [b for b in range(256) if b not in same]
    return {**{b: chr(b) for b in same}, **{b: chr(256 + i) for i, b in enumerate(other)}}


ALPHABET = bytes_to_unicode()


def pre_tokenizer(name):
    """The splits alone, and as a tokenizer.json has them: followed by the alphabet of bytes."""
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    if name in ("llama-bpe", "qwen2"):
        pattern = BY_LINE % ("{1,3}" if name == "llama-bpe" else "")
        parts = [pre_tokenizers.Split(Regex(pattern), "isolated")]
        return parts, pre_tokenizers.Sequence(parts + [byte_level])
    gpt2 = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    pattern = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
    digits = [pre_tokenizers.Digits(individual_digits=True)] if name == "smollm" else []
    return digits + [pre_tokenizers.Split(Regex(pattern), "isolated")], pre_tokenizers.Sequence(digits + [gpt2])


class Reference:
    def __init__(self, name, tokens, merges):
        self.markers = {special: [t for t, kind in tokens if kind == USER or (special and kind == CONTROL)]
                        for special in (False, True)}
        self.split, whole = pre_tokenizer(name)
        vocab = {t: i for i, (t, _) in enumerate(tokens)}
        pairs = [tuple(m.split(" ")) for m in merges]
        self.tokenizer = {}
        for special in (False, True):
            t = Tokenizer(models.BPE(vocab=vocab, merges=pairs, ignore_merges=name == "llama-bpe"))
            t.pre_tokenizer = whole
            t.add_tokens([AddedToken(m, normalized=False, special=False) for m in self.markers[special]])
            self.tokenizer[special] = t
        self.id = vocab

    def encode(self, text, special):
        try:
            ids = self.tokenizer[special].encode(text.decode(), add_special_tokens=False).ids
        except UnicodeDecodeError:
            return self.encode_parts(text, special)
        assert ids == self.encode_parts(text, special), (text, ids)
        return ids

    def encode_parts(self, text, special):
        ids, at = [], 0
        markers = sorted(self.markers[special], key=len, reverse=True)
        found = re.compile(b"|".join(re.escape(m.encode()) for m in markers) or b"(?!)").finditer(text)
        for match in found:
            ids += self.encode_plain(text[at:match.start()]) + [self.id[match.group().decode()]]
            at = match.end()
        return ids + self.encode_plain(text[at:])

    def encode_plain(self, text):
        characters, at = [], 0  # (as shown to the splits, as it is)
        while at < len(text):
            for size in (1, 2, 3, 4):
                try:
                    characters.append((text[at:at + size].decode(), text[at:at + size]))
                    break
                except UnicodeDecodeError:
                    pass
            else:
                size = 1
                characters.append(("\ufffd", text[at:at + 1]))
            at += size
        words = [(0, len(characters))]
        for split in self.split:
            words = [(start + a, start + b) for start, end in words for _, (a, b) in
                     split.pre_tokenize_str("".join(shown for shown, _ in characters[start:end]))]
        model = self.tokenizer[False].model
        ids = []
        for start, end in words:
            word = b"".join(own for _, own in characters[start:end])
            ids += [t.id for t in model.tokenize("".join(ALPHABET[b] for b in word))]
        return ids


def train(name, texts):
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre_tokenizer(name)[1]
    trainer = trainers.BpeTrainer(vocab_size=256 + 1500, min_frequency=2, show_progress=False,
                                  initial_alphabet=list(ALPHABET.values()))
    t.train_from_iterator([x.decode(errors="ignore") for x in texts], trainer)
    import json
    merges = [" ".join(m) for m in json.loads(t.to_str())["model"]["merges"]]
    words = [ALPHABET[b] for b in range(256)] + [m.replace(" ", "") for m in merges]
    return MARKERS + [(w, 1) for w in dict.fromkeys(words)], merges


def from_gguf(path):
    from gguf import GGUFReader
    fields = GGUFReader(path).fields
    tokens, kinds, merges = (fields["tokenizer.ggml." + k].contents() for k in ("tokens", "token_type", "merges"))
    return list(zip(tokens, kinds)), merges


def escape(text):
    def one(c):
        if 0xDC80 <= ord(c) <= 0xDCFF:
            return f"\\x{ord(c) - 0xDC00:02x}"
        named = {"\n": "\\n", "\r": "\\r", "\t": "\\t", "\\": "\\\\"}
        return named.get(c) or (c if c >= " " and c != "\x7f" else f"\\x{ord(c):02x}")
    return "".join(map(one, text.decode(errors="surrogateescape")))


def digits(ids):
    base64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    return "".join(base64[i >> 12] + base64[i >> 6 & 63] + base64[i & 63] for i in ids)


def write(name, lines):
    (HERE / name).write_text("".join(line + "\n" for line in lines), encoding="utf-8", newline="\n")


def main():
    texts = all_lines()
    write("texts.txt", map(escape, texts))
    vocabularies = {"smollm2": ("smollm", *from_gguf(sys.argv[1]))}
    for name in ("smollm", "llama-bpe", "gpt-2", "qwen2"):
        tokens, merges = train(name, texts)
        vocabularies[name] = (name, tokens, merges)
        write(f"vocab-{name}.txt", [f"tokens {len(tokens)}", *(f"{k} {t}" for t, k in tokens),
                                    f"merges {len(merges)}", *merges])
    for name, (pre, tokens, merges) in vocabularies.items():
        reference, lines = Reference(pre, tokens, merges), []
        for text in texts:
            plain, special = (digits(reference.encode(text, s)) for s in (False, True))
            lines.append(plain if plain == special else plain + "\t" + special)
        write(f"ids-{name}.txt", lines)
    print(len(texts), "texts")


if __name__ == "__main__":
    main()

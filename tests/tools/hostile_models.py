#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes hostile variants of a small model: hostile_models.py MODEL.gguf FOLDER

Writes FOLDER/NAME.gguf for every row of VARIANTS below and prints a line for each: its name, the exit
code that `ashlar run` must end with (-1: any documented one), and words that the message must contain,
with tabs between. The model is parsed into its metadata and tensors, one thing in it is made wrong, and
it is written again, so that everything but that one thing is well-formed. Python's standard library only.
"""
import os, struct, sys

FORMAT = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
U32, F32, STRING, ARRAY = 4, 6, 8, 9
NAN, INFINITY = float("nan"), float("inf")
BLOCKS = {0: (1, 4), 1: (1, 2), 2: (32, 18), 3: (32, 20), 8: (32, 34), 12: (256, 144)}
TYPE_F32, TYPE_Q8_0, TYPE_Q4_1, TYPE_Q4_K = 0, 8, 3, 12


class Model:
    """values: key -> (type, value); an array's value is (type, [...]). tensors: name -> [dims, type,
    bytes], dims innermost first as in the file."""

    def __init__(self, data):
        self.data, self.at = data, 0
        magic, version, tensor_count, value_count = self.take("<4sIQQ")
        assert magic == b"GGUF" and version == 3
        self.values, self.tensors, places = {}, {}, {}
        for _ in range(value_count):
            key = self.text().decode()
            kind, = self.take("<I")
            self.values[key] = (kind, self.value(kind))
        for _ in range(tensor_count):
            name = self.text().decode()
            rank, = self.take("<I")
            dims = list(self.take(f"<{rank}Q"))
            kind, offset = self.take("<IQ")
            self.tensors[name] = [dims, kind, b""]
            places[name] = offset
        begin = (self.at + 31) // 32 * 32
        for name, tensor in self.tensors.items():
            at = begin + places[name]
            tensor[2] = data[at:at + size_of(tensor)]

    def take(self, form):
        found = struct.unpack_from(form, self.data, self.at)
        self.at += struct.calcsize(form)
        return found

    def text(self):
        length, = self.take("<Q")
        self.at += length
        return self.data[self.at - length:self.at]

    def value(self, kind):
        if kind == STRING:
            return self.text()
        if kind == ARRAY:
            inner, count = self.take("<IQ")
            return inner, [self.value(inner) for _ in range(count)]
        return self.take("<" + FORMAT[kind])[0]

    def bytes(self):
        out = struct.pack("<4sIQQ", b"GGUF", 3, len(self.tensors), len(self.values))
        for key, (kind, value) in self.values.items():
            out += put_text(key.encode()) + struct.pack("<I", kind) + put_value(kind, value)
        body = b""
        for name, (dims, kind, data) in self.tensors.items():
            out += put_text(name.encode()) + struct.pack(f"<I{len(dims)}Q", len(dims), *dims)
            out += struct.pack("<IQ", kind, len(body))
            body += data + bytes(-len(data) % 32)
        return out + bytes(-len(out) % 32) + body

    # What the variants below say.
    def number(self, key, value):
        self.values["llama." + key] = (U32, value)

    def real(self, key, value):
        self.values["llama." + key] = (F32, value)

    def string(self, key, value):
        self.values[key] = (STRING, value.encode() if isinstance(value, str) else value)

    def fill(self, name, value):
        tensor = self.tensors[name]
        tensor[2] = struct.pack("<f", value) * (len(tensor[2]) // 4)

    def fill_all(self, value):
        for name in self.tensors:
            self.fill(name, value)

    def shape(self, name, dims):
        tensor = self.tensors[name]
        tensor[0] = dims
        tensor[2] = (tensor[2] * 8)[:size_of(tensor)]

    def quantise(self, name, kind, scale):
        """Blocks of one scale (IEEE half) and quants that count."""
        tensor = self.tensors[name]
        tensor[1] = kind
        size = BLOCKS[kind][1]
        block = struct.pack("<e", scale) + bytes(i % 251 for i in range(size - 2))
        tensor[2] = block * (size_of(tensor) // size)

    def tokens(self):
        return self.values["tokenizer.ggml.tokens"][1][1]

    def drop(self, key):
        (self.values if key in self.values else self.tensors).pop(key)


def size_of(tensor):
    elements = 1
    for dim in tensor[0]:
        elements *= dim
    per_block, size = BLOCKS[tensor[1]]
    return elements // per_block * size


def put_text(text):
    return struct.pack("<Q", len(text)) + text


def put_value(kind, value):
    if kind == STRING:
        return put_text(value)
    if kind == ARRAY:
        inner, items = value
        return struct.pack("<IQ", inner, len(items)) + b"".join(put_value(inner, i) for i in items)
    return struct.pack("<" + FORMAT[kind], value)


def resize_vocabulary(model, count):
    model.shape("token_embd.weight", [32, count])


def add_tokens(model, count):
    model.tokens().extend(f"extra{i}".encode() for i in range(count))
    model.values["tokenizer.ggml.token_type"][1][1].extend([1] * count)


def template(source):
    return lambda m: m.string("tokenizer.chat_template", source)


# Name, exit code of `ashlar run`, words of its message, what to make wrong. 0: it must answer.
VARIANTS = [
    ("whole", 0, "", lambda m: None),
    # Tensors.
    ("no-embedding", 4, "token_embd.weight", lambda m: m.drop("token_embd.weight")),
    ("no-norm", 4, "blk.1.attn_norm.weight", lambda m: m.drop("blk.1.attn_norm.weight")),
    ("no-output-norm", 4, "output_norm.weight", lambda m: m.drop("output_norm.weight")),
    ("no-tensors", 4, "token_embd.weight", lambda m: m.tensors.clear()),
    ("query-too-narrow", 4, "blk.0.attn_q.weight", lambda m: m.shape("blk.0.attn_q.weight", [16, 32])),
    ("down-turned", 4, "blk.1.ffn_down.weight", lambda m: m.shape("blk.1.ffn_down.weight", [32, 64])),
    ("norm-too-long", 4, "blk.0.ffn_norm.weight", lambda m: m.shape("blk.0.ffn_norm.weight", [33])),
    ("norm-a-matrix", 4, "blk.0.ffn_norm.weight", lambda m: m.shape("blk.0.ffn_norm.weight", [32, 1])),
    ("embedding-a-vector", 4, "token_embd.weight", lambda m: m.shape("token_embd.weight", [32])),
    ("embedding-of-rank-4", 4, "token_embd.weight", lambda m: m.shape("token_embd.weight", [32, 96, 1, 2])),
    ("norm-quantised", 5, "norm", lambda m: m.quantise("blk.0.attn_norm.weight", TYPE_Q8_0, 1)),
    ("type-unsupported", 5, "Q4_K", lambda m: (m.shape("blk.0.attn_q.weight", [256, 32]),
                                               m.quantise("blk.0.attn_q.weight", TYPE_Q4_K, 1))),
    # Hyper-parameters.
    ("layers-of-1000", 4, "blk.2.", lambda m: m.number("block_count", 1000)),
    ("layers-of-2^32", 4, "block_count", lambda m: m.number("block_count", 2**32 - 1)),
    ("layers-none", 4, "block_count", lambda m: m.number("block_count", 0)),
    ("layers-text", 4, "block_count", lambda m: m.string("llama.block_count", "two")),
    ("heads-none", 4, "head_count", lambda m: m.number("attention.head_count", 0)),
    ("heads-of-3", 4, "attn_q", lambda m: (m.number("attention.head_count", 3), m.number("attention.head_count_kv", 1))),
    ("heads-do-not-divide", 4, "evenly", lambda m: m.number("attention.head_count_kv", 3)),
    ("heads-of-4096", 4, "heads of 0", lambda m: (m.number("attention.head_count", 4096), m.drop("llama.attention.key_length"),
                                                  m.drop("llama.attention.value_length"))),
    ("head-of-1", 4, "heads of 1", lambda m: (m.number("attention.key_length", 1), m.number("attention.value_length", 1))),
    ("head-of-2^31", 4, "key_length", lambda m: m.number("attention.key_length", 2**31)),
    ("values-narrower", 5, "value_length", lambda m: m.number("attention.value_length", 4)),
    ("channels-of-2^20", 4, "", lambda m: m.number("embedding_length", 2**20)),
    ("channels-of-2^32", 4, "embedding_length", lambda m: m.number("embedding_length", 2**32 - 1)),
    ("feed-forward-none", 4, "feed_forward_length", lambda m: m.number("feed_forward_length", 0)),
    ("context-none", 4, "context_length", lambda m: m.number("context_length", 0)),
    ("context-of-1", 10, "context holds 1", lambda m: m.number("context_length", 1)),
    ("context-of-2^28", 0, "", lambda m: m.number("context_length", 2**28)),
    ("epsilon-nan", 4, "epsilon", lambda m: m.real("attention.layer_norm_rms_epsilon", NAN)),
    ("epsilon-negative", 4, "epsilon", lambda m: m.real("attention.layer_norm_rms_epsilon", -1.0)),
    ("epsilon-missing", 4, "epsilon", lambda m: m.drop("llama.attention.layer_norm_rms_epsilon")),
    ("rope-odd", 4, "odd", lambda m: m.number("rope.dimension_count", 3)),
    ("rope-none", 4, "dimension_count", lambda m: m.number("rope.dimension_count", 0)),
    ("rope-huge", 4, "dimension_count", lambda m: m.number("rope.dimension_count", 2**31)),
    ("rope-base-nan", 4, "freq_base", lambda m: m.real("rope.freq_base", NAN)),
    ("rope-base-infinite", 4, "freq_base", lambda m: m.real("rope.freq_base", INFINITY)),
    ("rope-base-none", 4, "freq_base", lambda m: m.real("rope.freq_base", 0.0)),
    ("rope-longrope", 5, "longrope", lambda m: m.string("llama.rope.scaling.type", "longrope")),
    ("rope-yarn-without-factor", 4, "factor", lambda m: m.string("llama.rope.scaling.type", "yarn")),
    ("rope-factor-none", 4, "factor", lambda m: (m.string("llama.rope.scaling.type", "linear"), m.real("rope.scaling.factor", 0.0))),
    ("architecture-unknown", 5, "mamba", lambda m: m.string("general.architecture", "mamba")),
    ("architecture-missing", 4, "general.architecture", lambda m: m.drop("general.architecture")),
    ("architecture-escape", 4, "", lambda m: m.string("general.architecture", b"\x1b[2J\xff")),
    ("experts", 5, "expert", lambda m: m.number("expert_count", 8)),
    # The vocabulary.
    ("embedding-larger", 0, "", lambda m: resize_vocabulary(m, 200)),
    ("embedding-smaller", 4, "token_embd.weight", lambda m: resize_vocabulary(m, 40)),
    ("vocabulary-larger", 4, "146 tokens", lambda m: add_tokens(m, 50)),
    ("vocabulary-none", 4, "token", lambda m: (m.tokens().clear(), m.values["tokenizer.ggml.token_type"][1][1].clear())),
    ("vocabulary-missing", 4, "tokenizer.ggml.tokens", lambda m: m.drop("tokenizer.ggml.tokens")),
    ("tokenizer-unknown", 5, "wordpiece", lambda m: m.string("tokenizer.ggml.model", "wordpiece")),
    ("splits-unknown", 5, "tekken", lambda m: m.string("tokenizer.ggml.pre", "tekken")),
    ("types-too-few", 4, "token_type", lambda m: m.values["tokenizer.ggml.token_type"][1][1].pop()),
    ("eos-outside", 4, "eos", lambda m: m.values.update({"tokenizer.ggml.eos_token_id": (U32, 96)})),
    ("bos-2^32", 4, "bos", lambda m: m.values.update({"tokenizer.ggml.bos_token_id": (U32, 2**32 - 1)})),
    ("bos-text", 4, "bos", lambda m: m.string("tokenizer.ggml.bos_token_id", "1")),
    ("merge-broken", 4, "merge", lambda m: m.values["tokenizer.ggml.merges"][1][1].append(b"no-blank")),
    ("token-twice", 4, "", lambda m: m.tokens().__setitem__(5, m.tokens()[6])),
    ("tokens-empty", 4, "", lambda m: m.tokens().__setitem__(slice(None), [b""] * 96)),
    # Weights.
    ("weights-nan", 4, "finite", lambda m: m.fill_all(NAN)),
    ("weights-infinite", 4, "finite", lambda m: m.fill_all(INFINITY)),
    ("weights-huge", -1, "", lambda m: m.fill_all(3e38)),
    ("weights-none", 0, "", lambda m: m.fill_all(0.0)),
    ("weights-denormal", 0, "", lambda m: m.fill_all(1e-44)),
    ("norm-nan", 4, "finite", lambda m: m.fill("output_norm.weight", NAN)),
    ("norm-negative", 0, "", lambda m: m.fill("output_norm.weight", -1.0)),
    ("embedding-infinite", 4, "finite", lambda m: m.fill("token_embd.weight", INFINITY)),
    ("scales-nan", 4, "finite", lambda m: m.quantise("blk.0.ffn_gate.weight", TYPE_Q8_0, NAN)),
    ("scales-infinite", 4, "finite", lambda m: m.quantise("blk.1.ffn_up.weight", TYPE_Q4_1, INFINITY)),
    ("scales-largest", 0, "", lambda m: m.quantise("blk.1.ffn_up.weight", TYPE_Q8_0, 65504.0)),
    # Chat templates.
    ("template-broken", 4, "template", template("{% for m in messages %}{{ m.content }}")),
    ("template-not-utf8", 4, "template", template(b"{{ messages }} \xff\xfe")),
    ("template-raises", 2, "no systems here", template("{{ raise_exception('no systems here') }}")),
    ("template-endless", 10, "template", template("{% for a in range(99999) %}{% for b in range(99999) %}"
                                                 "{{ a }}{% endfor %}{% endfor %}")),
    ("template-swells", 10, "template", template("{% set ns = namespace(x='xxxxxxxx') %}{% for a in range(99) %}"
                                                "{% set ns.x = ns.x ~ ns.x %}{% endfor %}{{ ns.x }}")),
    ("template-deep", 10, "brackets", template("{{ " + "(" * 100000 + "1" + ")" * 100000 + " }}")),
    ("template-says-nothing", 2, "empty", template("")),
    ("template-unknown", 5, "no_such_filter", template("{{ messages | no_such_filter }}")),
]


def damage(data):
    """Files cut off, and files with bits flipped, which any documented exit code may answer (-1)."""
    cuts = [0, 3, 4, 23, 24, 100, 1000, 3000, len(data) // 2, len(data) - 64, len(data) - 1]
    for cut in cuts:
        yield f"cut-at-{cut}", 4, "", data[:cut]
    state = 1
    for number in range(24):
        spoiled = bytearray(data)
        for _ in range(1 + number % 4):
            state = state * 6364136223846793005 + 1442695040888963407 & 2**64 - 1
            reach = 5000 if number % 2 else len(data)  # the first 5,000 bytes hold all but the weights
            spoiled[(state >> 33) % reach] ^= 1 << (state >> 20) % 8
        yield f"flipped-{number}", -1, "", bytes(spoiled)


def main():
    with open(sys.argv[1], "rb") as file:
        data = file.read()
    made = list(damage(data))
    for name, code, words, spoil in VARIANTS:
        model = Model(data)
        spoil(model)
        made.append((name, code, words, model.bytes()))
    for name, code, words, content in made:
        with open(os.path.join(sys.argv[2], name + ".gguf"), "wb") as file:
            file.write(content)
        print(name, code, words, sep="\t")


if __name__ == "__main__":
    main()

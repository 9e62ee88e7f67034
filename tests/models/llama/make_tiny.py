#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes the tiny random-weight checkpoints of this folder and the logits a llama must give for them.

    pip install gguf numpy
    ./make_tiny.py                     # writes NAME.gguf and NAME.logits
    LIBLLAMA=.../libllama.so ./make_tiny.py   # also holds the logits against llama.cpp's

The forward pass below is the definition, in float64, from the papers (arXiv 2302.13971, 2104.09864,
2305.13245), written independently of the C code; llama.cpp, where its library is at hand, is the second
witness (with an F32 cache). NAME.logits: int32 T, int32 V, int32 token[T], float32 logits[T][V].
"""
import ctypes, os, sys
import numpy as np
import gguf

HERE = os.path.dirname(os.path.abspath(__file__))
VOCABULARY = 96  # printable ASCII but ~, one merge and one control token: a poor but real tokenizer

MODELS = {
    # grouped heads, tied output
    "tied": dict(C=32, H=4, KV=2, D=8, F=64, L=2, base=10000.0, tied=True),
    # heads wider than C/H, frequency factors, biases, an output of its own
    "wide": dict(C=32, H=2, KV=1, D=32, F=96, L=3, base=500000.0, tied=False, factors=True, bias=True),
    # tokens that see the last 20 positions
    "window": dict(C=32, H=4, KV=2, D=8, F=64, L=2, base=10000.0, tied=True, window=20),
    # YaRN: a context of 128 stretched to 512
    "yarn": dict(C=32, H=2, KV=1, D=32, F=64, L=2, base=10000.0, tied=True, yarn=(4.0, 128)),
    # heads for three devices, and biases that are cut with their rows
    "parts": dict(C=32, H=6, KV=3, D=32, F=96, L=3, base=10000.0, tied=False, factors=True, bias=True),
}


def weights(m, rng):
    C, H, KV, D, F, V = m["C"], m["H"], m["KV"], m["D"], m["F"], VOCABULARY
    w = {}

    def matrix(name, rows, columns, bias=False):
        w[name + ".weight"] = (rng.standard_normal((rows, columns)) / np.sqrt(columns)).astype(np.float32)
        if bias and m.get("bias"):
            w[name + ".bias"] = (0.3 * rng.standard_normal(rows)).astype(np.float32)

    def vector(name):
        w[name + ".weight"] = (1 + 0.2 * rng.standard_normal(C)).astype(np.float32)

    matrix("token_embd", V, C)
    for i in range(m["L"]):
        b = f"blk.{i}."
        vector(b + "attn_norm")
        matrix(b + "attn_q", H * D, C, True)
        matrix(b + "attn_k", KV * D, C, True)
        matrix(b + "attn_v", KV * D, C, True)
        matrix(b + "attn_output", C, H * D)
        vector(b + "ffn_norm")
        matrix(b + "ffn_gate", F, C)
        matrix(b + "ffn_up", F, C)
        matrix(b + "ffn_down", C, F)
    vector("output_norm")
    if not m["tied"]:
        matrix("output", V, C)
    if m.get("factors"):
        w["rope_freqs.weight"] = np.linspace(1, 4, m["D"] // 2).astype(np.float32)
    return w


def forward(m, w, tokens):
    w = {k: v.astype(np.float64) for k, v in w.items()}
    H, KV, D = m["H"], m["KV"], m["D"]
    T = len(tokens)

    def norm(x, name):
        return x / np.sqrt((x * x).mean(-1, keepdims=True) + 1e-5) * w[name + ".weight"]

    def linear(x, name):
        return x @ w[name + ".weight"].T + w.get(name + ".bias", 0)

    def yarn(frequency, s, context):  # arXiv 2309.00071, with the ramp of the authors' code
        def pair(turns):  # that turns so often in the original context
            return D * np.log(context / (turns * 2 * np.pi)) / (2 * np.log(m["base"]))
        low, high = max(np.floor(pair(32)), 0), min(np.ceil(pair(1)), D - 1)
        ramp = np.clip((np.arange(D // 2) - low) / (high - low), 0, 1)
        return frequency / s * ramp + frequency * (1 - ramp), 0.1 * np.log(s) + 1

    def rope(x):  # (T, heads, D), neighbouring pairs
        frequency = m["base"] ** (-np.arange(0, D, 2) / D)
        frequency = frequency / w.get("rope_freqs.weight", 1)
        if "yarn" in m:
            frequency, magnitude = yarn(frequency, *m["yarn"])
            x = x * magnitude
        angle = np.arange(T)[:, None] * frequency[None, :]
        cos, sin = np.cos(angle)[:, None, :], np.sin(angle)[:, None, :]
        out = x.copy()
        even, odd = x[..., 0::2], x[..., 1::2]
        out[..., 0::2] = even * cos - odd * sin
        out[..., 1::2] = even * sin + odd * cos
        return out

    x = w["token_embd.weight"][tokens]
    mask = np.triu(np.full((T, T), -np.inf), 1)
    if "window" in m:
        mask += np.tril(np.full((T, T), -np.inf), -m["window"])
    for i in range(m["L"]):
        b = f"blk.{i}."
        n = norm(x, b + "attn_norm")
        q = rope(linear(n, b + "attn_q").reshape(T, H, D))
        k = rope(linear(n, b + "attn_k").reshape(T, KV, D))
        v = linear(n, b + "attn_v").reshape(T, KV, D)
        k, v = np.repeat(k, H // KV, 1), np.repeat(v, H // KV, 1)
        s = np.einsum("thd,shd->hts", q, k) / np.sqrt(D) + mask
        p = np.exp(s - s.max(-1, keepdims=True))
        p /= p.sum(-1, keepdims=True)
        x = x + linear(np.einsum("hts,shd->thd", p, v).reshape(T, H * D), b + "attn_output")
        n = norm(x, b + "ffn_norm")
        g = linear(n, b + "ffn_gate")
        x = x + linear(g / (1 + np.exp(-g)) * linear(n, b + "ffn_up"), b + "ffn_down")
    x = norm(x, "output_norm")
    return x @ w["token_embd.weight" if m["tied"] else "output.weight"].T


def write(name, m, w):
    g = gguf.GGUFWriter(os.path.join(HERE, name + ".gguf"), "llama")
    g.add_context_length(512)
    g.add_embedding_length(m["C"])
    g.add_block_count(m["L"])
    g.add_feed_forward_length(m["F"])
    g.add_head_count(m["H"])
    g.add_head_count_kv(m["KV"])
    g.add_key_length(m["D"])
    g.add_value_length(m["D"])
    g.add_rope_dimension_count(m["D"])
    g.add_rope_freq_base(m["base"])
    g.add_layer_norm_rms_eps(1e-5)
    if "window" in m:
        g.add_sliding_window(m["window"])
    if "yarn" in m:
        g.add_rope_scaling_type(gguf.RopeScalingType.YARN)
        g.add_rope_scaling_factor(m["yarn"][0])
        g.add_rope_scaling_orig_ctx_len(m["yarn"][1])
    g.add_vocab_size(VOCABULARY)
    tokens = ["Ġ"] + [chr(c) for c in range(0x21, 0x7E)] + ["!!", "<end>"]
    g.add_tokenizer_model("gpt2")
    g.add_tokenizer_pre("gpt-2")
    g.add_token_list(tokens)
    g.add_token_types([1] * 95 + [3])
    g.add_token_merges(["! !"])
    g.add_eos_token_id(95)
    g.add_bos_token_id(95)
    for key, value in w.items():
        g.add_tensor(key, value)
    g.write_header_to_file()
    g.write_kv_data_to_file()
    g.write_tensors_to_file()
    g.close()


def peer(path, tokens):
    sys.path.insert(0, os.environ["LLAMA_CPP_PYTHON"])
    os.environ["LLAMA_CPP_LIB_PATH"] = os.path.dirname(os.environ["LIBLLAMA"])
    import llama_cpp as L
    L.llama_backend_init()
    model = L.llama_model_load_from_file(path.encode(), L.llama_model_default_params())
    p = L.llama_context_default_params()
    p.n_ctx, p.n_batch, p.type_k, p.type_v, p.flash_attn_type = 512, 512, 0, 0, 0
    context = L.llama_init_from_model(model, p)
    batch = L.llama_batch_init(len(tokens), 0, 1)
    batch.n_tokens = len(tokens)
    for i, t in enumerate(tokens):
        batch.token[i], batch.pos[i], batch.n_seq_id[i], batch.logits[i] = int(t), i, 1, 1
        batch.seq_id[i][0] = 0
    assert L.llama_decode(context, batch) == 0
    rows = [np.ctypeslib.as_array(L.llama_get_logits_ith(context, i), (VOCABULARY,)).copy()
            for i in range(len(tokens))]
    return np.array(rows)


def main():
    for seed, (name, m) in enumerate(MODELS.items()):
        rng = np.random.default_rng(seed + 1)
        w = weights(m, rng)
        tokens = rng.integers(0, 95, 70).astype(np.int32)
        logits = forward(m, w, tokens).astype(np.float32)
        write(name, m, w)
        with open(os.path.join(HERE, name + ".logits"), "wb") as f:
            np.array([len(tokens), VOCABULARY], np.int32).tofile(f)
            tokens.tofile(f)
            logits.tofile(f)
        print(name, "logits", logits.shape, "largest", np.abs(logits).max())
        if "LIBLLAMA" in os.environ:
            other = peer(os.path.join(HERE, name + ".gguf"), tokens)
            print("  largest difference to llama.cpp:", np.abs(other - logits).max())


main()

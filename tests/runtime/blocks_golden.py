# SPDX-License-Identifier: Apache-2.0
"""Writes blocks_golden.bin: what the package `gguf` (tried: 0.19) makes of 8 blocks of floats.

    python3 blocks_golden.py > blocks_golden.bin

Layout, little-endian: float x[256]; then for F16, BF16, Q8_0, Q4_0, Q4_1 in turn:
quantize(x); float dequantize(quantize(x))[256]; the same number of random bytes with finite scales;
float dequantize(those)[256].
"""
import sys
import numpy as np
from gguf import GGMLQuantizationType as T, quants

random = np.random.default_rng(20261123)
x = random.standard_normal((8, 32)).astype(np.float32)
x[1] *= np.float32(1e-6)      # scales that are subnormal in F16
x[2] *= np.float32(300)
x[3] = 0
x[4] = np.float32(0.25)       # one value: Q4_1 has d = 0
x[5] = np.arange(-16, 16)     # ties
x[6] = np.abs(x[6])
x[7, ::2] = np.float32(-0.0)


def scales(count):
    """Finite halves: subnormals, negative ones and zeros among them."""
    half = random.integers(0, 0x7C00, count, dtype=np.uint16)
    half[0], half[1] = 0, 1
    return half | (random.integers(0, 2, count, dtype=np.uint16) << 15)


def noise(type, shape):
    raw = random.integers(0, 256, shape, dtype=np.uint8)
    if type in (T.F16, T.BF16):
        return scales(256).view(np.uint8).reshape(shape)
    raw[:, 0:2] = scales(8).view(np.uint8).reshape(8, 2)
    if type == T.Q4_1:
        raw[:, 2:4] = scales(8).view(np.uint8).reshape(8, 2)
    return raw


out = sys.stdout.buffer
out.write(x.tobytes())
for type in (T.F16, T.BF16, T.Q8_0, T.Q4_0, T.Q4_1):
    packed = quants.quantize(x, type).view(np.uint8)
    for raw in (packed, noise(type, packed.shape)):
        out.write(raw.tobytes())
        out.write(np.ascontiguousarray(quants.dequantize(raw, type), dtype=np.float32).tobytes())

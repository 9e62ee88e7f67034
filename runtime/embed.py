# SPDX-License-Identifier: Apache-2.0
"""Turns a data file into C, for the build: embed.py INPUT OUTPUT NAME

gives `const unsigned char NAME[]` (with a 0 behind it) and `const size_t NAME_bytes` (without).
"""
import sys

source, target, name = sys.argv[1:]
data = open(source, "rb").read()
rows = [", ".join(map(str, data[i:i + 24])) + "," for i in range(0, len(data), 24)]
with open(target, "w") as out:
    out.write("#include <stddef.h>\n\n"
              f"extern const unsigned char {name}[];\nextern const size_t {name}_bytes;\n\n"
              f"const unsigned char {name}[] = {{\n" + "\n".join(rows) + "\n0 };\n"
              f"const size_t {name}_bytes = {len(data)};\n")

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""bench-tokenizer, the Python package `tokenizers` and llama.cpp in turn, on one thread each.

    python3 tokenizer_peers.py MODEL.gguf FILE BENCH-TOKENIZER [TOKENIZER-LLAMA]

Each round runs all of them once, so that a busy machine slows all alike; speeds are in processor
time. Prints the median of the rounds' speeds and ratios. `tokenizers` gets the file line by line, as
its cache of words likes it.
"""
import os
import re
import statistics
import subprocess
import sys
import time
from pathlib import Path

os.environ["TOKENIZERS_PARALLELISM"] = "false"
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests/models/tokenizer"))
from make_golden import Reference, from_gguf  # noqa: E402

ROUNDS = 5


def run(program, *arguments):
    out = subprocess.run([program, *arguments], capture_output=True, text=True, check=True).stdout
    return out.splitlines()[-1]


def main():
    model, file, ours, *llama = sys.argv[1:]
    text = Path(file).read_bytes().decode(errors="replace")
    lines = text.splitlines(keepends=True)
    reference = Reference("smollm", *from_gguf(model)).tokenizer[False]
    speeds = {"ashlar": [], "tokenizers": [], **({"llama.cpp": []} if llama else {})}
    for _ in range(ROUNDS):
        speeds["ashlar"].append(float(run(ours, model, file, "5").split()[2]))
        start = time.process_time()
        for line in lines:
            reference.encode(line, add_special_tokens=False)
        speeds["tokenizers"].append(len(text.encode()) / 1e6 / (time.process_time() - start))
        if llama:
            speeds["llama.cpp"].append(float(re.match(r"[\d.]+", run(llama[0], model, file))[0]))
    for name, speed in speeds.items():
        ratio = statistics.median(a / b for a, b in zip(speeds["ashlar"], speed))
        print(f"{name:12} {statistics.median(speed):9.2f} MB/s   ashlar is {ratio:.1f} times as fast")


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Decoding with and without drafts, the same prompts in alternating runs.

    python3 speculate.py MODEL.gguf ASHLAR [--rounds N] [--tokens N] [--threads N] [CASE...]
    python3 speculate.py MODEL.gguf ASHLAR --summaries [--part I/N]

With --summaries, the beginnings of the texts in /usr/share/common-licenses and of some manual pages, each
to be summarised in two ways, at temperature 0: a distribution instead of one prompt's figure.

A round runs each prompt once with `--speculate off` and once with `auto`, the order turned each time.
Prints tokens/s of decoding (slowest, median, fastest), the ratios inside a round (the same), and how
many of the drafted tokens were right. Answers must be the same, or it fails.
"""
import argparse
import json
import os
import re
import statistics
import subprocess
from pathlib import Path

HERE = Path(__file__).resolve().parent / "speculate"
PAGE = (HERE / "page.txt").read_text()
WRONG = (HERE / "misspelled.txt").read_text()
CODE = (HERE / "table.c.txt").read_text()

# name: (prompt, options)
CASES = {
    "replace": (
        f'Original:\n\n{PAGE}\nCopy with "haven" instead of "harbour":\n\nThe haven of Brennish',
        ["--raw", "-T", "0"]),
    "continue": (f"{CODE}\n{CODE[:200]}", ["--raw", "-T", "0"]),
    "spelling": (
        f"Correct the spelling of the following text and give the whole corrected text.\n\n{WRONG}",
        ["-T", "0"]),
    "rename": (
        'Rename the variable "column" to "col" in this C code and print the whole code again:\n\n'
        f"```c\n{CODE}```", ["-T", "0"]),
    "summary": (f"Summarize the following text.\n\n{PAGE}", ["-T", "0"]),
    "replace, T 0.8": (
        f'Original:\n\n{PAGE}\nCopy with "haven" instead of "harbour":\n\nThe haven of Brennish',
        ["--raw", "-T", "0.8", "--seed", "1"]),
    "open, T 0.8": (
        "Explain how photosynthesis works and why it matters for life on Earth.",
        ["-T", "0.8", "--seed", "1"]),
    "open, T 1": (
        "Write a long story about a lighthouse keeper who finds a strange letter in a bottle.",
        ["-T", "1", "--seed", "3"]),
    "open, T 1.5": (
        "The sea was calm that morning, and",
        ["--raw", "-T", "1.5", "-k", "0", "-p", "1", "--min-p", "0.02", "--seed", "5",
         "--ignore-end"]),
}

PAGES = "tar grep gzip ssh bash git chmod awk perl sed dd make".split()
ASK = {"before": "Summarize the following text.\n\n{}",
       "after": "{}\n\nSummarize the text above in a few sentences."}


def beginning(text, most=3000):
    """Whole paragraphs."""
    out = ""
    for paragraph in text.split("\n\n"):
        if out and len(out) + len(paragraph) > most:
            break
        out += paragraph + "\n\n"
    return out[:most].strip()


def summaries():
    texts = {path.name: path.read_text(errors="replace")
             for path in sorted(Path("/usr/share/common-licenses").glob("*")) if not path.is_symlink()}
    for name in PAGES:
        page = subprocess.run(["man", name], capture_output=True, text=True, check=False,
                              env={**os.environ, "MANWIDTH": "100"}).stdout
        if page:
            texts[f"man {name}"] = re.sub(".\b", "", page)
    return {f"{name}, {how}": (ask.format(beginning(text)), ["-T", "0"])
            for name, text in texts.items() for how, ask in ASK.items()}


def part_of(text):
    """"I/N" as two numbers."""
    try:
        part, parts = map(int, text.split("/"))
    except ValueError:
        part, parts = 0, 0
    if not 0 <= part < parts:
        raise argparse.ArgumentTypeError(f"{text!r} is not I/N with 0 <= I < N")
    return part, parts


def run(options, speculate, case):
    prompt, sampling = case
    out = subprocess.run(
        [options.ashlar, "run", "-m", options.model, "--json", "-n", str(options.tokens),
         "-t", str(options.threads), "--speculate", speculate, *sampling],
        input=prompt, capture_output=True, text=True, check=True).stdout
    return json.loads(out)


def spread(values, form):
    return " ".join(form.format(v) for v in (min(values), statistics.median(values), max(values)))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", help="a GGUF file")
    parser.add_argument("ashlar", help="the program")
    parser.add_argument("--rounds", type=int, default=5, help="runs of each case, with and without")
    parser.add_argument("--tokens", type=int, default=250, help="the most of an answer")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--summaries", action="store_true",
                        help="summaries of texts of this system, instead of the cases")
    parser.add_argument("--part", type=part_of, default="0/1", metavar="I/N",
                        help="every Nth case, from the Ith (of 0 to N - 1) on")
    parser.add_argument("case", nargs="*", help="all if none is named")
    options = parser.parse_intermixed_args()
    cases = summaries() if options.summaries else CASES
    unknown = [case for case in options.case if case not in cases]
    if unknown:
        raise SystemExit(f"no case is called {unknown[0]!r}; there are {', '.join(map(repr, cases))}")
    part, parts = options.part
    medians = []
    for case in options.case or list(cases)[part::parts]:
        rate = {"off": [], "auto": []}
        answers = {}
        for round_ in range(options.rounds):
            for speculate in ("off", "auto") if round_ % 2 else ("auto", "off"):
                result = run(options, speculate, cases[case])
                answers[speculate] = result
                if result["usage"]["answer_tokens"] < 2:
                    raise SystemExit(f"{case}: an answer of one token has no rate")
                rate[speculate].append((result["usage"]["answer_tokens"] - 1) / result["decode_s"])
            if answers["off"]["answer"] != answers["auto"]["answer"]:
                raise SystemExit(f"{case}: the answers differ")
        ratio = [a / b for a, b in zip(rate["auto"], rate["off"])]
        medians.append(statistics.median(ratio))
        usage = answers["auto"]["usage"]
        print(f"{case:20} off {spread(rate['off'], '{:6.1f}')}   auto {spread(rate['auto'], '{:6.1f}')}"
              f"   ratio {spread(ratio, '{:.2f}')}   {usage['answer_tokens']} tokens,"
              f" {usage['steps']} steps, {usage['accepted_tokens']} of {usage['drafted_tokens']}"
              " drafted right", flush=True)
    print(f"median ratios of {len(medians)} cases: {spread(medians, '{:.2f}')}, at least 1.5:"
          f" {sum(m >= 1.5 for m in medians)}")


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Holds every #include "..." against the order of the house (see the README): a folder includes itself
and the folders above it, from the root, and no other folder's *_internal.h.

Usage: include_order.py ROOT. Prints each offence as file:line: what; exits 1 if there is any.
"""
import os, re, subprocess, sys

ORDER = ["runtime", "kernels", "drivers", "scheduler", "models", "rag", "tools"]
ANYWHERE = {"tests", "bench"}  # may include everything
PUBLIC = {"ashlar.h"}          # the library's own face: any folder that implements it
INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"')


def offence(path, included):
    folder, other = path.split("/")[0], included.split("/")[0]
    if included in PUBLIC or included.endswith(".inc"):
        return None
    if "/" not in included:
        return f'"{included}" is not included from the root'
    if included.startswith("."):
        return f'"{included}" is a relative path'
    if included.endswith("_internal.h") and os.path.dirname(path) != os.path.dirname(included):
        if folder not in ANYWHERE:
            return f'"{included}" is internal to its folder'
    if folder in ANYWHERE or path in PUBLIC:
        return None
    if other not in ORDER:
        return f'"{included}": {other}/ is no folder of the house'
    if folder in ORDER and ORDER.index(other) > ORDER.index(folder):
        return f'"{included}": {folder}/ stands above {other}/ and must not know it'
    return None


def main(root):
    os.chdir(root)
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", "*.c", "*.h"],
                            capture_output=True, text=True, check=True).stdout.split()
    bad = 0
    for path in listed:
        if not os.path.exists(path):
            continue
        with open(path, encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                match = INCLUDE.match(line)
                what = match and offence(path, match.group(1))
                if what:
                    print(f"{path}:{number}: {what}")
                    bad += 1
    print(f"{len(listed)} files, {bad} includes out of order")
    return 1 if bad or not listed else 0


sys.exit(main(sys.argv[1]))

#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Every C file is formatted as .clang-format says, and begins with its licence.
# Usage: format.sh ROOT
set -u
cd "$1" || exit 1
bad=0
files=$(git ls-files -co --exclude-standard '*.c' '*.h' | while read -r file; do [ -f "$file" ] && echo "$file"; done)
[ -n "$files" ] || exit 1
# shellcheck disable=SC2086 # one word a file
clang-format --dry-run -Werror $files || bad=1
for file in $files; do
    case $(head -n 1 "$file") in
    *'SPDX-License-Identifier: Apache-2.0'*) ;;
    *) echo "$file:1: expected a line with SPDX-License-Identifier: Apache-2.0" && bad=1 ;;
    esac
done
exit $bad

#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Every header compiles alone, so that no file has to know what another one needs first.
# Usage: headers_alone.sh ROOT BUILD CC [CFLAGS...]   (BUILD: for generated files)
set -u
root=$1 build=$2
shift 2
cd "$root" || exit 1
bad=0 count=0
for header in $(git ls-files -co --exclude-standard '*.h'); do
    flags=
    case $(uname -m)/$header in
    x86_64/kernels/*) flags="-mavx2 -mfma -mf16c -mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx512vnni" ;;
    esac
    count=$((count + 1))
    # shellcheck disable=SC2086 # flags are several words
    if ! printf '#include "%s"\n' "$header" |
        "$@" $flags -std=gnu2x -D_GNU_SOURCE -Wall -Wextra -Werror -Wno-unused-function -I. -I"$build" \
            -x c -fsyntax-only -; then
        echo "$header does not compile alone"
        bad=$((bad + 1))
    fi
done
echo "$count headers, $bad do not compile alone"
[ "$bad" -eq 0 ] && [ "$count" -gt 0 ]

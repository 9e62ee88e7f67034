#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# `meson install` as a packager and a user of the library meet it: install.sh ROOT BUILD CC [FLAG...]
# Everything is where it belongs, and docs/example.c builds and runs against what was installed.
set -u
root=$1 build=$2
shift 2
cc=("$@")
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
export HOME=$scratch XDG_CONFIG_HOME=$scratch XDG_DATA_HOME=$scratch XDG_CACHE_HOME=$scratch
unset "${!ASHLAR_@}" MAKEFLAGS
failed=0

fail() {
    printf 'FAILED: %s\n' "$*"
    failed=$((failed + 1))
}

DESTDIR=$scratch/root meson install -C "$build" --no-rebuild >"$scratch/log" 2>&1 || {
    cat "$scratch/log"
    exit 1
}
pc=$(find "$scratch/root" -name ashlar.pc)
[ "$pc" ] || { fail "no ashlar.pc" && exit 1; }
libdir=$(dirname "$(dirname "$pc")")
prefix=$scratch/root$(sed -n 's/^prefix=//p' "$pc")
export PKG_CONFIG_PATH=${pc%/*} PKG_CONFIG_SYSROOT_DIR=$scratch/root

for file in bin/ashlar libexec/ashlar/ashlar-pull share/man/man1/ashlar.1 include/ashlar/ashlar.h include/ashlar/runtime/error.h \
    share/bash-completion/completions/ashlar.bash share/zsh/site-functions/_ashlar \
    share/fish/vendor_completions.d/ashlar.fish; do
    [ -s "$prefix/$file" ] || fail "not installed: $file"
done
for file in "$libdir"/libashlar.{a,so}; do [ -s "$file" ] || fail "not installed: $file"; done
"$prefix/bin/ashlar" --version >/dev/null || fail "the installed program does not run"
"$prefix/bin/ashlar" --quiet pull "$root/tests/models/llama/tied.gguf" >/dev/null ||
    fail "the installed program does not find the one that pulls"
if command -v mandoc >/dev/null; then
    complaints=$(mandoc -T lint "$prefix/share/man/man1/ashlar.1") || fail "manual page: $complaints"
fi

# Only what ashlar.h declares leaves the shared library, all of it, under a versioned name.
declared=$(sed -nE 's/^ASH_API .*\b(ash_[a-z_]+)\(.*/\1/p' "$prefix"/include/ashlar/{,runtime/}*.h | sort)
exported=$(nm -D --defined-only "$libdir/libashlar.so" | awk '{ print $3 }' | sort)
[ "$declared" = "$exported" ] || fail "declared and exported differ:" \
    "$(diff <(echo "$declared") <(echo "$exported") | tr '\n' ' ')"
readelf -d "$libdir/libashlar.so" | grep -qE 'SONAME.*libashlar\.so\.[0-9]+' || fail "no soname with a version"

# The header, in the languages that people embed it from.
read -ra flags <<<"$(pkg-config --cflags ashlar)"
strict=(-Wall -Wextra -Wpedantic -Werror -fsyntax-only)
echo '#include <ashlar.h>' >"$scratch/header.c"
for standard in c99 c11 c17 gnu2x; do
    "${cc[@]}" -std=$standard "${strict[@]}" "${flags[@]}" "$scratch/header.c" || fail "ashlar.h as $standard"
done
for cxx in c++ clang++; do
    command -v $cxx >/dev/null || continue
    for standard in c++11 c++17 c++20; do
        $cxx -std=$standard "${strict[@]}" -x c++ "${flags[@]}" "$scratch/header.c" || fail "ashlar.h as $standard"
    done
    break
done

# The example answers with the shared and with the static library, and says why it cannot.
# -ludev is hwloc's own need, and only where hwloc itself is linked statically.
read -ra shared <<<"$(pkg-config --libs ashlar)"
read -ra static <<<"$(pkg-config --static --libs ashlar | sed 's/-lashlar/-l:libashlar.a/; s/-ludev//')"
example=("${cc[@]}" -std=c99 -Wall -Wextra -Werror "${flags[@]}" "$root/docs/example.c")
"${example[@]}" -o "$scratch/shared" "${shared[@]}" || fail "the example does not link with libashlar.so"
"${example[@]}" -o "$scratch/static" "${static[@]}" || fail "the example does not link with libashlar.a"
export LD_LIBRARY_PATH=$libdir
model=$root/tests/models/llama/tied.gguf
answer=$("$scratch/shared" "$model" "Why is the sky blue?") || fail "the example with libashlar.so: exit $?"
[ "$answer" ] || fail "the example says nothing"
[ "$answer" = "$("$scratch/static" "$model" "Why is the sky blue?")" ] || fail "libashlar.a answers otherwise"
complaint=$("$scratch/shared" /nowhere.gguf "Why?" 2>&1) && fail "no model, and still exit 0"
[[ $complaint == "example: not found: "*"/nowhere.gguf"* ]] || fail "no model: $complaint"
ldd "$scratch/static" | grep -q libashlar && fail "the static example asks for libashlar.so"

[ $failed -eq 0 ] && echo "what is installed works"
exit $failed

# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034,SC2154 # these variables are the tests', or for them
# What tests of the program share; sourced, with $ashlar the program and $scratch a folder of the test's own.
failed=0 out='' err=''

fail() {
    printf 'FAILED: %s\n' "$*"
    failed=$((failed + 1))
}

# exits CODE WORD...: the program ends with that code; its output is in $out and $err.
exits() {
    local want=$1 code
    shift
    "$ashlar" "$@" >"$scratch/out" 2>"$scratch/err" </dev/null
    code=$?
    out=$(<"$scratch/out") err=$(<"$scratch/err")
    [ "$code" -eq "$want" ] || fail "ashlar $*: exit $code, not $want: $err"
}

has() { # TEXT PATTERN
    [[ $1 == *"$2"* ]] || fail "expected \"$2\" in: $1"
}

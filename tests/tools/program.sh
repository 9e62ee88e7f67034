#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The program as a user meets it: program.sh PROGRAM. Says what failed; the exit status is the count.
set -u
ashlar=$1
tests=$(cd "$(dirname "$0")/.." && pwd)
scratch=$(mktemp -d /tmp/ashlar-XXXXXX) # no dot: mandoc would take it for a section
trap 'rm -rf "$scratch"' EXIT
export HOME=$scratch XDG_CONFIG_HOME=$scratch/config
unset XDG_DATA_HOME XDG_CACHE_HOME
# shellcheck source=tests/tools/program_rig.sh
. "$(dirname "$0")/program_rig.sh"

one_line() { # TEXT: every error is one line
    [[ $1 && $1 != *$'\n'* ]] || fail "expected one line: $1"
}

# Help, of the program and of every command, by every way to ask.
exits 0 help
has "$out" "usage: ashlar COMMAND"
has "$out" "completion"
mapfile -t commands < <(sed -n '/^Commands/,/^$/s/^  \([a-z]*\) .*/\1/p' "$scratch/out")
[ "${#commands[@]}" -ge 3 ] || fail "found only ${#commands[@]} commands"
for command in "${commands[@]}"; do
    exits 0 help "$command"
    text=$out
    has "$text" "usage: ashlar $command"
    exits 0 "$command" --help
    [ "$out" = "$text" ] || fail "help $command and $command --help differ"
    exits 0 "$command" -h
    exits 2 "$command" --no-such-option
    has "$err" "$command: unknown option \"--no-such-option\""
    one_line "$err"
done
exits 0 --help
exits 0 --version
[[ $out =~ ^ashlar\ [0-9]+\.[0-9]+\.[0-9]+$ ]] || fail "version: $out"

# Mistakes.
exits 2
one_line "$err"
exits 2 confg
has "$err" 'did you mean "config"?'
exits 2 help nonsense
exits 2 completion
exits 2 completion bahs
has "$err" 'did you mean "bash"?'
exits 2 --log-level loud help
exits 2 config --json --defaults
exits 0 help --exit-codes
has "$out" "141"

# Configuration: file, environment and flag outrank each other; a broken one is one message.
mkdir -p "$scratch/config/ashlar"
printf 'threads: 3\ncontext: 1024\nlog_level: error\n' >"$scratch/config/ashlar/config.yaml"
exits 0 config
has "$out" "threads: 3"
ASHLAR_THREADS=5 exits 0 config --json
has "$out" '"source": "environment"'
ASHLAR_LOG_LEVEL=info exits 0 config --log-level debug
has "$out" "log_level: debug"
exits 0 config --config /dev/null
has "$out" "threads: 0"
exits 0 config --defaults
printf '%s\n' "$out" >"$scratch/defaults.yaml"
exits 0 config --config "$scratch/defaults.yaml"
printf 'treads: 3\n' >"$scratch/config/ashlar/config.yaml"
exits 4 config
has "$err" 'config.yaml:1: unknown setting "treads"; did you mean "threads"?'
one_line "$err"
exits 0 help
exits 3 config --config /nowhere.yaml
one_line "$err"
ASHLAR_THREADS=x exits 2 config --config /dev/null
has "$err" "ASHLAR_THREADS"
exits 2 --log-format json nonsense
[[ $err == '{"time":"'*'"level":"error"'*'}' ]] || fail "not a JSON line: $err"
exits 2 $'evil\e[2J\nashlar: forged'
one_line "$err"
[[ $err != *$'\e'* ]] || fail "an escape sequence got through"
rm "$scratch/config/ashlar/config.yaml"

# The machine, this one and others.
exits 0 info
has "$out" "DEVICE"
has "$out" "cpu:0"
exits 0 info --json
has "$out" '"instruction_sets"'
exits 0 info --svg "$scratch/machine.svg"
[ -z "$out" ] || fail "info --svg wrote: $out"
has "$(head -c 300 "$scratch/machine.svg")" "<svg"
exits 0 info --machine "synthetic:Package:2 Core:8 PU:2"
[[ $out != *DEVICE* ]] || fail "info lists this machine's devices under another"
exits 0 info --machine "$tests/topologies/eight-gpu.xml" --json
exits 0 info --machine "synthetic:Package:2 [NUMANode(memory=3GiB)] Core:4 PU:1"
[[ $out =~ NODE\ +MEMORY.*[[:space:]]1\ +3.0\ GiB\ +-\ +4-7\  ]] || fail "info, nodes: $out"
exits 2 info --machine "synthetic:Package:2 Core:8 PU:2" --measure
exits 4 info --machine "synthetic:nonsense:x"
exits 3 info --machine /nowhere.xml
exits 7 info --svg /nowhere/machine.svg
exits 0 info --pjrt-plugin /nowhere/plugin.so
has "$out" "pjrt_plugin is /nowhere/plugin.so, which cannot be read"
for command in run bench perplexity plan; do
    exits 0 help "$command"
    for flag in --device --split --device-memory --kernel-dir --pjrt-plugin --cache-dir; do has "$out" "$flag "; done
done
exits 2 plan --machine "$tests/topologies/eight-gpu.xml" --device-table x --measure
has "$err" "for the machine at hand"
exits 2 plan --device-table "$tests/topologies/eight-gpu.json"
has "$err" "give both"
one_line "$err"
exits 7 info --svg /dev/full
has "$err" "No space left on device"
ASHLAR_CPU=nonsense exits 2 info
one_line "$err"

# Output that does not arrive.
"$ashlar" help | head -n 1 >/dev/null
code=${PIPESTATUS[0]}
[ "$code" -eq 0 ] || [ "$code" -eq 141 ] || fail "closed pipe: exit $code"
for how in "trap '' PIPE" true; do # SIGPIPE ignored, as service managers and Python do, and not
    rm -f "$scratch/code"
    code=$(
        eval "$how"
        (sleep 0.2; "$ashlar" help --man 2>"$scratch/err"; echo $? >"$scratch/code") | true
        cat "$scratch/code" 2>/dev/null || echo 141 # the shell itself met the pipe
    )
    [ "$code" -eq 141 ] || fail "closed pipe ($how): exit $code"
    [ ! -s "$scratch/err" ] || fail "closed pipe ($how): $(<"$scratch/err")"
done
for words in "help --man" "config --json" "info" "--version"; do
    read -ra list <<<"$words"
    "$ashlar" "${list[@]}" >/dev/full 2>"$scratch/err"
    code=$?
    [ "$code" -eq 7 ] || fail "$words on a full disk: exit $code"
    has "$(<"$scratch/err")" "No space left on device"
    one_line "$(<"$scratch/err")"
    "$ashlar" "${list[@]}" >&- 2>"$scratch/err"
    code=$?
    [ "$code" -eq 7 ] || fail "$words with standard output closed: exit $code"
done
"$ashlar" help <&- >/dev/null 2>&- || fail "closed standard input and error"

# The manual and the completions, as far as this machine can judge them.
exits 0 help --man
if command -v mandoc >/dev/null; then
    complaints=$(mandoc -T lint "$scratch/out")
    [ -z "$complaints" ] || fail "mandoc: $complaints"
fi
for shell in bash zsh fish; do
    exits 0 completion $shell
    cp "$scratch/out" "$scratch/completion.$shell"
    if command -v $shell >/dev/null; then
        $shell -n "$scratch/completion.$shell" || fail "$shell does not read its completion"
    fi
done
# shellcheck disable=SC1091
source "$scratch/completion.bash"
completes() { # EXPECTED WORD...: the last word is being typed
    local want=$1
    shift
    COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMPREPLY=()
    _ashlar
    [ "${COMPREPLY[*]}" = "$want" ] || fail "completing \"$*\": ${COMPREPLY[*]}, not $want"
}
completes "config" ashlar conf
completes "--defaults" ashlar config --def
completes "debug" ashlar config --log-level d
completes "completion" ashlar help comp
completes "--log-level --log-format" ashlar --log
completes "$scratch/defaults.yaml" ashlar config --config "$scratch/def"

# Files of random weights.
tiny=$tests/models/llama/tied.gguf
exits 0 synthesize --list
has "$out" "llama-3.2-1b"
synthesize=(synthesize smollm2-135m --tokenizer "$tiny" --layers 1 --vocabulary 96)
exits 0 "${synthesize[@]}" -o "$scratch/made.gguf"
has "$out" "Q4_0"
exits 0 models show "$scratch/made.gguf"
has "$out" "Q8_0        1 tensors"
exits 0 "${synthesize[@]}" --type F16 --width 64 --ffn 32 --heads 2 --kv-heads 1 --head-size 32 --json -o "$scratch/f16.gguf"
has "$out" '"output_type": "F16"'
exits 0 synthesize --layers 1 --width 32 --ffn 32 --heads 1 --tokenizer "$tiny" -o "$scratch/custom.gguf"
exits 2 synthesize --layers 1 --width 32 --tokenizer "$tiny"
has "$err" "give --ffn"
exits 2 synthesize smollm2-135m --layers 0
has "$err" "--layers"
exits 2 "${synthesize[@]}" --width 33 -o "$scratch/none.gguf"
has "$err" "blocks of 32"
exits 2 "${synthesize[@]}" --rope-base nan
exits 3 synthesize llama-3.2-1
has "$err" 'did you mean "llama-3.2-1b"'
exits 3 synthesize smollm2-135m --tokenizer "$scratch/none.gguf"
"$ashlar" "${synthesize[@]}" -o "$scratch/none/x.gguf" 2>"$scratch/err" && fail "wrote into no folder"
one_line "$(<"$scratch/err")"
for left in "$scratch/none.gguf" "$scratch/none.gguf.part"; do
    if [ -e "$left" ]; then fail "a refused file was left: $left"; fi
done

[ "$failed" -eq 0 ] && echo "the program behaves"
exit "$failed"

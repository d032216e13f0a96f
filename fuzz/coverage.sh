#!/usr/bin/env bash
# fuzz/coverage.sh [TARGET...]   how much of the engine each corpus reaches: lines of core/src, from the replay
#
# With llvm-tools of the compiler (`rustup component add llvm-tools`) the lines are counted. Without them, but with a
# fuzzing build (fuzz/run.sh), libFuzzer's own number of edges is all there is to report: it counts the target and the
# libraries too, and says nothing of what could be reached.
set -euo pipefail
cd "$(dirname "$0")"
[ $# -gt 0 ] || set -- $(ls corpus)
host=$(rustc -vV | sed -n 's/^host: //p')
tools=$(rustc --print sysroot)/lib/rustlib/$host/bin
if [ -x "$tools/llvm-profdata" ] && [ -x "$tools/llvm-cov" ]; then
  out=$(mktemp -d)
  trap 'rm -r "$out"' EXIT
  export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-target}/coverage
  RUSTFLAGS='-C instrument-coverage' LLVM_PROFILE_FILE=$out/build cargo build --bins
  # count NAME PROFILE PROGRAM...
  count() {
    local name=$1 profile=$2 first=$3 more=()
    shift 3
    for program in "$@"; do more+=(-object "$program"); done
    "$tools/llvm-cov" report "$first" "${more[@]}" -instr-profile="$profile" \
      --ignore-filename-regex='/(fuzz|tests|registry|rustc)/' |
      awk -v name="$name" '/^TOTAL/ { printf "%-12s lines %s of %s (%s)\n", name, $8 - $9, $8, $10 }'
  }
  programs=()
  for target in "$@"; do
    program=$CARGO_TARGET_DIR/debug/$target
    programs+=("$program")
    LLVM_PROFILE_FILE=$out/$target.raw "$program" corpus/"$target"/*
    "$tools/llvm-profdata" merge -sparse "$out/$target.raw" -o "$out/$target.data"
    count "$target" "$out/$target.data" "$program"
  done
  "$tools/llvm-profdata" merge -sparse "$out"/*.raw -o "$out/together"
  count together "$out/together" "${programs[@]}"
  exit
fi
echo "no llvm-tools here: edges as libFuzzer counts them"
for target in "$@"; do
  program=${CARGO_TARGET_DIR:-target}/$host/release/$target
  [ -x "$program" ] || { echo "$target: not built for fuzzing, nothing to report"; continue; }
  "$program" -runs=0 corpus/"$target" 2>&1 |
    sed -n "s/.*INITED cov: \([0-9]*\) ft: \([0-9]*\) corp: \([0-9]*\).*/$target edges \1 features \2/p"
done

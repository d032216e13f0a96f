#!/usr/bin/env bash
# fuzz/run.sh [SECONDS] [TARGET...]   grows the corpora: every target (default: all) for so many seconds (default: 60)
#
# Needs cargo-fuzz and a compiler that takes its flags: nightly if it is installed, else the stable one is told to
# (RUSTC_BOOTSTRAP). New inputs go to fuzz/growth/TARGET, which git ignores; what breaks a property to
# fuzz/artifacts/TARGET, and the run fails. fuzz/keep.sh takes over what is worth to be committed.
set -euo pipefail
cd "$(dirname "$0")"
seconds=${1:-60}
[ $# -eq 0 ] || shift
[ $# -gt 0 ] || set -- $(ls corpus)

command -v cargo-fuzz >/dev/null || { echo "cargo-fuzz is missing: cargo install cargo-fuzz" >&2; exit 3; }
toolchain=()
if rustup toolchain list 2>/dev/null | grep -q '^nightly'; then toolchain=(+nightly); else export RUSTC_BOOTSTRAP=1; fi

# There is no unsafe code here for a sanitizer to look at; without one the targets are twice as fast.
for target in "$@"; do cargo "${toolchain[@]}" fuzz build --sanitizer none "$target"; done

failed=()
for target in "$@"; do
  # An act of the simulator takes a byte or two, and none more than 80 are played.
  len=4096
  case $target in proxy) len=300 ;; engine | passage | oauth) len=2048 ;; esac
  mkdir -p "growth/$target"
  log=growth/$target.log
  echo "$target for $seconds s"
  cargo "${toolchain[@]}" fuzz run --sanitizer none "$target" "growth/$target" "corpus/$target" -- \
    -max_total_time="$seconds" -max_len="$len" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 -seed="${FUZZ_SEED:-0}" >"$log" 2>&1 ||
    { failed+=("$target"); tail -n 40 "$log"; }
  grep -o 'cov: [0-9]* ft: [0-9]* corp: [0-9]*' "$log" | tail -n 1 | sed 's/^/  /'
  grep 'stat::number_of_executed_units' "$log" | sed 's/.*: */  runs: /' || true
done
[ ${#failed[@]} -eq 0 ] || { echo "properties broken in: ${failed[*]}" >&2; exit 1; }

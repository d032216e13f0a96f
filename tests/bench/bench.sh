#!/usr/bin/env bash
# bench.sh [BIN] [OPTION...]   measures the proxy against no proxy and against nginx (bench.py says what and how)
#
#   BIN      the proxy (default: the release build of this checkout, built if need be)
#   OPTION   for bench.py, e.g. --only 'ours stdio>http,direct' --small-only --rounds 1, or --check
#
# Prints Markdown tables. Without options about 15 minutes; use a machine that does nothing else.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
target=${CARGO_TARGET_DIR:-$root/target}
if [ $# -gt 0 ] && [ "${1#--}" = "$1" ]; then
  bin=$(realpath "$1")
  shift
else
  (cd "$root" && cargo build --release --quiet)
  bin=$target/release/mcp-proxy
fi
cargo build --release --quiet --manifest-path "$here/Cargo.toml" --target-dir "$target/bench"
exec python3 "$here/bench.py" --proxy "$bin" --bin-dir "$target/bench/release" "$@"

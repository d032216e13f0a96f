#!/usr/bin/env bash
# run.sh PROGRAM [--proxy BIN] [ARG...]   wears the running proxy out
#
#   PROGRAM   soak [CYCLES [SEED]]    clients that vanish, the proxy killed every 500 cycles (default 10000: 5 minutes)
#             chaos [SECONDS [SEED]]  servers that die, stop, slow down and return (default 300: 7 minutes)
#             short                   both, a few seconds each: for every change
#   BIN       the proxy (default: the release build of this checkout, built if need be)
#
# Linux only: reads /proc. Exit code 0 when everything held. CHAOS_LOG=FILE keeps the log of the proxy.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
target=${CARGO_TARGET_DIR:-$root/target}
program=${1:?"usage: run.sh soak|chaos|short [--proxy BIN] [ARG...]"}
shift
if [ "${1:-}" = --proxy ]; then
  proxy=$(realpath "$2")
  shift 2
else
  (cd "$root" && cargo build --release --quiet)
  proxy=$target/release/mcp-proxy
fi
cargo build --release --quiet --manifest-path "$here/Cargo.toml" --target-dir "$target/soak"
bin=$target/soak/release
case $program in
  soak | chaos) exec "$bin/$program" "$proxy" "$@" ;;
  short)
    "$bin/soak" "$proxy" 200
    "$bin/chaos" "$proxy" 20
    ;;
  *)
    echo "no such program: $program" >&2
    exit 2
    ;;
esac

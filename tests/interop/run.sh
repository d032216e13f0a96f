#!/usr/bin/env bash
# run.sh [BIN]   real MCP clients and servers of the npm and Python worlds, with the proxy between them
#
#   BIN           the proxy (default: the release build of this checkout, built if need be)
#   INTEROP_HOME  where the pinned packages are installed (default: ~/.cache/mcp-proxy-interop)
#   ONLY, OUT, LINES   see run.mjs
#
# First the example servers of MCP Apps (apps.mjs), then the pairings (run.mjs).
# Prints one line per pairing and, where an answer differs from the one without the proxy, where and how.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
: "${INTEROP_HOME:=${XDG_CACHE_HOME:-$HOME/.cache}/mcp-proxy-interop}"
export INTEROP_HOME

# Each world is installed again when its list of versions has changed; the copy of the list marks it as complete.
if ! cmp -s "$here/package.json" "$INTEROP_HOME/node/installed.json"; then
  rm -rf "$INTEROP_HOME/node" && mkdir -p "$INTEROP_HOME/node"
  cp "$here/package.json" "$INTEROP_HOME/node/"
  (cd "$INTEROP_HOME/node" && npm install --no-audit --no-fund --loglevel=error >/dev/null)
  cp "$here/package.json" "$INTEROP_HOME/node/installed.json"
fi
if ! cmp -s "$here/requirements.txt" "$INTEROP_HOME/python/requirements.txt"; then
  rm -rf "$INTEROP_HOME/python"
  python3 -m venv "$INTEROP_HOME/python"
  "$INTEROP_HOME/python/bin/pip" install --quiet --disable-pip-version-check -r "$here/requirements.txt"
  cp "$here/requirements.txt" "$INTEROP_HOME/python/"
fi

bin=${1:-}
if [ -z "$bin" ]; then
  root=$(cd "$here/../.." && pwd)
  (cd "$root" && cargo build --release --quiet)
  bin=${CARGO_TARGET_DIR:-$root/target}/release/mcp-proxy
fi
[ -n "${ONLY:-}" ] || timeout --foreground 120 node "$here/apps.mjs" "$(realpath "$bin")"
exec timeout --foreground "${LIMIT:-900}" node "$here/run.mjs" "$(realpath "$bin")"

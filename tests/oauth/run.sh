#!/usr/bin/env bash
# run.sh [BIN]   the login of the proxy, as real clients and scripted stand-ins for more of them go through it
#
#   BIN         the proxy (default: the release build of this checkout, built if need be)
#   OAUTH_HOME  where the pinned packages are installed (default: ~/.cache/mcp-proxy-oauth)
#   PARTS, ONLY, OUT   see run.mjs
#
# Prints one line per check, and at the end how many passed. Exit 1 when one failed.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
: "${OAUTH_HOME:=${XDG_CACHE_HOME:-$HOME/.cache}/mcp-proxy-oauth}"
export OAUTH_HOME

# Each world is installed again when its list of versions has changed; the copy of the list marks it as complete.
if ! cmp -s "$here/package.json" "$OAUTH_HOME/node/installed.json"; then
  rm -rf "$OAUTH_HOME/node" && mkdir -p "$OAUTH_HOME/node"
  cp "$here/package.json" "$OAUTH_HOME/node/"
  (cd "$OAUTH_HOME/node" && npm install --no-audit --no-fund --loglevel=error >/dev/null)
  cp "$here/package.json" "$OAUTH_HOME/node/installed.json"
fi
if ! cmp -s "$here/requirements.txt" "$OAUTH_HOME/python/requirements.txt"; then
  rm -rf "$OAUTH_HOME/python"
  python3 -m venv "$OAUTH_HOME/python"
  "$OAUTH_HOME/python/bin/pip" install --quiet --disable-pip-version-check -r "$here/requirements.txt"
  cp "$here/requirements.txt" "$OAUTH_HOME/python/"
fi

bin=${1:-}
if [ -z "$bin" ]; then
  root=$(cd "$here/../.." && pwd)
  (cd "$root" && cargo build --release --quiet)
  bin=${CARGO_TARGET_DIR:-$root/target}/release/mcp-proxy
fi
# Everything is on this machine.
unset http_proxy https_proxy all_proxy HTTP_PROXY HTTPS_PROXY ALL_PROXY NODE_USE_ENV_PROXY
export no_proxy='*' NO_PROXY='*'
exec timeout --foreground "${LIMIT:-300}" node "$here/run.mjs" "$(realpath "$bin")"

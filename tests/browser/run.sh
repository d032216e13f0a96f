#!/usr/bin/env bash
# run.sh [BIN]   the pages of the authorization server in a real browser (Chromium), from login to token
#
#   BIN           the proxy (default: the release build of this checkout, built if need be)
#   BROWSER_HOME  where the pinned packages are installed (default: ~/.cache/mcp-proxy-browser)
#   CHROMIUM      the browser (default: chromium, installed as a Debian package if missing)
#   LIMIT         seconds after which all is given up (default: 900)
#   ONLY, OUT     see run.mjs
#
# Prints one line per check, then where the pictures of the pages are. Nothing leaves the machine but the installing.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
: "${BROWSER_HOME:=${XDG_CACHE_HOME:-$HOME/.cache}/mcp-proxy-browser}"
export BROWSER_HOME

# Installed again when the list of versions has changed; the copy of the list marks it as complete.
if ! cmp -s "$here/package.json" "$BROWSER_HOME/node/installed.json"; then
  rm -rf "$BROWSER_HOME/node" && mkdir -p "$BROWSER_HOME/node"
  cp "$here/package.json" "$BROWSER_HOME/node/"
  (cd "$BROWSER_HOME/node" && npm install --no-audit --no-fund --loglevel=error >/dev/null)
  cp "$here/package.json" "$BROWSER_HOME/node/installed.json"
fi

if [ -z "${CHROMIUM:-}" ]; then
  if ! command -v chromium >/dev/null; then
    root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }
    root apt-get update -qq
    DEBIAN_FRONTEND=noninteractive root apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core >/dev/null
  fi
  CHROMIUM=$(command -v chromium)
fi
export CHROMIUM

bin=${1:-}
if [ -z "$bin" ]; then
  root=$(cd "$here/../.." && pwd)
  (cd "$root" && cargo build --release --quiet)
  bin=${CARGO_TARGET_DIR:-$root/target}/release/mcp-proxy
fi
exec timeout --foreground "${LIMIT:-900}" node "$here/run.mjs" "$(realpath "$bin")"

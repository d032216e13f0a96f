#!/usr/bin/env bash
# run.sh URL [REVISION]   scores one MCP endpoint with the official conformance suite
#
#   REVISION   2025-11-25 (default) or 2026-07-28: fixes the scenarios and the wire
#   CONF_HOME  where the suite and node live (see setup.sh)
#   OUT        keep the suite's results here (default: a temporary folder)
#   TIMEOUT    milliseconds per scenario (default 30000, as the suite)
#   LIMIT      seconds for the whole run (default 600)
#
# Prints one line, then what failed. Exit 0 when every scored scenario passed. Use `localhost` in URL: for another
# host name the suite's DNS rebinding scenario fails outright.
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
[ $# -ge 1 ] || { sed -n '2,/^set/p' "$0" | sed '/^set/d;s/^# \{0,1\}//'; exit 2; }
url=$1 revision=${2:-2025-11-25}
: "${CONF_HOME:=${XDG_CACHE_HOME:-$HOME/.cache}/mcp-proxy-conformance}"
export CONF_HOME
"$here/setup.sh" || { echo "setup failed" >&2; exit 2; }
export PATH="$CONF_HOME/node/bin:$PATH"
if [ -z "${OUT:-}" ]; then
  OUT=$(mktemp -d)
  trap 'rm -rf "$OUT"' EXIT
fi
mkdir -p "$OUT"
rm -rf "$OUT/results"

timeout "${LIMIT:-600}" node "$CONF_HOME/suite/node_modules/@modelcontextprotocol/conformance/dist/index.js" \
  server --url "$url" --requirements "$revision" --timeout "${TIMEOUT:-30000}" -o "$OUT/results" >"$OUT/suite.log" 2>&1
[ $? -eq 124 ] && echo "the run was cut off after ${LIMIT:-600} s"
node "$here/score.mjs" "$OUT" "$revision"

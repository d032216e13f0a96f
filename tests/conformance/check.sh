#!/usr/bin/env bash
# check.sh BIN [FLAG...]   the conformance suite through the proxy, compared with allowed-failures.txt
#
#   BIN        the mcp-proxy binary
#   FLAG       for the proxy, for instance -runtime tokio
#   CONF_HOME  where the suite and the fixture are installed (see setup.sh)
#   OUT        keep logs and results here (default: a temporary folder, removed when all is well)
#
# The upstream is fixtures/everything.mjs, which alone passes everything: whatever fails is the proxy's doing. It is
# put behind the proxy once over stdio and once over Streamable HTTP, and scored each time at its own endpoint and at
# the merged one, where a second copy stands behind it and all names clash. Exit 0 when no other scored scenario
# fails than those allowed, and each allowed one does fail at least once.
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
[ $# -ge 1 ] || { sed -n '2,/^set/p' "$0" | sed '/^set/d;s/^# \{0,1\}//'; exit 2; }
bin=$(realpath "$1")
shift
flags=("$@")
revision=2025-11-25
: "${CONF_HOME:=${XDG_CACHE_HOME:-$HOME/.cache}/mcp-proxy-conformance}"
export CONF_HOME
"$here/setup.sh" || { echo "setup failed" >&2; exit 2; }
export PATH="$CONF_HOME/node/bin:$PATH"
node=$(command -v node)
fixture=$CONF_HOME/fixtures/everything.mjs
out=${OUT:-$(mktemp -d)}

started=()
# The proxy gets the time to end its children; the fixture has none.
stop() {
  local pid
  for pid in "${started[@]}"; do kill -TERM "$pid" 2>/dev/null; done
  for pid in "${started[@]}"; do
    for _ in $(seq 80); do kill -0 "$pid" 2>/dev/null || break; sleep 0.1; done
    kill -KILL -- "-$pid" 2>/dev/null
  done
  started=()
}
trap stop EXIT
trap 'exit 130' INT TERM
start() { local log=$1; shift; setsid "$@" >>"$out/$kind/$log.log" 2>&1 </dev/null & started+=($!); }
free_port() { node -e 'const s = require("net").createServer().listen(0, "127.0.0.1", () => { console.log(s.address().port); s.close(); })'; }
# wait_for WHAT COMMAND...   for 30 s at most
wait_for() {
  local what=$1; shift
  for _ in $(seq 150); do "$@" && return; sleep 0.2; done
  echo "$what is not ready after 30 s; the last lines of its log:"; tail -n 5 "$out/$kind"/*.log
  return 1
}
listens() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }
# The proxy listens before its upstream is ready, and says 503 until then.
serves() {
  node -e '
    const body = JSON.stringify({ jsonrpc: "2.0", id: 0, method: "initialize",
      params: { protocolVersion: "2025-11-25", capabilities: {}, clientInfo: { name: "wait", version: "1" } } });
    const headers = { "content-type": "application/json", accept: "application/json, text/event-stream" };
    fetch(process.argv[1], { method: "POST", headers, body, signal: AbortSignal.timeout(5000) })
      .then((answer) => process.exit(answer.status === 200 ? 0 : 1), () => process.exit(1));' "$1"
}

# measure   puts the fixture behind the proxy over $kind and scores both views
measure() {
  local port server
  mkdir -p "$out/$kind"
  if [ "$kind" = stdio ]; then
    server="{\"command\":\"$node\",\"args\":[\"$fixture\",\"--stdio\",\"--era\",\"legacy\"]}"
  else
    port=$(free_port)
    start upstream "$node" "$fixture" --http "$port" --era legacy
    wait_for "the fixture" listens "$port" || return
    server="{\"url\":\"http://127.0.0.1:$port/mcp\",\"transportType\":\"streamable-http\"}"
  fi
  port=$(free_port)
  cat >"$out/$kind/config.json" <<EOF
{"mcpProxy": {"baseURL": "http://localhost:$port", "addr": "127.0.0.1:$port", "name": "conformance", "version": "1", "type": "streamable-http",
  "merged": {"prefix": "never"}},
 "mcpServers": {"up": $server, "copy": {"command": "$node", "args": ["$fixture", "--stdio", "--era", "legacy"]}}}
EOF
  start proxy "$bin" ${flags[@]+"${flags[@]}"} --config "$out/$kind/config.json" --expand-env=false
  for path in up/mcp copy/mcp; do wait_for "the proxy" serves "http://localhost:$port/$path" || return; done
  score single "http://localhost:$port/up/mcp"
  score merged "http://localhost:$port/mcp"
}
# score VIEW URL   leaves the names of the failed scored scenarios in $out/KIND/VIEW/failed
score() {
  local dir=$out/$kind/$1
  mkdir -p "$dir"
  OUT=$dir TIMEOUT=${TIMEOUT:-15000} "$here/run.sh" "$2" "$revision" | tee "$dir/score" | sed "1s/^/upstream over $kind, $1: /"
  sed -n 's/^  failed: \([^:]*\):.*/\1/p' "$dir/score" >"$dir/failed"
}

for kind in stdio http; do
  measure
  stop
done
for place in {stdio,http}/{single,merged}; do
  [ -e "$out/$place/failed" ] || { echo "the measurement is not complete; see $out"; exit 1; }
done

allowed=$(sed 's/[[:space:]]*#.*//; /^$/d' "$here/allowed-failures.txt" | sort -u)
failed=$(sort -u "$out"/*/*/failed)
unexpected=$(comm -13 <(echo "$allowed") <(echo "$failed"))
obsolete=$(comm -23 <(echo "$allowed") <(echo "$failed"))
[ -z "$unexpected" ] || echo "failed, but not in allowed-failures.txt:" $unexpected
[ -z "$obsolete" ] || echo "passes now, take it out of allowed-failures.txt:" $obsolete
[ -z "$unexpected$obsolete" ] || { echo "logs and results: $out"; exit 1; }
echo "as expected: $(grep -c . <<<"$failed") scenarios fail, all of them allowed"
[ -n "${OUT:-}" ] || rm -rf "$out"

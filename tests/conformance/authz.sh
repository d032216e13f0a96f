#!/usr/bin/env bash
# authz.sh BIN   scores the proxy as an authorization server with the official conformance suite
#
#   BIN        the mcp-proxy binary
#   CONF_HOME  where the suite and node live (see setup.sh)
#   OUT        keep logs and results here (default: a temporary folder, removed when all is well)
#   LIMIT      seconds for one run of the suite (default 60)
#
# The suite is given a client that is configured, and then one that registers; each for the proxy as a whole and for one
# server. Prints one line per check, and at the end how many passed. Exit 0 when all did, without a warning.
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
[ $# -eq 1 ] || { sed -n '2,/^set/p' "$0" | sed '/^set/d;s/^# \{0,1\}//'; exit 2; }
bin=$(realpath "$1")
: "${CONF_HOME:=${XDG_CACHE_HOME:-$HOME/.cache}/mcp-proxy-conformance}"
export CONF_HOME
"$here/setup.sh" || { echo "setup failed" >&2; exit 2; }
export PATH="$CONF_HOME/node/bin:$PATH"
# Everything is on this machine.
unset http_proxy https_proxy all_proxy HTTP_PROXY HTTPS_PROXY ALL_PROXY NODE_USE_ENV_PROXY
export no_proxy='*' NO_PROXY='*' LOGIN_USER=ann LOGIN_PASSWORD=secret
suite=$CONF_HOME/suite/node_modules/@modelcontextprotocol/conformance/dist/index.js
out=${OUT:-$(mktemp -d)}
mkdir -p "$out"

proxy=
stop() {
  [ -n "$proxy" ] || return
  kill -TERM "$proxy" 2>/dev/null
  for _ in $(seq 80); do kill -0 "$proxy" 2>/dev/null || break; sleep 0.1; done
  kill -KILL -- "-$proxy" 2>/dev/null
}
trap stop EXIT
trap 'exit 130' INT TERM
free_port() { node -e 'const s = require("net").createServer().listen(0, "127.0.0.1", () => { console.log(s.address().port); s.close(); })'; }

# The callback has to be known before the proxy starts; the proxy itself takes the port that it gets.
callback=$(free_port)
rm -rf "$out/state"
cat >"$out/config.json" <<EOF
{"mcpProxy": {"addr": "127.0.0.1:0", "name": "conformance", "type": "streamable-http", "options": {"oauth2": {"enabled": true,
   "users": {"$LOGIN_USER": "$LOGIN_PASSWORD"}, "persistenceDir": "$out/state", "allowedRedirectURIs": ["claude", "loopback"],
   "clients": [{"id": "conformance", "redirectURIs": ["http://127.0.0.1:$callback/callback"], "public": true}]}}},
 "mcpServers": {"demo": {"command": "$bin", "args": ["demo-server"]}}}
EOF
setsid "$bin" --config "$out/config.json" --expand-env=false >"$out/proxy.log" 2>&1 </dev/null & proxy=$!
for _ in $(seq 300); do
  issuer=$(sed -n 's/.*listening on \(127\.0\.0\.1:[0-9]*\).*/http:\/\/\1/p' "$out/proxy.log")
  [ -n "$issuer" ] && break
  kill -0 "$proxy" 2>/dev/null || break
  sleep 0.1
done
[ -n "$issuer" ] || { echo "the proxy is not ready after 30 s:"; tail -n 5 "$out/proxy.log"; exit 1; }

# register   prints the id of a new client
register() {
  node --input-type=module -e '
    const [issuer, port] = process.argv.slice(1);
    const meta = await (await fetch(`${issuer}/.well-known/oauth-authorization-server`)).json();
    const body = { client_name: "conformance", redirect_uris: [`http://127.0.0.1:${port}/callback`], grant_types: ["authorization_code", "refresh_token"],
      response_types: ["code"], token_endpoint_auth_method: "none", application_type: "native" };
    const answer = await fetch(meta.registration_endpoint, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) });
    if (answer.status !== 201) throw new Error(`registration: ${answer.status} ${await answer.text()}`);
    console.log((await answer.json()).client_id);' "$issuer" "$callback"
}
# browser DIR   waits for the suite to print its address, and signs in there
browser() {
  local link=
  for _ in $(seq 300); do
    link=$(grep -aoE "$issuer/[^ ]*[?&]code_challenge_method=S256[^ ]*" "$1/suite.log" | head -1)
    [ -n "$link" ] && break
    sleep 0.1
  done
  node "$here/approve.mjs" "$link" >"$1/browser.log" 2>&1
}
# run NAME CLIENT [RESOURCE]
run() {
  local name=$1 client=$2 resource=${3:-} dir=$out/$1 person
  rm -rf "$dir" && mkdir -p "$dir"
  : >"$dir/suite.log"
  browser "$dir" & person=$!
  timeout "${LIMIT:-60}" node "$suite" authorization --url "$issuer" --client-id "$client" ${resource:+--resource "$resource"} \
    -p "$callback" -o "$dir/results" >"$dir/suite.log" 2>&1
  [ $? -eq 124 ] && echo "$name: the run was cut off after ${LIMIT:-60} s"
  kill "$person" 2>/dev/null
  wait "$person" 2>/dev/null
  node --input-type=module -e '
    import { existsSync, readFileSync, readdirSync } from "node:fs";
    const [name, dir] = process.argv.slice(1), results = `${dir}/results`;
    const rows = (existsSync(results) ? readdirSync(results) : []).flatMap((run) => JSON.parse(readFileSync(`${results}/${run}/checks.json`)));
    // A check that the suite skips or only warns of has not passed.
    const wanted = ["authorization-server-metadata", "authorization-server-metadata-cimd", "authorization-code-grant"];
    const checks = rows.filter((row) => row.status !== "INFO");
    for (const id of wanted) if (!checks.some((row) => row.id === id)) checks.push({ id, status: "MISSING" });
    for (const { id, status, errorMessage } of checks) {
      console.log(status === "SUCCESS" ? `ok   ${name}: ${id}` : `FAIL ${name}: ${id}: ${status.toLowerCase()}${errorMessage ? ` (${errorMessage})` : ""}`);
    }' "$name" "$dir" | tee -a "$out/checks"
}

: >"$out/checks"
for resource in "" "$issuer/demo/mcp"; do
  what=${resource:+ for one server}
  run "configured client$what" conformance "$resource"
  if client=$(register 2>"$out/register.log"); then
    run "registered client$what" "$client" "$resource"
  else
    echo "FAIL registered client$what: $(tail -n 1 "$out/register.log")" | tee -a "$out/checks"
  fi
done
passed=$(grep -c '^ok ' "$out/checks")
failed=$(grep -c '^FAIL ' "$out/checks")
if [ "$failed" -ne 0 ] || [ "$passed" -eq 0 ]; then
  echo "logs and results: $out"
elif [ -z "${OUT:-}" ]; then
  rm -rf "$out"
fi
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -ne 0 ]

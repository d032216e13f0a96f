#!/usr/bin/env bash
# setup.sh   installs into $CONF_HOME what run.sh needs: the conformance suite, the fixture's packages and, where
#            node is older than 22 (the suite needs fs.globSync), a newer node. Does nothing when all is there.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
: "${CONF_HOME:=${XDG_CACHE_HOME:-$HOME/.cache}/mcp-proxy-conformance}"
suite_version=0.2.0-alpha.12
node_version=24.21.0

# put DIR PACKAGE...   DIR/complete names what was installed last, and is written last.
put() {
  local dir=$1; shift
  [ "$(cat "$dir/complete" 2>/dev/null)" = "$*" ] && return
  rm -rf "$dir" && mkdir -p "$dir"
  echo '{"private":true}' >"$dir/package.json"
  (cd "$dir" && npm install --no-audit --no-fund --loglevel=error "$@" >/dev/null)
  echo "$*" >"$dir/complete"
}

major=$(node -p 'process.versions.node.split(".")[0]' 2>/dev/null || echo 0)
if [ "$major" -lt 22 ]; then
  arch=$(uname -m)
  case $arch in x86_64) arch=x64 ;; aarch64) arch=arm64 ;; esac
  put "$CONF_HOME/node" "node-linux-$arch@$node_version"
  mkdir -p "$CONF_HOME/node/bin"
  ln -sf "../node_modules/node-linux-$arch/bin/node" "$CONF_HOME/node/bin/node"
fi

put "$CONF_HOME/suite" "@modelcontextprotocol/conformance@$suite_version"
# Node finds packages from where the importing file lies, so the fixture runs beside its packages.
mapfile -t packages < <(node -p 'Object.entries(require(process.argv[1]).dependencies).map((d) => d.join("@")).join("\n")' "$here/fixtures/package.json")
put "$CONF_HOME/fixtures" "${packages[@]}"
cp "$here"/fixtures/* "$CONF_HOME/fixtures/"

#!/usr/bin/env bash
# run.sh [BIN [FRONT...]]   the recipes of templates/fronts, as they stand there, before the proxy: both transports,
# streams, large bodies, the login, and what `oauth doctor` says
#
#   BIN     the proxy (default: the release build of this checkout, built if need be)
#   FRONT   nginx, haproxy, apache, caddy, lighttpd, envoy (default: all that are there, and what Debian packages of them
#           is installed first)
#   LONG, ONLY, OUT   see run.mjs
#
# Everything runs on free ports of 127.0.0.1 in the foreground of this script; no service is started. Prints one line per
# check, and at the end how many passed. Exit 1 when one failed.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
PATH=$PATH:/usr/sbin

bin=${1:-}
[ $# -eq 0 ] || shift
if [ -z "$bin" ]; then
  root=$(cd "$here/../.." && pwd)
  (cd "$root" && cargo build --release --quiet)
  bin=${CARGO_TARGET_DIR:-$root/target}/release/mcp-proxy
fi

fronts=("$@")
[ ${#fronts[@]} -gt 0 ] || fronts=(nginx haproxy apache caddy lighttpd)
missing=()
for front in "${fronts[@]}"; do
  case $front in
    nginx) command -v nginx >/dev/null || missing+=(nginx-light) ;;
    haproxy) command -v haproxy >/dev/null || missing+=(haproxy) ;;
    apache) command -v apache2 >/dev/null || missing+=(apache2) ;;
    caddy) command -v caddy >/dev/null || missing+=(caddy) ;;
    lighttpd) [ -e /usr/lib/lighttpd/mod_openssl.so ] || missing+=(lighttpd lighttpd-mod-openssl) ;;
  esac
done
command -v openssl >/dev/null || missing+=(openssl)
if [ ${#missing[@]} -gt 0 ]; then
  as=()
  [ "$(id -u)" -eq 0 ] || as=(sudo)
  "${as[@]}" apt-get update -qq
  # Packages of servers start them; here they must not.
  policy=/usr/sbin/policy-rc.d
  if ! [ -e $policy ]; then
    printf '#!/bin/sh\nexit 101\n' | "${as[@]}" tee $policy >/dev/null
    "${as[@]}" chmod 755 $policy
    trap '"${as[@]}" rm -f $policy' EXIT
  fi
  "${as[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "${missing[@]}" >/dev/null
fi

# Everything is on this machine, behind certificates that nobody has signed.
unset http_proxy https_proxy all_proxy HTTP_PROXY HTTPS_PROXY ALL_PROXY NODE_USE_ENV_PROXY
export no_proxy='*' NO_PROXY='*' NODE_TLS_REJECT_UNAUTHORIZED=0 NODE_NO_WARNINGS=1
[ $# -gt 0 ] || ! command -v envoy >/dev/null || fronts+=(envoy)
timeout --foreground "${LIMIT:-900}" node "$here/run.mjs" "$(realpath "$bin")" "${fronts[@]}"

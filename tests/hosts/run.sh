#!/usr/bin/env bash
# run.sh BIN [HOST...]   real MCP hosts, pinned, before the proxy: what each sends first, lists and calls, and whether it
# goes on after a restart of the proxy
#
#   BIN          the proxy
#   HOST         keys of hosts.json (default: all, which takes about ten minutes, and the first time an installation of
#                several GB)
#   HOSTS_HOME   where the pinned packages are installed (default: ~/.cache/mcp-proxy-hosts)
#   TRANSPORTS, OUT   see run.mjs
#
# Not part of .ci/run. Hosts run in a network namespace that has loopback only, where that can be made, with a home of their
# own, made-up keys, and a stub in place of the model. Programs are configured with what `client-config` prints; libraries
# are called without a model. Prints a table with a line for each host and transport. Exit status 0 only if every host that
# ran did what expected.json says; there it also says why one does not go on. A host that cannot be installed is named with
# the reason, and the others go on.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
: "${HOSTS_HOME:=${XDG_CACHE_HOME:-$HOME/.cache}/mcp-proxy-hosts}"
export HOSTS_HOME
bin=$(realpath "$1")
shift
node "$here/install.mjs" "$@"

alone=()
if unshare --map-root-user --net true 2>/dev/null; then
  # Loopback of a new namespace is down at first: SIOCGIFFLAGS, then SIOCSIFFLAGS with IFF_UP.
  up='import fcntl, os, socket, struct, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
flags = struct.unpack("16sh", fcntl.ioctl(s, 0x8913, struct.pack("16sh", b"lo", 0)))[1]
fcntl.ioctl(s, 0x8914, struct.pack("16sh", b"lo", flags | 1))
os.execvp(sys.argv[1], sys.argv[1:])'
  alone=(unshare --map-root-user --net python3 -c "$up")
  export ALONE=1
else
  echo "no network namespace can be made here: the hosts can reach what this machine can" >&2
fi
exec timeout --foreground "${LIMIT:-3600}" "${alone[@]}" node "$here/run.mjs" "$bin" "$@"

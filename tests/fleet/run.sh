#!/usr/bin/env bash
# run.sh BIN [all|ci]   real servers of npm and PyPI, alone and behind one proxy, compared
#
#   BIN          the proxy
#   all|ci       every server of servers.json (default), or those marked `ci`, which .ci/run starts
#   FLEET_HOME   where the pinned packages are installed (default: ~/.cache/mcp-proxy-fleet)
#   ONLY, OUT    see run.mjs
#
# `all` takes several minutes and is not part of .ci/run. Prints a table with a line for each server, then the differences.
# A difference must be explained in differences.txt, and an explanation must be needed: both ways the run fails.
# The servers run in a network namespace that has loopback only, where that can be made.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
: "${FLEET_HOME:=${XDG_CACHE_HOME:-$HOME/.cache}/mcp-proxy-fleet}"
export FLEET_HOME
bin=$(realpath "$1")
fleet=${2:-all}
node "$here/install.mjs" "$fleet"

alone=()
if unshare --map-root-user --net true 2>/dev/null; then
  # Loopback of a new namespace is down at first: SIOCGIFFLAGS, then SIOCSIFFLAGS with IFF_UP.
  up='import fcntl, os, socket, struct, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
flags = struct.unpack("16sh", fcntl.ioctl(s, 0x8913, struct.pack("16sh", b"lo", 0)))[1]
fcntl.ioctl(s, 0x8914, struct.pack("16sh", b"lo", flags | 1))
os.execvp(sys.argv[1], sys.argv[1:])'
  alone=(unshare --map-root-user --net python3 -c "$up")
else
  echo "no network namespace can be made here: the servers can reach what this machine can" >&2
fi
exec timeout --foreground "${LIMIT:-900}" "${alone[@]}" node "$here/run.mjs" "$bin" "$fleet"

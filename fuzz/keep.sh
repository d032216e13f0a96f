#!/usr/bin/env bash
# fuzz/keep.sh [TARGET...]   commits to the corpora the few grown inputs that reach code no other one reaches
#
# After fuzz/run.sh. A set cover over edges, so that a corpus stays small; files with a name of their own stay.
set -euo pipefail
cd "$(dirname "$0")"
[ $# -gt 0 ] || set -- $(ls corpus)
host=$(rustc -vV | sed -n 's/^host: //p')
for target in "$@"; do
  program=${CARGO_TARGET_DIR:-target}/$host/release/$target
  [ -x "$program" ] && [ -d "growth/$target" ] || { echo "$target was not grown: fuzz/run.sh" >&2; exit 3; }
  named=$(mktemp -d) cover=$(mktemp -d)
  hash=(-regextype posix-extended -regex '.*/[0-9a-f]{40}')
  find "corpus/$target" -type f "${hash[@]}" -o -type f -exec cp {} "$named" \;
  # Longer inputs are hard to read and hardly reach more.
  "$program" -set_cover_merge=1 -use_counters=0 -max_len=1500 "$cover" "$named" "growth/$target" 2>/dev/null
  find "corpus/$target" -type f "${hash[@]}" -delete
  # libFuzzer names a file by the hash of what is in it.
  (cd "$named" && sha1sum -- *) | cut -c1-40 | (cd "$cover" && xargs rm -f)
  find "$cover" -type f -exec cp {} "corpus/$target" \;
  rm -r "$named" "$cover"
  echo "$target: $(ls "corpus/$target" | wc -l) files, $(cat "corpus/$target"/* | wc -c) bytes"
done

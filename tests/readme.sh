#!/bin/sh
# README's commands, run one after the other: what it shows is what they print, but for times. With --update README gets
# what they print now (`make readme`).
# shellcheck source=tests/tap.sh disable=SC2016
. "$srcdir/tests/tap.sh"
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1
if ! command -v column >/dev/null; then
  skip "README shows what its commands print" "there is no column program"
  done_testing
  exit
fi
mkdir bin tour
printf '#!/bin/sh\nexec "%s" "$@"\n' "$NOTCH" >bin/notch
chmod +x bin/notch

# Each command in one shell, for `echo $?` looks back; a mark before each one's output.
awk '/^    \$ / { printf "last=$?; echo @@@; (exit $last)\n%s\n", substr($0, 7) }' "$srcdir/README.md" >run.sh
(cd tour && PATH="$dir/bin:$PATH" LC_ALL=C.UTF-8 sh ../run.sh) >printed.txt 2>&1
awk '
  NR == FNR { if ($0 == "@@@") n++; else out[n] = out[n] "    " $0 "\n"; next }
  /^    \$ / { print; printf "%s", out[++k]; shown = 1; next }
  shown && /^    / { next }
  { shown = 0; print }
' printed.txt "$srcdir/README.md" >new.md
times='s/ in [0-9.]* s ([0-9.]* Mpx.s)/ in . s/'
sed "$times" "$srcdir/README.md" >shown.txt
sed "$times" new.md >now.txt
if [ "${1-}" = --update ]; then
  # A line of which only the time is another one stays as it is.
  awk '{ key = $0; sub(/ in [0-9.]* s \([0-9.]* Mpx.s\)/, " in . s", key) }
    NR == FNR { old[key] = $0; next }
    { print key in old ? old[key] : $0 }' "$srcdir/README.md" new.md >kept.md
  cat kept.md >"$srcdir/README.md"
  exit
fi
ok "README has commands" test "$(grep -c '^@@@$' printed.txt)" -ge 5
ok "README shows what its commands print; \`make readme\` brings it up to date" diff shown.txt now.txt
done_testing

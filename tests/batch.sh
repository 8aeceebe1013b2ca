#!/bin/sh
# A small batch with more threads than processors, all reports: what the thread sanitizer watches, and the same bytes.
# shellcheck source=tests/tap.sh
. "$srcdir/tests/tap.sh"
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1

"$NOTCH" simulate -q --size 768x640 --die 128x128 --defects 5 --snr 15:40 --seed 3 -o a.tif || exit 1
"$NOTCH" simulate -q --size 600x700 --die 600x700 --layout logic --defects 3 --snr 15:40 --seed 9 --clean b-clean.tif -o b.tif
is "dice, four threads" "$(status "$NOTCH" inspect -j4 -o four a.tif a.tif)" 0
is "dice, one thread" "$(status "$NOTCH" inspect -j1 -o one a.tif)" 0
is "a template, four threads" "$(status "$NOTCH" inspect -j4 --reference b-clean.tif -o pair b.tif)" 0
for file in defects.csv dice.csv overlay.png map.png; do
  ok "$file is the same" cmp four/a/$file one/a/$file
done
ok "the second image of the batch, too" cmp four/a/defects.csv four/a-2/defects.csv
done_testing

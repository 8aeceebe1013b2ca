#!/bin/sh
# Memories compared with their own cells: without dice, with dice, and their spectrum.
# shellcheck source=tests/tap.sh
. "$srcdir/tests/tap.sh"
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1

# The value of a key of the summary's section "detection".
told () {
  sed -n "s/^ *\"$2\" *: *\"\{0,1\}\([^\",]*\).*/\1/p" "$1" | head -1
}

"$NOTCH" simulate -q --size 910x910 --die 900x900 --origin 5,5 --layout array --jitter 0 --defects 30 --classes particle,pit --snr 11:18 \
  --rotation 0.5 --seed 6 -o one.tif
"$NOTCH" recipe new -o one.ini one.tif 2>found.txt
ok "the cell is found without being told" grep -q '^notch: one.tif: array 1: cells of [0-9.]* x [0-9.]* px' found.txt
"$NOTCH" inspect -q -o out one.tif
is "without dice its own cells are the reference" "$(told out/one/summary.json reference)" array
ok "that not all of it is array is said" grep -q 'and only they are inspected' out/one/summary.json
ok "the spectrum is no usual report" test ! -e out/one/spectrum.png
# Around the array lie pads and street, which no cell explains.
awk -F, 'NR == 1 || ($5 > 95 && $5 < 815 && $6 > 95 && $6 < 815)' one-truth.csv >in-array.csv
ok "there are defects in the array" test "$(wc -l <in-array.csv)" -gt 10
ok "they are found" "$NOTCH" score -q --min-capture 1 in-array.csv out/one/defects.csv
# A border of the array that is taken for its inside would give dozens; a lobe of a strong defect may pass for one.
ok "and nothing else" "$NOTCH" score -q --max-false 1 one-truth.csv out/one/defects.csv
ok "the summary has the cell" grep -q '"bx_px"' out/one/summary.json
"$NOTCH" inspect -q --format spectrum -o out one.tif
ok "the spectrum is drawn when it is asked for" test -s out/one/spectrum.png

"$NOTCH" simulate -q --dice 3x2 --die 480x480 --layout array --defects 12 --classes particle,pit --snr 14:30 --seed 5 -o six.tif
"$NOTCH" inspect -q --set reference.method=array -o six six.tif
is "cells alone where that is the method" "$(told six/six/summary.json reference)" array
"$NOTCH" inspect -q -j 1 -o both six.tif
is "with dice they stay the method" "$(told both/six/summary.json reference)" die
"$NOTCH" inspect -q -j 2 --set reference.method=array --set detect.memory_mib=16 --format defects -o again six.tif
is "threads and memory change nothing" "$(cmp six/six/defects.csv again/six/defects.csv && echo same)" same

"$NOTCH" simulate -q --size 600x500 --die 600x500 --layout logic --defects 0 --seed 9 -o logic.tif
is "no array, no such method" "$(status "$NOTCH" inspect -q --set reference.method=array -o none logic.tif)" 2
"$NOTCH" inspect -q --set reference.method=array -o none logic.tif 2>why.txt
ok "and why is said" grep -q 'nothing in the image repeats as the cells of an array do' why.txt
done_testing

#!/bin/sh
# Wafer maps from outside: simulated, learnt from, validated on, and told of an inspected wafer.
# shellcheck source=tests/tap.sh
. "$srcdir/tests/tap.sh"
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1

# ---- a network ------------------------------------------------------------------------------------------------------------
"$NOTCH" simulate --maps 60 --signature Center,Edge-Ring,none --map-side 26:40 --seed 1 -o few.csv
"$NOTCH" simulate --maps 30 --signature Center,Edge-Ring,none --map-side 26:40 --seed 2 -o others.csv
ok "a network of maps" "$NOTCH" train -q --classifier signature-net --rounds 2 --curve curve.png -o net.model few.csv
ok "its learning curve" test -s curve.png
f1=$("$NOTCH" validate net.model others.csv 2>&1 | sed -n 's/^macro-F1 *\([0-9.]*\).*/\1/p')
ok "it tells Center, Edge-Ring and none apart, macro-F1 $f1, at least 0.8" awk "BEGIN { exit !(${f1:-0} >= 0.8) }"
is "maps have no direction" \
  "$("$NOTCH" train -q --classifier signature-net --oriented Center -o x.model few.csv 2>&1)" \
  "notch: --oriented: a signature-net does not tell directions; leave it out"

# ---- a forest -------------------------------------------------------------------------------------------------------------
case $("$NOTCH" --version) in
*XGBoost*) ;;
*)
  skip "a forest of maps" "built without XGBoost, which trains"
  done_testing
  exit 0
  ;;
esac
"$NOTCH" simulate --maps 270 --seed 1 -o learn.csv
"$NOTCH" simulate --maps 90 --seed 2 -o test.csv
ok "a model of maps" "$NOTCH" train -q --rounds 12 --hold-out 0 -o maps.model learn.csv
"$NOTCH" train -q --rounds 12 --hold-out 0 -o again.model learn.csv
ok "the same maps, the same model" cmp maps.model again.model
is "validation of maps that it has not seen" "$(status "$NOTCH" validate -q maps.model test.csv)" 0
"$NOTCH" validate shipped test.csv >told 2>&1
f1=$(sed -n 's/^macro-F1 *\([0-9.]*\).*/\1/p' told)
ok "the model of maps that comes with notch is asked about maps: macro-F1 $f1, at least 0.9" awk "BEGIN { exit !(${f1:-0} >= 0.9) }"
is "defects are no maps" "$("$NOTCH" train -q --classifier forest -o x.model learn.csv 2>&1)" \
  "notch: training: a forest learns from defects, and these are wafer maps; choose a signature"
printf 'class,"a,map,b"\nx,y\n' >odd.csv
is "a table that only seems to be one of maps" "$("$NOTCH" train -q -o x.model odd.csv 2>&1)" \
  "notch: odd.csv: line 1: a table of wafer maps has columns class and map"

# maps as images: a wafer with a failed middle, and one whose dice fail anywhere
draw () {
  "$NOTCH" simulate --maps 1 --signature "$1" --map-side 21 --map-density 0.06 --map-edge 0 --seed 3 -o "$2.csv"
  sed 1d "$2.csv" | cut -d, -f6 | fold -w "$(sed 1d "$2.csv" | cut -d, -f4)" | "$WAFERMAP" "$2.tif" "$2.txt"
}
draw Center center
draw none none
for wafer in center none; do # a defect as large as these in a die of 32 px is trouble, too
  "$NOTCH" inspect -q -r "$srcdir/tests/outside/wafermap.ini" --format defects --set classify.signature_model=maps.model \
    -o "$wafer" "$wafer.tif"
  sed 1d "$wafer/summary.csv" >>summary.csv
done
is "each has its signature" "$(awk -F, '{ printf "%s ", $(NF - 1) }' summary.csv)" "Center none "
ok "summary.json has it" grep -q '"class" : "Center"' center/center/summary.json
is "a model of maps is none of defects" "$(status "$NOTCH" inspect -q --model maps.model -o x center.tif)" 2

# ---- real maps ------------------------------------------------------------------------------------------------------------
# As docs/signatures.md tells; over nine classes, of which one has a single map to test on.
if [ -f "${NOTCH_DATA:-}/wm811k/maps.csv" ]; then
  "$NOTCH" simulate --maps 400 --signature Scratch,Edge-Ring,Near-full,Center --map-side 26:26 --map-density 0.02:0.15 --seed 7 -o more.csv
  "$NOTCH" train -q --hold-out 0 -o real.model "$NOTCH_DATA/wm811k/maps.csv" more.csv
  f1=$("$NOTCH" validate real.model "$NOTCH_DATA/wm811k/maps.csv" 2>&1 | sed -n 's/^macro-F1 *\([0-9.]*\).*/\1/p')
  ok "wm811k, macro-F1 of maps that are not in the train split: $f1, at least 0.7" awk "BEGIN { exit !(${f1:-0} >= 0.7) }"
else
  skip "wm811k" "NOTCH_DATA has no wm811k/maps.csv"
fi
done_testing

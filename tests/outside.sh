#!/bin/sh
# Data that the repository does not carry, found through NOTCH_DATA: each set is inspected with one recipe, and capture and
# false alarms are told. NOTCH_DATA_ALL=1 takes all images of a set instead of the first ones.
# shellcheck source=tests/tap.sh
. "$srcdir/tests/tap.sh"
recipes=$srcdir/tests/outside
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1
most=20
[ -z "${NOTCH_DATA_ALL:-}" ] || most=1000000

# at_least NAME VALUE FLOOR, at_most NAME VALUE CEILING
at_least () {
  ok "$1: $2, at least $3" awk "BEGIN { exit !($2 >= $3) }"
}
at_most () {
  ok "$1: $2, at most $3" awk "BEGIN { exit !($2 <= $3) }"
}

# ---- template and test image, binarised, with boxes --------------------------------------------------------------------
if [ -d "${NOTCH_DATA:-}/deeppcb/test" ]; then
  set=$NOTCH_DATA/deeppcb/test
  for image in $(find "$set" -name '*_test.png' | sort | head -n "$most"); do
    name=$(basename "$image")
    "$NOTCH" inspect -q -r "$recipes/deeppcb.ini" --reference "$set/${name%_test.png}_template.png" --format defects -o pcb \
      "$image" || echo "# $name was not inspected"
    awk -F, -v image="$name" -v truth="$set/truth.csv" '
      BEGIN { while ((getline line <truth) > 0) { split(line, f, ","); if (f[1] == image) { n++; for (k = 2; k <= 5; k++) box[n, k] = f[k] } } }
      FNR > 1 {
        inside = 0
        for (i = 1; i <= n; i++)
          if ($2 >= box[i, 2] - 3 && $2 <= box[i, 4] + 3 && $3 >= box[i, 3] - 3 && $3 <= box[i, 5] + 3) { hit[i] = 1; inside = 1 }
        false_alarms += !inside
      }
      END { for (i = 1; i <= n; i++) captured += hit[i]; print captured + 0, n + 0, false_alarms + 0 }' \
      "pcb/${name%.png}/defects.csv" >>pcb.txt
  done
  awk '{ c += $1; n += $2; f += $3 } END { printf "# deeppcb: capture %.1f %% of %d boxes, %.2f false alarms an image, %d images\n", 100 * c / n, n, f / NR, NR }' pcb.txt
  at_least "deeppcb, capture" "$(awk '{ c += $1; n += $2 } END { print c / n }' pcb.txt)" 0.95
  at_most "deeppcb, false alarms an image" "$(awk '{ f += $3 } END { print f / NR }' pcb.txt)" 4
else
  skip "deeppcb" "NOTCH_DATA has no deeppcb/test"
fi

# ---- real metal as the pattern of a wafer, with planted defects -----------------------------------------------------------
svg=$(find "${NOTCH_DATA:-/nowhere}/ic_metal_layout" -name '*.svg' 2>/dev/null | sort | head -n 1)
if [ -z "$svg" ]; then
  skip "ic_metal_layout" "NOTCH_DATA has no ic_metal_layout"
elif ! command -v rsvg-convert >/dev/null; then
  skip "ic_metal_layout" "rsvg-convert (librsvg2-bin) is not installed"
else
  # The picture goes on for ever; a die ends in a street.
  rsvg-convert -b '#404040' -w 480 -h 414 --page-width 512 --page-height 442 --left 16 --top 14 -o die.png "$svg"
  "$NOTCH" simulate -q --layout die.png --dice 6x6 --defects 30 --snr 12:40 --seed 8 -o metal.tif
  "$NOTCH" inspect -q -r "$recipes/ic_metal_layout.ini" --format defects -o metal metal.tif
  "$NOTCH" score metal-truth.csv metal/metal/defects.csv | sed -n '1,2s/^/# ic_metal_layout: /p'
  ok "ic_metal_layout: at least 90 % captured, at most 2 false alarms" \
    "$NOTCH" score --min-capture 0.9 --max-false 2 metal-truth.csv metal/metal/defects.csv
fi

# ---- bin maps, drawn --------------------------------------------------------------------------------------------------------
if [ -f "${NOTCH_DATA:-}/wm811k/maps.csv" ]; then
  for row in 2 60 200 400 700; do
    sed -n "${row}p" "$NOTCH_DATA/wm811k/maps.csv" | cut -d, -f4 | "$WAFERMAP" map.tif fails.txt || exit 1
    "$NOTCH" inspect -q -r "$recipes/wm811k.ini" --set wafer.round=false --format defects,dice -o maps map.tif
    awk -F, 'NR == FNR { fail[$1] = 1; n++; next } FNR > 1 { at = $1 " " $2; if ($9 > 0) { if (at in fail) c++; else f++ } }
      END { print c + 0, n + 0, f + 0 }' fails.txt maps/map/dice.csv >>maps.txt
  done
  awk '{ c += $1; n += $2; f += $3 } END { printf "# wm811k: capture %.1f %% of %d failing dice, %d false alarms, %d maps\n", 100 * c / n, n, f, NR }' maps.txt
  at_least "wm811k, capture" "$(awk '{ c += $1; n += $2 } END { print c / n }' maps.txt)" 0.95
  at_most "wm811k, false alarms a map" "$(awk '{ f += $3 } END { print f / NR }' maps.txt)" 1
else
  skip "wm811k" "NOTCH_DATA has no wm811k/maps.csv"
fi

skip "gds" "layouts are no images, and this version does not draw them"
skip "klarf" "result files hold no images, and this version does not read them"
done_testing

#!/bin/sh
# Data that the repository does not carry, found through NOTCH_DATA: each set is inspected with one recipe, and capture and
# false alarms are told. NOTCH_DATA_ALL=1 takes all images of a set instead of some that are spread over it.
# shellcheck source=tests/tap.sh
. "$srcdir/tests/tap.sh"
recipes=$srcdir/tests/outside
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1
# some N: every Nth line, or all of them.
some () {
  if [ -n "${NOTCH_DATA_ALL:-}" ]; then cat; else awk "NR % $1 == 1"; fi
}

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
  for image in $(find "$set" -name '*_test.png' | sort | some 5); do
    name=$(basename "$image")
    "$NOTCH" inspect -q -r "$recipes/deeppcb.ini" --reference "$set/${name%_test.png}_template.png" --format defects -o pcb \
      "$image" || rm -rf "pcb/${name%.png}"
    # What was not inspected has found nothing of its boxes.
    [ -f "pcb/${name%.png}/defects.csv" ] || { echo "# $name was not inspected"; mkdir -p "pcb/${name%.png}"; : >"pcb/${name%.png}/defects.csv"; }
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
  at_least "deeppcb, capture" "$(awk '{ c += $1; n += $2 } END { print c / n }' pcb.txt)" 0.97
  at_most "deeppcb, false alarms an image" "$(awk '{ f += $3 } END { print f / NR }' pcb.txt)" 1
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

# ---- bin maps and defect lists, drawn --------------------------------------------------------------------------------------
# A map comes as lines of digits (0 no die, 1 pass, 2 fail); draw_and_inspect SET appends "captured failing false" to SET.txt.
draw_and_inspect () {
  "$WAFERMAP" map.tif fails.txt || return 1
  rm -rf maps
  "$NOTCH" inspect -q -r "$recipes/wafermap.ini" --format defects,dice -o maps map.tif || echo "# the verdict on a map is trouble: a particle covers nearly all of a die"
  [ -f maps/map/dice.csv ] || { echo "# a map was not inspected"; mkdir -p maps/map; : >maps/map/dice.csv; }
  awk -F, 'FNR == 1 { file++ } file == 1 { fail[$1] = 1; n++; next } FNR > 1 { at = $1 " " $2; if ($9 > 0) { if (at in fail) c++; else f++ } }
    END { print c + 0, n + 0, f + 0 }' fails.txt maps/map/dice.csv >>"$1.txt"
}
tell_maps () {
  awk -v set="$1" '{ c += $1; n += $2; f += $3 } END { printf "# %s: capture %.1f %% of %d failing dice, %d false alarms, %d maps\n", set, 100 * c / n, n, f, NR }' "$1.txt"
  at_least "$1, capture" "$(awk '{ c += $1; n += $2 } END { print c / n }' "$1.txt")" 0.95
  at_most "$1, false alarms a map" "$(awk '{ f += $3 } END { print f / NR }' "$1.txt")" 1
}

if [ -f "${NOTCH_DATA:-}/wm811k/maps.csv" ]; then
  awk -F, 'NR > 1 && $4 ~ /2/ { print $4 }' "$NOTCH_DATA/wm811k/maps.csv" | some 250 >wm811k.maps
  while read -r map; do
    echo "$map" | fold -w 26 | draw_and_inspect wm811k
  done <wm811k.maps
  tell_maps wm811k
else
  skip "wm811k" "NOTCH_DATA has no wm811k/maps.csv"
fi

# A result file has dice and which of them hold defects; the box that they span is drawn, a spot on every die that has one.
if [ -d "${NOTCH_DATA:-}/klarf" ]; then
  find "$NOTCH_DATA/klarf" -type f -size +10k | sort >klarf.files
  while read -r file; do
    tr -d '\r' <"$file" | awk '
      /^DefectRecordSpec/ { for (i = 3; i <= NF; i++) { if ($i == "XINDEX") cx = i - 2; if ($i == "YINDEX") cy = i - 2 }; n = $2 }
      /^SampleTestPlan/ { plan = 1; next }
      plan && NF >= 2 { add($1, $2); plan = !/;/; next }
      /^DefectList/ { list = 1; next }
      list && cx && NF >= n - 2 && $1 ~ /^[0-9]+$/ { add($cx, $cy); fail[$cx + 0, $cy + 0] = 1 }
      list && /;/ { list = 0 }
      function add(x, y) { x += 0; y += 0; if (!any++) { x0 = x1 = x; y0 = y1 = y }; if (x < x0) x0 = x; if (x > x1) x1 = x; if (y < y0) y0 = y; if (y > y1) y1 = y }
      END { if (any) for (y = y1; y >= y0; y--) { for (x = x0; x <= x1; x++) printf "%d", (x, y) in fail ? 2 : 1; print "" } }' >klarf.map
    # Fewer than four rows or columns of dice are no wafer to find defects on.
    awk 'END { exit !(NR >= 4 && length($0) >= 4) }' klarf.map && draw_and_inspect klarf <klarf.map
  done <klarf.files
  tell_maps klarf
else
  skip "klarf" "NOTCH_DATA has no klarf"
fi

# ---- layouts of standard cells, drawn ----------------------------------------------------------------------------------------
gds=${NOTCH_DATA:-/nowhere}/gds
if [ -f "$gds/sky130_fd_sc_hd__sedfxbp_2.gds" ]; then
  for layout in "$gds"/*.gds; do
    ok "$(basename "$layout") is drawn" "$NOTCH" simulate -q --layout "$layout" --nm-per-px 50 --dice 2x1 --defects 0 -o cell.tif
  done
  "$NOTCH" simulate -q --layout "$gds/sky130_fd_sc_hd__sedfxbp_2.gds" --nm-per-px 20 \
    --layers 65/20=70,66/20=90,67/20=140,66/44=200,67/44=210,68/20=170 --dice 6x12 --classes particle,pit,scratch,residue \
    --defects 24 --snr 12:40 --seed 8 -o gds.tif
  "$NOTCH" inspect -q -r "$recipes/gds.ini" --format defects -o gds gds.tif
  "$NOTCH" score gds-truth.csv gds/gds/defects.csv | sed -n '1,2s/^/# gds: /p'
  ok "gds: at least 90 % captured, at most 2 false alarms" \
    "$NOTCH" score --min-capture 0.9 --max-false 2 gds-truth.csv gds/gds/defects.csv
else
  skip "gds" "NOTCH_DATA has no gds"
fi

done_testing

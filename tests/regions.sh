#!/bin/sh
# Regions: sensitivities and the promise; masks and polygons; what is wrong with them.
# shellcheck source=tests/tap.sh
. "$srcdir/tests/tap.sh"
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1

# Defects of a list.
found () {
  echo $(($(wc -l <"$1") - 1))
}

# ---- sensitivities --------------------------------------------------------------------------------------------------
for seed in 1 2 3; do
  "$NOTCH" simulate -q --size 2400x2400 --die 300x300 --layout logic --defects 0 --pixel-um 1 --seed $seed -o clean$seed.tif
done
cat >keen.ini <<'END'
[detect]
false_alarms = 20
[region all]
width_um = 300
height_um = 300
[region quarter]
width_um = 150
height_um = 150
sensitivity = 2
END
"$NOTCH" inspect -q -r keen.ini --format defects,json -o keen clean1.tif clean2.tif clean3.tif
alarms=$(($(found keen/clean1/defects.csv) + $(found keen/clean2/defects.csv) + $(found keen/clean3/defects.csv)))
ok "with a sensitive quarter the promise holds within a factor of 2 ($alarms of 60)" \
  test "$alarms" -ge 30 -a "$alarms" -le 120
sed 's/^sensitivity.*/sensitivity = 1/' keen.ini >even.ini
"$NOTCH" inspect -q -r even.ini --format defects,json -o even clean1.tif
# The threshold that a summary has, in thousandths.
threshold () {
  sed -n 's/^ *"threshold" *: *\([0-9]*\)\.\([0-9]\{3\}\).*/\1\2/p' "$1"
}
ok "a smaller area at the same promise has a lower threshold" \
  test "$(threshold keen/clean1/summary.json)" -lt $(($(threshold even/clean1/summary.json) - 100))

# ---- masks and polygons ---------------------------------------------------------------------------------------------
"$NOTCH" simulate -q --size 900x600 --die 300x300 --layout logic --defects 40 --classes particle,pit --snr 20:40 \
  --pixel-um 1 --seed 4 -o wafer.tif
"$NOTCH" inspect -q -o all wafer.tif
# Defects of a list whose place in the die is (not) inside what an awk expression over x and y says.
where () {
  awk -F, 'NR == 1 { for (i = 1; i <= NF; i++) at[$i] = i } NR > 1 { x = $at["die_x_um"]; y = $at["die_y_um"]; if ('"$2"') n++ }
    END { print n + 0 }' "$1"
}
mkdir -p recipes elsewhere
printf 'polygon,x_um,y_um\nlower,0,0\nlower,300,0\nlower,0,300\nhole,20,20\nhole,100,20\nhole,100,100\nhole,20,100\n' \
  >recipes/half.csv
printf '[wafer]\npixel_um=1\n[region half]\npolygons=half.csv\n' >recipes/half.ini
ok "a recipe with polygons is right" "$NOTCH" recipe check -q recipes/half.ini wafer.tif
"$NOTCH" inspect -q -r recipes/half.ini -o half wafer.tif
is "nothing is found outside the triangle" "$(where half/wafer/defects.csv 'x + y > 303')" 0
is "nor in the hole" "$(where half/wafer/defects.csv 'x > 23 && y > 23 && x < 97 && y < 97')" 0
ok "inside all is" test "$(found half/wafer/defects.csv)" -ge \
  "$(where all/wafer/defects.csv 'x + y < 295 && (x < 17 || y < 17 || x > 103 || y > 103)')"
ok "outside there was something" test "$(where all/wafer/defects.csv 'x + y > 303')" -gt 5
(cd elsewhere && "$NOTCH" inspect -q -r ../half/wafer/recipe.ini -o . ../wafer.tif)
ok "the recipe as used does the same again, from another folder" cmp half/wafer/defects.csv elsewhere/wafer/defects.csv
"$NOTCH" inspect -q -r recipes/half.ini -j 1 --set detect.tile_px=128 --format defects -o one wafer.tif
"$NOTCH" inspect -q -r recipes/half.ini -j 2 --set detect.tile_px=128 --set detect.memory_mib=16 --format defects -o two wafer.tif
ok "threads and memory change nothing" cmp one/wafer/defects.csv two/wafer/defects.csv

# A TIFF of 2 x 2 px: white, black; black, white.
{
  printf 'II*\0\10\0\0\0\10\0'
  printf '\0\1\4\0\1\0\0\0\2\0\0\0\1\1\4\0\1\0\0\0\2\0\0\0\2\1\3\0\1\0\0\0\10\0\0\0\3\1\3\0\1\0\0\0\1\0\0\0'
  printf '\6\1\3\0\1\0\0\0\1\0\0\0\21\1\4\0\1\0\0\0\156\0\0\0\26\1\4\0\1\0\0\0\2\0\0\0\27\1\4\0\1\0\0\0\4\0\0\0'
  printf '\0\0\0\0\377\0\0\377'
} >recipes/quarters.tif
printf '[wafer]\npixel_um=1\n[region quarters]\nkind=exclude\nmask=quarters.tif\n' >recipes/quarters.ini
"$NOTCH" inspect -q -r recipes/quarters.ini -o quarters wafer.tif
is "nothing is found where a mask excludes it" \
  "$(where quarters/wafer/defects.csv '(x < 147 && y > 153) || (x > 153 && y < 147)')" 0
ok "elsewhere it is" test "$(where quarters/wafer/defects.csv '(x < 147 && y < 147) || (x > 153 && y > 153)')" -gt 5
printf '\0\0\0\0' | dd of=recipes/quarters.tif bs=1 seek=110 conv=notrunc 2>/dev/null
is "another mask, and an image is done again" \
  "$("$NOTCH" inspect -r recipes/quarters.ini --resume -o quarters wafer.tif 2>&1 | grep -c 'no pixel is above 0')" 1
is "an empty mask is trouble" "$(status "$NOTCH" inspect -q -r recipes/quarters.ini -o no wafer.tif)" 2
is "recipe check says so" "$("$NOTCH" recipe check recipes/quarters.ini 2>&1 | grep -c 'quarters.ini:5: \[region quarters\] mask: ')" 1
is "a missing file is trouble" "$(status "$NOTCH" recipe check -q --set 'region half.polygons=gone.csv' recipes/half.ini)" 2
is "and one line" "$("$NOTCH" inspect -q --set 'region a.polygons=gone.csv' -o no wafer.tif 2>&1 | grep -c '\[region a\] polygons: .*gone.csv: cannot be read')" 1
done_testing

#!/bin/sh
# Regions: sensitivities and the promise; masks and polygons; what is wrong with them;
# methods.
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
seeds=$(few "1 2 3" 1)
for seed in $seeds; do
  "$NOTCH" simulate -q --size 1200x1200 --die 300x300 --layout logic --defects 0 --pixel-um 1 --seed "$seed" -o "clean$seed.tif"
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
"$NOTCH" inspect -q -r keen.ini --format defects,json -o keen clean?.tif
alarms=0 promised=0
for seed in $seeds; do
  alarms=$((alarms + $(found "keen/clean$seed/defects.csv"))) promised=$((promised + 20))
done
ok "with a sensitive quarter the promise holds within a factor of 2 ($alarms of $promised)" \
  test $((2 * alarms)) -ge $promised -a $alarms -le $((2 * promised))
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

# ---- methods --------------------------------------------------------------------------------------------------------
# Memories compared with their own cells, the rest with other dice. A die's piece that was fitted to the cells' reference
# too would give some eighty alarms.
"$NOTCH" simulate -q --size 1920x1920 --die 640x640 --layout mixed --defects 0 --pixel-um 1 --seed 21 -o mixed.tif
cat >cells.ini <<'END'
[wafer]
pixel_um = 1
[dice]
pitch_x_um = 640
pitch_y_um = 640
[detect]
false_alarms = 20
[region die]
width_um = 640
height_um = 640
method = array
END
"$NOTCH" inspect -q -r cells.ini --format defects,json,recipe -j 1 -o cells mixed.tif
alarms=$(found cells/mixed/defects.csv)
ok "a region with another method keeps the promise ($alarms of 20)" test "$alarms" -ge 7 -a "$alarms" -le 36
"$NOTCH" inspect -q -r cells/mixed/recipe.ini --format defects -j 2 --set detect.memory_mib=16 -o cells2 mixed.tif
ok "the recipe as used, threads and memory change nothing" cmp cells/mixed/defects.csv cells2/mixed/defects.csv
"$NOTCH" inspect -q -r cells.ini --set 'region die.method=auto' --format defects,json -o dice mixed.tif
is "the method of a region leaves nothing out" "$(grep '"inspected_px"' cells/mixed/summary.json)" \
  "$(grep '"inspected_px"' dice/mixed/summary.json)"
ok "and it does something" test "$(cmp -s cells/mixed/defects.csv dice/mixed/defects.csv; echo $?)" -eq 1

# What all dice have is in their references; only a memory's own cells show it.
"$NOTCH" simulate -q --size 1920x1280 --die 640x640 --layout mixed --defects 0 --repeaters 20 --classes particle,pit \
  --snr 14:18 --pixel-um 1 --seed 31 -o repeat.tif
"$NOTCH" inspect -q -r cells.ini --set detect.false_alarms=1 --format defects -o cells repeat.tif
"$NOTCH" inspect -q -r cells.ini --set detect.false_alarms=1 --set 'region die.method=die' --format defects -o dice repeat.tif
ok "repeaters are seen in memories" test "$(found cells/repeat/defects.csv)" -gt $((10 + $(found dice/repeat/defects.csv)))
"$NOTCH" simulate -q --size 1920x1280 --die 640x640 --layout mixed --defects 0 --pixel-um 1 --seed 31 --clean clean.tif -o none.tif
"$NOTCH" inspect -q -r cells.ini --set detect.false_alarms=1 --set 'region die.method=template' --set reference.method=die \
  --reference clean.tif --format defects,json -o template repeat.tif
is "the summary names its method, too" "$(tr -d ' \n' <template/repeat/summary.json | grep -o '"references":[^]]*]')" \
  '"references":["die","template"]'
ok "a template for a region shows all" test "$(found template/repeat/defects.csv)" -gt 100
"$NOTCH" learn -q -o golden.tif none.tif
"$NOTCH" inspect -q -r cells.ini --set detect.false_alarms=1 --set 'region die.method=golden' --set reference.method=die \
  --golden golden.tif --format defects -o golden repeat.tif
ok "and so does a golden die" test "$(found golden/repeat/defects.csv)" -gt 100
"$NOTCH" inspect -q -r cells.ini --set detect.false_alarms=1 --set 'region die.method=die' \
  --golden golden.tif --format defects -o back repeat.tif
ok "and hides it where a region goes back to dice" test "$(found back/repeat/defects.csv)" -lt 20

# says NAME PATTERN ARGUMENT…: an inspection ends with 2 and one line.
says () {
  say_name=$1 say_pattern=$2
  shift 2
  "$NOTCH" inspect -q -r cells.ini --format defects -o no "$@" repeat.tif 2>say.txt
  is "$say_name" "$?/$(grep -c "$say_pattern" say.txt)/$(wc -l <say.txt)" 2/1/1
}
says "a region where no array is" 'region die\] method: the method array has nothing to compare with anywhere in this region' \
  --set 'region die.width_um=20' --set 'region die.height_um=20'
says "a region of which no die has an array" 'region die\] method: the method array has nothing to compare with anywhere in this region' \
  --set 'dice.pitch_x_um=128' --set 'dice.pitch_y_um=128' --set 'region die.width_um=100' --set 'region die.height_um=100'
says "a template that is not given" 'region die\] method: the method template needs something .* \[reference\] image' \
  --set 'region die.method=template'
is "which may come with an option, says recipe check" \
  "$(status "$NOTCH" recipe check -q --set 'region die.method=template' cells.ini)" 0
says "two things given" 'the methods golden and template both compare with something given' \
  --set 'region die.method=template' --golden golden.tif --set reference.image=clean.tif
says "exact goes alone" 'the method exact goes with no other' --set 'region die.method=exact'
says "an exclusion has no method" 'what is left out is compared with nothing' --set 'region die.kind=exclude'
says "polygons have no method" 'only a rectangle has a method of its own' --set 'region die.polygons=a.csv' \
  --set 'region die.width_um=0' --set 'region die.height_um=0'
done_testing

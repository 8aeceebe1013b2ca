#!/bin/sh
# notch inspect from the outside: files, exit status, batches, the same bytes whatever the threads and the memory.
# shellcheck source=tests/tap.sh
. "$srcdir/tests/tap.sh"
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1

"$NOTCH" simulate -q --size 1024x1024 --die 256x256 --defects 12 --snr 12:40 --seed 3 -o a.tif || exit 1
"$NOTCH" simulate -q --size 1024x1024 --die 256x256 --defects 0 --seed 4 -o clean.tif || exit 1

# ---- files and status ---------------------------------------------------------------------------------------------------
is "no limits: nothing is rejected" "$(status "$NOTCH" inspect -o out a.tif clean.tif)" 0
for file in summary.csv a/defects.csv a/dice.csv a/overlay.png a/map.png a/summary.json a/recipe.ini a/crops/1.png; do
  ok "$file is there" test -s "out/$file"
done
is "no partial file is left" "$(find out -name '.*' -o -name '*.partial' | wc -l)" 0
is "summary.csv has a row an image" "$(wc -l <out/summary.csv)" 3
is "the columns of defects.csv" "$(head -n 1 out/a/defects.csv | cut -d, -f1-22)" \
  "defect_id,x_px,y_px,width_px,height_px,area_px,die_col,die_row,die_x_um,die_y_um,wafer_x_um,wafer_y_um,size_um,area_um2,peak_snr,contrast,elongation,angle_deg,class,confidence,cluster,repeater"
is "a clean wafer has no defects" "$(wc -l <out/clean/defects.csv)" 1
ok "what was planted is found" "$NOTCH" score --min-snr 12 --classes particle,pit --min-capture 0.95 --max-false 1 \
  a-truth.csv out/a/defects.csv
is "a limit that is passed: reject" "$(status "$NOTCH" inspect -o out2 --set limits.defects=2 a.tif clean.tif)" 1
ok "the reason is written down" grep -q '^a.tif,a,reject,' out2/summary.csv
ok "the other image passed" grep -q '^clean.tif,clean,pass,' out2/summary.csv

# ---- the same bytes -----------------------------------------------------------------------------------------------------
"$NOTCH" inspect -q -j1 -o one a.tif && "$NOTCH" inspect -q -j2 -o two a.tif && "$NOTCH" inspect -q -j 5 -o five a.tif
for other in two five; do
  for file in defects.csv dice.csv map.png overlay.png; do
    ok "$file: one thread and $other" cmp one/a/$file $other/a/$file
  done
done
"$NOTCH" simulate -q --size 4096x6144 --die 512x512 --defects 20 --snr 12:40 --seed 4 -o big.tif
"$NOTCH" inspect -q --format defects,dice -o much big.tif
"$NOTCH" inspect -q --set detect.memory_mib=16 --format defects,dice -o little big.tif
for file in defects.csv dice.csv; do
  ok "$file: memory for the image and for two thirds of it" cmp much/big/$file little/big/$file
done
ok "two runs" cmp one/a/defects.csv out/a/defects.csv
if locale -a 2>/dev/null | grep -qi '^de_DE.utf-*8'; then
  LC_ALL=de_DE.UTF-8 "$NOTCH" inspect -q --format defects -o german a.tif
  ok "another locale" cmp one/a/defects.csv german/a/defects.csv
else
  skip "another locale" "there is no de_DE.UTF-8 here"
fi
"$NOTCH" inspect -q -r out/a/recipe.ini -o again a.tif
ok "the recipe as used gives the same places" sh -c "cut -d, -f2,3 one/a/defects.csv >1.txt; cut -d, -f2,3 again/a/defects.csv >2.txt; cmp 1.txt 2.txt"

# ---- batches ------------------------------------------------------------------------------------------------------------
mkdir other "with space"
cp a.tif other/a.tif
cp clean.tif "with space/an, image.tif"
"$NOTCH" inspect -q --format defects -o batch a.tif other/a.tif "with space/an, image.tif"
ok "two images with one stem" test -s batch/a-2/defects.csv
ok "a name with a space and a comma" test -s "batch/an, image/defects.csv"
ok "only the reports that were asked for" test ! -e batch/a/map.png
is "the second of one stem is the same" "$(cmp batch/a/defects.csv batch/a-2/defects.csv && echo same)" same
cp batch/a/summary.json before.json
touch -d '2001-01-01' batch/a/summary.json
rm batch/a-2/summary.json
"$NOTCH" inspect -q --format defects -o batch --resume a.tif other/a.tif "with space/an, image.tif"
ok "resume leaves out what is finished" test before.json -nt batch/a/summary.json
ok "and does what is not" test -s batch/a-2/summary.json
is "the summary keeps all rows" "$(wc -l <batch/summary.csv)" 4
"$NOTCH" inspect -q --format defects -o shards --shard 1/2 a.tif clean.tif
ok "a shard does its images" test -s shards/a/defects.csv
ok "and no others" test ! -e shards/clean
"$NOTCH" inspect -q --format defects -o shards --shard 2/2 a.tif clean.tif
ok "the other shard does the rest" test -s shards/clean/defects.csv
is "both have a row" "$(wc -l <shards/summary.csv)" 3
"$NOTCH" inspect -q --json --format defects -o json a.tif >run.json
ok "--json names the verdict" grep -q '"verdict" *: *"pass"' run.json
is "a line an image where there is no terminal" "$("$NOTCH" inspect --format defects -o lines a.tif clean.tif 2>&1 | wc -l)" 2
is "none with --no-progress" "$("$NOTCH" inspect --no-progress --format defects -o lines a.tif 2>&1 | wc -l)" 0

# ---- recipes and references ---------------------------------------------------------------------------------------------
"$NOTCH" recipe new -q -o r.ini a.tif 2>new.txt
is "a new recipe is right" "$(status "$NOTCH" recipe check r.ini a.tif)" 0
"$NOTCH" inspect -q -r r.ini --format defects -o recipe a.tif
ok "it finds what discovery finds" sh -c "cut -d, -f2,3 recipe/a/defects.csv >2.txt; cmp 1.txt 2.txt"
"$NOTCH" simulate -q --size 600x500 --die 600x500 --layout logic --defects 6 --snr 15:40 --seed 9 --clean clean-pair.tif \
  -o pair.tif
"$NOTCH" inspect -q --reference clean-pair.tif -o pair pair.tif
ok "a template is compared with" "$NOTCH" score --min-snr 15 --classes particle,pit --min-capture 0.95 --max-false 1 \
  pair-truth.csv pair/pair/defects.csv
cat >region.ini <<'END'
[region left]
kind = exclude
x_um = 0
y_um = 0
width_um = 64
height_um = 128
END
"$NOTCH" inspect -q -r region.ini --format defects -o region a.tif
is "nothing is found where nothing is inspected" \
  "$(awk -F, 'NR > 1 && $9 < 60 { n++ } END { print n + 0 }' region/a/defects.csv)" 0
ok "elsewhere it is" test "$(wc -l <region/a/defects.csv)" -gt 1
"$NOTCH" inspect -q --set detect.polarity=dark --format defects -o dark a.tif
is "one polarity only" "$(awk -F, 'NR > 1 && $16 > 0.5 { n++ } END { print n + 0 }' dark/a/defects.csv)" 0
is "--speed fast finds the strong ones" "$(status "$NOTCH" inspect --speed fast --format defects -o fast a.tif)" 0
"$NOTCH" simulate -q --wafer --size 1024x1024 --die 128x96 --pixel-um 100 --defects 8 --snr 15:40 --seed 5 -o wafer.tif
"$NOTCH" inspect -q --format defects,dice,map -o wafer wafer.tif
ok "a round wafer has partial dice" grep -q ',partial$' wafer/wafer/dice.csv
"$NOTCH" inspect -q --set dice.partial=true --format defects,dice -o partial wafer.tif
ok "they are inspected when asked for" test -s partial/wafer/defects.csv

# ---- interrupted --------------------------------------------------------------------------------------------------------
for signal in INT TERM; do
  "$NOTCH" inspect -q --format defects -o cut big.tif big.tif big.tif big.tif 2>message.txt &
  sleep 1
  kill -$signal $!
  wait $!
  is "SIG$signal" "$?" "$([ $signal = INT ] && echo 130 || echo 143)"
  is "says how to go on" "$(grep -c -- --resume message.txt)" 1
done
is "goes on afterwards" "$(status "$NOTCH" inspect --format defects -o cut --resume big.tif)" 0
done_testing

#!/bin/sh
# Bare wafers from the outside: found to be bare without being told, points with their size, the haze, the rim.
# shellcheck source=tests/tap.sh disable=SC2016
. "$srcdir/tests/tap.sh"
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1

# The first value of a key of a summary.
told () {
  sed -n "s/^ *\"$2\" *: *\"\{0,1\}\([^\",]*\).*/\1/p" "$1" | head -1
}

# holds VALUE CONDITION: of a number x.
holds () {
  awk -v x="$1" "BEGIN { exit !($2) }"
}

"$NOTCH" simulate -q --size 1536x1536 --die 256x256 --layout blank --wafer --vignetting 0.3 --film 0.1 --jitter 0 --gain 0 \
  --defects 24 --classes particle,scratch,stain --snr 14:40 --seed 2 -o bare.tif
"$NOTCH" inspect -v -j 1 --format defects,map,haze -o one bare.tif 2>told.txt
is "a bare wafer is taken for one" "$(told one/bare/summary.json reference)" surface
ok "and that is told" grep -q 'no pattern: .* inspected as a bare surface' told.txt
ok "what was planted is found" "$NOTCH" score -q --min-capture 0.95 bare-truth.csv one/bare/defects.csv
ok "and nothing else, along the rim neither" "$NOTCH" score -q --max-false 1 bare-truth.csv one/bare/defects.csv
ok "points have their size" sh -c '"$1" score --json --classes particle bare-truth.csv one/bare/defects.csv |
  sed -n "s/.*\"size_ratio\" *: *\([0-9.]*\).*/\1/p" | head -1 | awk "{ exit !(\$1 > 0.6 && \$1 < 2) }"' sh "$NOTCH"
for kind in scratch stain particle; do
  ok "the default rules know a $kind" grep -q ",$kind," one/bare/defects.csv
done
"$NOTCH" inspect -q -j 2 --set detect.memory_mib=16 --format defects,map,haze -o two bare.tif
for file in defects.csv haze.csv haze.png map.png; do
  ok "$file: threads and memory change nothing" cmp one/bare/$file two/bare/$file
done

# ---- the haze -----------------------------------------------------------------------------------------------------------
ok "the summary has the haze, in ppm of full scale" holds "$(told one/bare/summary.json median)" "x > 3e5 && x < 6e5"
ok "its larger part" holds "$(told one/bare/summary.json p95)" "x > $(told one/bare/summary.json median) && x < 7e5"
is "and no square is crowded" "$(told one/bare/summary.json crowded)" 0
is "the table's columns" "$(head -1 one/bare/haze.csv)" "col,row,x_px,y_px,level,sigma,level_ppm,sigma_ppm,clipped"
is "a row for each square" "$(($(wc -l <one/bare/haze.csv) - 1))" "$(told one/bare/summary.json cells)"
ok "squares of the wafer alone" awk -F, 'NR > 1 && ($3 - 767.5)^2 + ($4 - 767.5)^2 > 745^2 { exit 1 }' one/bare/haze.csv
is "the files are told" "$(grep -c '"haze\.[a-z]*"' one/bare/summary.json)" 2

# ---- other samples ------------------------------------------------------------------------------------------------------
for bits in 16 32; do
  "$NOTCH" simulate -q --size 800x500 --die 100x100 --layout blank --bits $bits --vignetting 0.2 --jitter 0 --gain 0 --defects 8 \
    --classes particle,pit --snr 14:30 --seed 3 -o deep.tif
  "$NOTCH" inspect -q --set reference.method=surface --format defects,haze -o deep deep.tif
  ok "$bits bits: all is found" "$NOTCH" score -q --min-capture 1 --max-false 1 deep-truth.csv deep/deep/defects.csv
done
is "float has no full scale: its haze is in grey levels" "$(told deep/deep/summary.json unit)" "grey levels"
"$NOTCH" inspect -q --set reference.method=surface --set reference.mesh_px=32 -o fine deep.tif
is "mesh_px is the side of a square" "$(told fine/deep/summary.json mesh_px)" 32
ok "the haze is no usual report" test -s fine/deep/map.png -a ! -e fine/deep/haze.png

# ---- what is excluded ---------------------------------------------------------------------------------------------------
# A white band across a bare wafer, rows 300 to 399: left out, it does not draw the background beside it.
"$NOTCH" simulate -q --size 768x768 --die 256x256 --layout blank --jitter 0 --gain 0 --defects 0 --pixel-um 1 --seed 2 -o band.tif
head -c 76800 /dev/zero | tr '\0' '\377' | dd of=band.tif bs=8 seek=$((1 + 300 * 768 / 8)) conv=notrunc 2>/dev/null
printf '[reference]\nmethod = surface\n[region band]\nkind = exclude\nframe = image\ny_um = 364\nwidth_um = 768\nheight_um = 108\n' >band.ini
"$NOTCH" inspect -q -r band.ini --format defects -o band band.tif
ok "what is excluded is no background" test "$(wc -l <band/band/defects.csv)" -le 2

# ---- what is not bare ---------------------------------------------------------------------------------------------------
"$NOTCH" simulate -q --size 512x512 --die 512x512 --layout logic --defects 0 --seed 4 -o die.tif
is "one die is no bare wafer" "$(status "$NOTCH" inspect -q -o none die.tif)" 2
"$NOTCH" inspect -q -o none die.tif 2>why.txt
ok "the way out is named" grep -q 'no dice were found.*\[reference\] method = surface' why.txt
is "who says so gets it" "$(status "$NOTCH" inspect -q --format haze -o forced --set reference.method=surface die.tif)" 0
ok "with a word that it is none" grep -q 'squares hold a pattern' forced/die/summary.json
"$NOTCH" simulate -q --size 1024x1024 --die 256x256 --defects 0 --seed 4 -o dice.tif
"$NOTCH" inspect -q --format haze -o dice dice.tif
is "dice are compared with dice" "$(told dice/dice/summary.json reference)" die
ok "and have no haze" test ! -e dice/dice/haze.png -a ! -e dice/dice/haze.csv
"$NOTCH" inspect -q -o none --set reference.mesh_px=8 bare.tif 2>why.txt
ok "a mesh that is too fine is an error" grep -q 'mesh_px.*16 to 256' why.txt
printf '[reference]\nmethod = surface\n[region all]\nkind = exclude\nwidth_um = 5000\nheight_um = 5000\n' >all.ini
"$NOTCH" inspect -q -o none -r all.ini deep.tif 2>why.txt
ok "nothing to inspect is an error" grep -q 'no square of .* px has enough pixels' why.txt
done_testing

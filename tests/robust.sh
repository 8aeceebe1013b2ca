#!/bin/sh
# What no user means to do: pixels that are no numbers, names that are no names, interruption, many workers.
# shellcheck source=tests/tap.sh disable=SC2016
. "$srcdir/tests/tap.sh"
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1

"$NOTCH" simulate -q --size 512x512 --die 128x128 --defects 4 --snr 30:40 --seed 3 --bits 32 -o good.tif || exit 1
"$NOTCH" simulate -q --size 512x512 --die 128x128 --defects 4 --snr 30:40 --seed 3 -o bytes.tif || exit 1

# put FILE X Y BYTES: a pixel of the float image; pixels begin at byte 8.
put () {
  # shellcheck disable=SC2059 # the format is the bytes
  printf "$4" | dd of="$1" bs=1 seek=$((8 + 4 * ($3 * 512 + $2))) conv=notrunc 2>/dev/null
}

# ---- pixels that are no numbers -------------------------------------------------------------------------------------------
"$NOTCH" inspect -q --format defects -o out good.tif
whole=$(wc -l <out/good/defects.csv)
is "the image has its defects" "$([ "$whole" -ge 4 ] && echo yes)" yes
for kind in NaN infinity huge; do
  case $kind in
  NaN) bytes='\000\000\300\177' ;;
  infinity) bytes='\000\000\200\177' ;;
  huge) bytes='\377\377\177\377' ;; # -3.4e38
  esac
  cp good.tif odd.tif
  put odd.tif 260 250 "$bytes"
  put odd.tif 10 500 "$bytes"
  "$NOTCH" inspect -q --format defects -o out odd.tif 2>message.txt
  is "$kind: exit status" "$?" 0
  is "$kind: it is told" "$(cat message.txt)" "notch: odd.tif: 2 pixels are no numbers; they were not inspected"
  is "$kind: no defect is lost, none comes" "$(wc -l <out/odd/defects.csv)" "$whole"
done
# A block of them in one die is not compared, and is no reference for the others.
cp good.tif block.tif
y=140
while [ $y -lt 160 ]; do
  x=140
  bytes=
  while [ $x -lt 160 ]; do
    bytes="$bytes\\000\\000\\300\\177"
    x=$((x + 1))
  done
  put block.tif 140 $y "$bytes"
  y=$((y + 1))
done
"$NOTCH" inspect -q --format defects -o out block.tif 2>message.txt
is "a block: it is counted" "$(grep -c ': 400 pixels are no numbers' message.txt)" 1
is "a block: nothing is found at its rim, nor in other dice" "$(($(wc -l <out/block/defects.csv) <= whole))" 1
{ head -c 8 good.tif; head -c $((512 * 512)) /dev/zero | tr '\0' '\377' >q; cat q q q q; tail -c +$((8 + 4 * 512 * 512 + 1)) good.tif; } >none.tif
"$NOTCH" inspect -q --format defects -o out none.tif 2>/dev/null
is "no number at all" "$?" 2
ok "no number at all: it is said" sh -c '"$NOTCH" inspect -q -o out none.tif 2>&1 | grep -q "^notch: none.tif: has no contrast, its pixels are 0 or no numbers; "'
"$NOTCH" inspect -q --format defects --reference good.tif -o out none.tif 2>/dev/null
is "no number at all, with a reference" "$?" 2

# ---- names ----------------------------------------------------------------------------------------------------------------
mkdir names names/in
for name in . .. summary.csv summary.json; do
  cp bytes.tif "names/in/$name.tif"
done
"$NOTCH" inspect -q --format defects -o names/out names/in/..tif names/in/...tif names/in/summary.csv.tif names/in/summary.json.tif
is "names that are not free: exit status" "$?" 0
is "nothing is written beside the output" "$(ls -A names)" "$(printf 'in\nout')"
ok "the table is a file" test -f names/out/summary.csv
is "every image has its folder" "$(find names/out -mindepth 1 -maxdepth 1 -type d | wc -l)" 4
cp bytes.tif names/noext
is "an image is no folder for its results" "$(cd names && status "$NOTCH" inspect -q --format defects -o . noext)" 0
ok "they are beside it" test -f names/noext -a -s names/noext-2/defects.csv
new='line
break'
"$NOTCH" inspect -q -o names/out "$new.tif" 2>message.txt
is "a name with a line break gives one line" "$(wc -l <message.txt)" 1
ok "it is written so that it can be read" grep -q 'line\\x0abreak.tif' message.txt

# ---- what was there before ------------------------------------------------------------------------------------------------
cp bytes.tif again.tif
"$NOTCH" inspect -q -o again again.tif
ok "an image is done" test -s again/again/overlay.png -a -s again/again/crops/1.png -a -s again/again/recipe.ini
: >again/again/note.txt
: >again/again/.map.png.2147483647-00000001.partial
echo nothing >again.tif
"$NOTCH" inspect -q -o again again.tif 2>/dev/null
is "an image that fails now keeps no report of before, and what is not ours" "$(ls -A again/again)" note.txt
# A recipe that was written there may be followed, edited or not.
"$NOTCH" inspect -q --format defects,recipe -o again bytes.tif
echo '# by hand' >>again/bytes/recipe.ini
cp again/bytes/recipe.ini edited.ini
mkdir bad
echo nothing >bad/bytes.tif
"$NOTCH" inspect -q -r again/bytes/recipe.ini -o again bad/bytes.tif 2>/dev/null
ok "an image that fails leaves the recipe that is followed" cmp edited.ini again/bytes/recipe.ini
is "and no report" "$(ls -A again/bytes)" recipe.ini
is "an image that does not needs it, too" \
  "$(status "$NOTCH" inspect -q --format defects -r again/bytes/recipe.ini -o again bytes.tif)" 0
ok "it is still there" cmp edited.ini again/bytes/recipe.ini
ok "beside the defects" test -s again/bytes/defects.csv

# ---- workers --------------------------------------------------------------------------------------------------------------
cat >region.ini <<'END'
[region core]
kind = care
x_um = 4
y_um = 4
width_um = 60
height_um = 60
sensitivity = 0.8
[region mark]
kind = exclude
x_um = 20
y_um = 20
width_um = 5
height_um = 5
END
cp block.tif float.tif
for jobs in 1 2 200; do
  "$NOTCH" inspect -q -j $jobs -o jobs$jobs bytes.tif float.tif 2>/dev/null
  "$NOTCH" inspect -q -j $jobs -r region.ini --set wafer.pixel_um=0.6 -o jobs$jobs/region bytes.tif float.tif 2>/dev/null
  find jobs$jobs -name summary.json -exec sed -i '/"seconds"/,/}/d' {} + # how long it took
  sed -i 's/\(,[0-9.]*\)\{4\},cpu: /,cpu: /' jobs$jobs/summary.csv jobs$jobs/region/summary.csv
done
ok "two images, twice: everything is written" test -s jobs1/float/crops/1.png -a -s jobs1/region/bytes/recipe.ini
ok "one worker and two: the same, byte by byte" diff -r jobs1 jobs2
ok "one worker and two hundred: the same" diff -r jobs1 jobs200
if sh -c 'ulimit -v 1500000 && "$NOTCH" --version' >/dev/null 2>&1; then # under the address sanitizer nothing starts so
  sh -c 'ulimit -v 1500000; exec "$NOTCH" inspect -q -j 200 --format defects -o many bytes.tif' 2>message.txt
  is "workers that have nothing to do take no memory" "$?" 0
else
  skip "workers that have nothing to do take no memory" "no limit on memory here"
fi

# ---- tiles ----------------------------------------------------------------------------------------------------------------
for tile in 180 160 360 500; do
  "$NOTCH" inspect -q --format defects --set detect.tile_px=$tile -o tiles bytes.tif 2>message.txt
  said=$?
  case $tile in
  180 | 500) is "tiles of $tile px are refused, with the way out" "$said/$(grep -c '256, 360' message.txt)" 2/1 ;;
  *) is "tiles of $tile px work" "$said" 0 ;;
  esac
done

# ---- a PNG without its end ------------------------------------------------------------------------------------------------
png=again.png
"$NOTCH" inspect -q --format overlay -o png bytes.tif
head -c -6 png/bytes/overlay.png >$png
ok "a PNG that is cut in its last chunk is refused" sh -c '"$NOTCH" inspect -q -o png again.png 2>&1 | grep -q "end cannot be read"'

# ---- interruption ---------------------------------------------------------------------------------------------------------
"$NOTCH" simulate -q --size 6144x6144 --die 256x256 --defects 0 --seed 5 -o large.tif
mkdir -p late/large
touch late/large/defects.csv late/large/recipe.ini late/large/summary.json
"$NOTCH" inspect -q -o late large.tif &
process=$!
sleep 1
kill -INT $process
start=$(date +%s)
wait $process
is "an interrupted survey: exit status" "$?" 130
is "it ends at once" "$(($(date +%s) - start <= 5))" 1
is "nothing half written is left" "$(find late -name '*.partial' | wc -l)" 0
is "what was there is, and is not finished" "$(ls -A late/large)" "$(printf 'defects.csv\nrecipe.ini')"
done_testing

#!/bin/sh
# Trouble: one clear line, exit status 2, and the other images of the batch are done.
# shellcheck source=tests/tap.sh disable=SC2016
. "$srcdir/tests/tap.sh"
dir=$(mktemp -d)
trap 'chmod -R u+w "$dir"; rm -rf "$dir"' EXIT
cd "$dir" || exit 1

# Fontconfig keeps here what it found, from the first picture on. Where it cannot, for it has no home or the disk is full, it says so.
XDG_CACHE_HOME=$dir/cache
export XDG_CACHE_HOME

"$NOTCH" simulate -q --size 384x384 --die 96x96 --defects 3 --snr 20:40 --seed 3 -o good.tif || exit 1
cp good.tif after.tif
broken=
run=0

# trouble NAME PATTERN IMAGE [OPTION…]: one image alone; the batch of all of them follows.
trouble () {
  name=$1
  pattern="^notch: $3: .*$2"
  broken="$broken $3"
  shift 2
  run=$((run + 1))
  "$NOTCH" inspect --no-progress --format defects,dice -o "out$run" "$@" 2>message.txt
  is "$name: exit status" "$?" 2
  is "$name: one line" "$(wc -l <message.txt)" 1
  is "$name: it names the file, says what and what to do" "$(grep -c "$pattern.*[;,] [a-z]" message.txt)" 1
  [ "$(grep -c "$pattern" message.txt)" = 1 ] || sed 's/^/# /' message.txt
  is "$name: it names the file once" "$(grep -o "$1" message.txt | wc -l)" 1
}

# word VALUE: two bytes, low first. long VALUE: four.
word () {
  # shellcheck disable=SC2059 # the format is the bytes
  printf "\\$(printf '%03o' $(($1 & 255)))\\$(printf '%03o' $(($1 >> 8 & 255)))"
}
long () {
  word $(($1 & 65535))
  word $(($1 >> 16 & 65535))
}
entry () { # TAG TYPE COUNT VALUE
  word "$1"
  word "$2"
  long 1
  long "$3"
}
# tiff WIDTH HEIGHT BITS SAMPLEFORMAT: a header that promises, and eight bytes of data.
tiff () {
  printf 'II*\0'
  long 8
  word 9
  entry 256 4 "$1"
  entry 257 4 "$2"
  entry 258 3 "$3"
  entry 259 3 1
  entry 262 3 1
  entry 273 4 200
  entry 278 4 "$2"
  entry 279 4 8
  entry 339 3 "$4"
  long 0
  head -c 200 /dev/zero
}

# big VALUE: four bytes, high first. crc: that of PNG, which is gzip's.
big () {
  # shellcheck disable=SC2059
  printf "\\$(printf '%03o' $(($1 >> 24 & 255)))\\$(printf '%03o' $(($1 >> 16 & 255)))\\$(printf '%03o' $(($1 >> 8 & 255)))\\$(printf '%03o' $(($1 & 255)))"
}
crc () {
  big "$((0x$(gzip -c | tail -c 8 | head -c 4 | od -An -tx1 | awk '{ print $4 $3 $2 $1 }')))"
}
# png WIDTH HEIGHT: likewise.
png () {
  { printf IHDR; big "$1"; big "$2"; printf '\010\000\000\000\000'; } >header
  printf '\211PNG\r\n\032\n'
  big 13
  cat header
  crc <header
  big 100
  printf IDAT
  head -c 200 /dev/zero
}

# ---- images that cannot be read -------------------------------------------------------------------------------------------
trouble "a missing image" "No such file" missing.tif
mkdir folder.tif
trouble "a folder" "is a folder" folder.tif
: >empty.tif
trouble "an empty file" "is empty" empty.tif
echo "this is no image" >text.tif
trouble "a text" "is not an image" text.tif
head -c 100000 good.tif >cut.tif
trouble "a truncated TIFF" "damaged or cut short" cut.tif
tiff 64 64 8 1 >short.tif
trouble "a TIFF without its last rows" "rows 0 to 63" short.tif
head -c 6 good.tif >stub.tif
trouble "a TIFF of six bytes" "not a whole TIFF" stub.tif
{ head -c 8 good.tif; head -c 300000 /dev/zero | tr '\0' 'U'; } >corrupt.tif
trouble "a corrupt TIFF" "damaged" corrupt.tif
tiff 0 0 8 1 >none.tif
trouble "no pixels" "damaged" none.tif
tiff 2147483647 2147483647 8 1 >absurd.tif
trouble "absurd dimensions" "2147483647 x 2147483647" absurd.tif
png 2000000000 2000000000 >absurd.png
trouble "absurd dimensions of a PNG" "2000000000 x 2000000000" absurd.png
tiff 64 1 64 3 >double.tif
trouble "samples of double precision" "floating-point samples of 64 bits" double.tif
tiff 64 1 64 6 >complex.tif
trouble "complex samples" "complex samples of 64 bits" complex.tif
"$NOTCH" inspect -q --format overlay -o png good.tif
head -c 20000 png/good/overlay.png >cut.png
trouble "a truncated PNG" "ends too early" cut.png
head -c 20 png/good/overlay.png >stub.png
trouble "a PNG without a header" "header cannot be read" stub.png
{ head -c 2000 png/good/overlay.png; head -c 5000 /dev/zero; tail -c +7001 png/good/overlay.png; } >corrupt.png
trouble "a corrupt PNG" "cannot be decoded" corrupt.png

# All of them in one batch, with a good image before and one after.
# shellcheck disable=SC2086 # a list of names
set -- $broken
# shellcheck disable=SC2086
"$NOTCH" inspect -q --format defects -o batch good.tif $broken after.tif 2>message.txt
is "a batch: exit status" "$?" 2
is "a batch: a line for each broken image" "$(wc -l <message.txt)" $#
ok "a batch: the good images are done" test -s batch/good/summary.json -a -s batch/after/summary.json
is "a batch: nothing else is there" "$(find batch -mindepth 1 -maxdepth 1 | wc -l)" 3
is "a batch: every image has its row" "$(grep -c '^[a-z]*\.[tp][in][fg],' batch/summary.csv)" $(($# + 2))
is "a batch: the broken ones are trouble" "$(grep -c '^[a-z]*\.[tp][in][fg],[^,]*,trouble,' batch/summary.csv)" $#
trouble "a page that is not there" "has 1 page" good.tif --page 7

# ---- images that cannot be inspected --------------------------------------------------------------------------------------
"$NOTCH" simulate -q --size 512x512 --die 512x512 --defects 0 -o single.tif
trouble "one die alone" "no dice.*recipe" single.tif
"$NOTCH" simulate -q --size 512x512 --die 128x128 --layout blank --read-noise 0 --shot-noise 0 --defects 0 -o flat.tif
trouble "no dice to be seen, nor noise" "no dice" flat.tif
# The pixels of what simulate writes begin at byte 8, the directory is at the end.
{ head -c 8 flat.tif; head -c $((512 * 512)) /dev/zero | tr '\0' '!'; tail -c +$((8 + 512 * 512 + 1)) flat.tif; } >grey.tif
trouble "nothing to be seen at all" "no contrast, all of it is at level 33" grey.tif
{
  head -c 8 flat.tif
  awk 'BEGIN {
    srand(5)
    for (i = 0; i < 103 * 103; i++) level[i] = 33 + int(90 * rand())
    for (i = 0; i < 512 * 512; i++) printf "%c", level[int(i / 512 / 5) * 103 + int(i % 512 / 5)]
  }'
  tail -c +$((8 + 512 * 512 + 1)) flat.tif
} >blocks.tif
trouble "a pattern that does not repeat" "no dice" blocks.tif
"$NOTCH" simulate -q --size 100x100 --die 100x100 --defects 0 -o tiny.tif
cat >die.ini <<'END'
[dice]
pitch_x_px = 128
pitch_y_px = 128
END
run=$((run + 1))
"$NOTCH" inspect --no-progress -r die.ini --format defects -o "out$run" tiny.tif good.tif 2>message.txt
is "an image smaller than a die: exit status" "$?" 2
is "an image smaller than a die: one line" "$(wc -l <message.txt)" 1
ok "an image smaller than a die: named" grep -q "^notch: tiny.tif: .*die" message.txt
ok "an image smaller than a die: the other is done" test -s "out$run/good/summary.json"

# A die, and a row of dice, overwritten with something else: raw pixels of the uncompressed image.
"$NOTCH" simulate -q --size 1024x1024 --die 128x128 --defects 0 --seed 6 -o plain.tif
"$NOTCH" simulate -q --size 1024x1024 --die 128x128 --defects 0 --seed 77 -o other.tif
pixels=8
paste_rows () { # FROM FIRST-ROW ROWS: into x.tif; both files have their pixels at one place
  tail -c +$((pixels + $2 * 1024 + 1)) "$1" | head -c $(($3 * 1024)) \
    | dd of=x.tif bs=64k seek=$((pixels + $2 * 1024)) oflag=seek_bytes conv=notrunc 2>/dev/null
}
cp plain.tif x.tif
paste_rows other.tif 256 128
cp x.tif row.tif
trouble "a row of dice that differs" "differ from the neighbours" row.tif after.tif
ok "a row of dice that differs: its results are there" test -s "out$run/row/defects.csv"
ok "a row of dice that differs: the dice have failed" grep -q ',failed$' "out$run/row/dice.csv"
is "with a limit on failed dice it is a reject" "$(status "$NOTCH" inspect --set limits.failed_dice=2 -o limit row.tif)" 1
# A row of dice that is shifted, here by rows of the image, is no row of larger dice.
cp plain.tif x.tif
for y in 0 32 64 96; do
  tail -c +$((pixels + (384 + (y + 40) % 128) * 1024 + 1)) plain.tif | head -c $((32 * 1024)) \
    | dd of=x.tif bs=64k seek=$((pixels + (384 + y) * 1024)) oflag=seek_bytes conv=notrunc 2>/dev/null
done
"$NOTCH" recipe new -q -o shifted.ini x.tif
is "a row of dice that is shifted leaves the pitch" \
  "$(sed -n 's/^pitch_[xy]_px=//p' shifted.ini | awk '{ printf "%.0f ", $1 }')" "128 128 "
cp plain.tif x.tif
row=256
while [ $row -lt 384 ]; do
  head -c 128 /dev/zero | tr '\0' '<' | dd of=x.tif bs=1 seek=$((pixels + row * 1024 + 384)) conv=notrunc 2>/dev/null
  row=$((row + 1))
done
cp x.tif blank.tif
trouble "a blank die" "blank" blank.tif
ok "a blank die: its results are there" test -s "out$run/blank/defects.csv"
is "a blank die that a limit allows is a pass" \
  "$(status "$NOTCH" inspect --set limits.failed_dice=1 --format defects -o limit blank.tif)" 0
is "one that it does not is a reject" \
  "$(status "$NOTCH" inspect --set limits.failed_dice=0 --format defects -o limit blank.tif)" 1
"$NOTCH" inspect --no-progress --set limits.defects_per_die=1 --reference plain.tif --format defects -o judge plain.tif 2>message.txt
is "a limit that cannot be judged: exit status" "$?" 2
is "a limit that cannot be judged: it is said" "$(grep -c "^notch: plain.tif: .*cannot be judged" message.txt)" 1

# ---- recipes and options --------------------------------------------------------------------------------------------------
printf '[detect]\n\nfalse_alarm = 1\n' >typo.ini
is "an unknown key: exit status" "$(status "$NOTCH" inspect -r typo.ini -o typo good.tif)" 2
ok "an unknown key: file, line, and the key that was meant" sh -c \
  '"$NOTCH" inspect -r typo.ini -o typo good.tif 2>&1 | grep -q "typo.ini:3: .*false_alarm.*false_alarms"'
printf '[detect]\nfalse_alarms = -5\n' >range.ini
ok "a value out of range: the range" sh -c '"$NOTCH" inspect -r range.ini -o range good.tif 2>&1 | grep -q "range.ini:2: .*false_alarms.*to "'
"$NOTCH" inspect --false-alarms -1 -o range good.tif 2>message.txt
is "a value out of range by an option of its own: that one is named" \
  "$(grep -c '^notch: --false-alarms -1: .*to ' message.txt)/$(grep -c -- --set message.txt)" 1/0
is "an empty name for an image" "$("$NOTCH" inspect -o empty '' 2>&1)" "notch: an empty file name; name an image"
is "a bad rule" "$(status "$NOTCH" inspect --set "classify.class.odd=elongation >" -o rule good.tif)" 2
is "an unknown report" "$(status "$NOTCH" inspect --format tea -o report good.tif)" 2
is "a limit for a class that is not there" "$(status "$NOTCH" inspect --set limits.class.tea=1 -o class good.tif)" 2
is "a device that is not there" "$(status "$NOTCH" inspect --device cuda:63 -o device good.tif)" 2
is "a reference that is not there is told once" \
  "$("$NOTCH" inspect --reference missing.tif -o reference good.tif good.tif 2>&1 | grep -c "^notch: .*missing.tif: ")" 1
is "an empty name for the output" "$(status "$NOTCH" inspect -o "" good.tif)" 2
is "a reference of another size" "$(status "$NOTCH" inspect --reference single.tif -o reference plain.tif)" 2
is "jobs below one" "$(status "$NOTCH" inspect -j -3 -o jobs good.tif)" 2
is "no image at all" "$(status "$NOTCH" inspect -o nothing)" 2

# ---- output ---------------------------------------------------------------------------------------------------------------
echo "in the way" >file
is "a file in the output folder's place" "$(status "$NOTCH" inspect -o file good.tif)" 2
ok "it is named" sh -c '"$NOTCH" inspect -o file/deep good.tif 2>&1 | grep -q "^notch: file/deep: "'
mkdir -p taken
: >taken/good
"$NOTCH" inspect -q --format defects -o taken good.tif after.tif 2>message.txt
is "a file in the place of an image's folder: exit status" "$?" 2
is "one line that names it" "$(grep -c "^notch: taken/good: " message.txt)/$(wc -l <message.txt)" 1/1
ok "the other image is done" test -s taken/after/summary.json
if [ "$(id -u)" = 0 ]; then
  skip "a folder that may not be written to" "root may write everywhere"
else
  mkdir -p locked
  chmod 500 locked
  is "a folder that may not be written to" "$("$NOTCH" inspect -o locked good.tif 2>&1 | grep -c "^notch: locked: ")" 1
fi
# A full disk: no file may grow beyond so many blocks of 512 bytes.
full () { # BLOCKS IMAGE…
  sh -c 'ulimit -f $1; shift; exec "$NOTCH" inspect -q -o full "$@"' sh "$@" 2>message.txt
}
full 16 good.tif after.tif
is "a full disk: exit status" "$?" 2
# In a build that counts which lines are reached, what counts them cannot write either.
is "a full disk: a line an image" "$(grep -c '^notch: full/[a-z]*/[a-z]*.png: .*make room' message.txt)/$(grep -vc '^libgcov' message.txt)" 2/2
grep -v '^notch: ' message.txt | sed 's/^/# besides: /'
is "a full disk: nothing half written has a name" "$(find full -name '*.png' -size -1k -o -name '.*.partial' | wc -l)" 0
ok "a full disk: the images are not finished" test ! -e full/good/summary.json -a ! -e full/after/summary.json
is "with room again it goes on" "$(status "$NOTCH" inspect -q --resume -o full good.tif after.tif)" 0
ok "and finishes" test -s full/good/summary.json -a -s full/after/overlay.png
done_testing

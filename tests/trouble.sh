#!/bin/sh
# Trouble: one clear line, exit status 2, and the other images of the batch are done.
# shellcheck source=tests/tap.sh disable=SC2016
. "$srcdir/tests/tap.sh"
dir=$(mktemp -d)
trap 'chmod -R u+w "$dir"; rm -rf "$dir"' EXIT
cd "$dir" || exit 1

"$NOTCH" simulate -q --size 512x512 --die 128x128 --defects 3 --snr 20:40 --seed 3 -o good.tif || exit 1
cp good.tif after.tif
run=0

# trouble NAME PATTERN ARGUMENT…: inspects the broken image between two good ones.
trouble () {
  name=$1
  pattern=$2
  shift 2
  run=$((run + 1))
  "$NOTCH" inspect --no-progress --format defects,dice -o "out$run" good.tif "$@" after.tif 2>message.txt
  is "$name: exit status" "$?" 2
  is "$name: one line" "$(wc -l <message.txt)" 1
  is "$name: it says what and what to do" "$(grep -c "^notch: .*$pattern" message.txt)" 1
  [ "$(grep -c "$pattern" message.txt)" = 1 ] || sed 's/^/# /' message.txt
  ok "$name: the others are done" test -s "out$run/good/summary.json" -a -s "out$run/after/summary.json"
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

# ---- images that cannot be read -------------------------------------------------------------------------------------------
trouble "a missing image" "missing.tif.*No such file" missing.tif
mkdir folder.tif
trouble "a folder" "folder.tif" folder.tif
: >empty.tif
trouble "an empty file" "empty.tif.*empty" empty.tif
echo "this is no image" >text.tif
trouble "a text" "text.tif.*TIFF" text.tif
head -c 100000 good.tif >cut.tif
trouble "a truncated TIFF" "cut.tif" cut.tif
{ head -c 8 good.tif; head -c 300000 /dev/zero | tr '\0' 'U'; } >corrupt.tif
trouble "a corrupt TIFF" "corrupt.tif" corrupt.tif
tiff 0 0 8 1 >none.tif
trouble "no pixels" "none.tif" none.tif
tiff 2147483647 2147483647 8 1 >absurd.tif
trouble "absurd dimensions" "absurd.tif" absurd.tif
tiff 64 1 64 3 >double.tif
trouble "a sample format that is not read" "double.tif.*64" double.tif
"$NOTCH" inspect -q --format overlay -o png good.tif
head -c 20000 png/good/overlay.png >cut.png
trouble "a truncated PNG" "cut.png" cut.png
{ head -c 2000 png/good/overlay.png; head -c 5000 /dev/zero; tail -c +7001 png/good/overlay.png; } >corrupt.png
trouble "a corrupt PNG" "corrupt.png" corrupt.png
is "a page that is not there" "$(status "$NOTCH" inspect --page 7 -o page good.tif)" 2

# ---- images that cannot be inspected --------------------------------------------------------------------------------------
"$NOTCH" simulate -q --size 512x512 --die 512x512 --defects 0 -o single.tif
trouble "one die alone" "single.tif.*no dice.*recipe" single.tif
"$NOTCH" simulate -q --size 512x512 --die 128x128 --layout blank --defects 0 -o flat.tif
trouble "no dice to be seen" "flat.tif.*no dice" flat.tif
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
size=$(wc -c <plain.tif)
first=$((size - 1024 * 1024))
paste_rows () { # FROM FIRST-ROW ROWS: into x.tif; both files have their pixels at one place
  dd if="$1" of=x.tif bs=1 skip=$((pixels + $2 * 1024)) seek=$((pixels + $2 * 1024)) count=$(($3 * 1024)) conv=notrunc 2>/dev/null
}
pixels=$(od -An -tu4 -j4 -N4 plain.tif | tr -d ' ')
[ "$pixels" -gt 1000000 ] && pixels=8 || pixels=$first
cp plain.tif x.tif
paste_rows other.tif 256 128
cp x.tif row.tif
trouble "a row of dice that differs" "row.tif.*differ" row.tif
ok "a row of dice that differs: its results are there" test -s "out$run/row/defects.csv"
ok "a row of dice that differs: the dice have failed" grep -q ',failed$' "out$run/row/dice.csv"
is "with a limit on failed dice it is a reject" "$(status "$NOTCH" inspect --set limits.failed_dice=2 -o limit row.tif)" 1
cp plain.tif x.tif
row=256
while [ $row -lt 384 ]; do
  head -c 128 /dev/zero | tr '\0' '<' | dd of=x.tif bs=1 seek=$((pixels + row * 1024 + 384)) conv=notrunc 2>/dev/null
  row=$((row + 1))
done
cp x.tif blank.tif
trouble "a blank die" "blank.tif.*blank" blank.tif
ok "a blank die: its results are there" test -s "out$run/blank/defects.csv"

# ---- recipes and options --------------------------------------------------------------------------------------------------
printf '[detect]\n\nfalse_alarm = 1\n' >typo.ini
is "an unknown key: exit status" "$(status "$NOTCH" inspect -r typo.ini -o typo good.tif)" 2
ok "an unknown key: file, line, and the key that was meant" sh -c \
  '"$NOTCH" inspect -r typo.ini -o typo good.tif 2>&1 | grep -q "typo.ini:3: .*false_alarm.*false_alarms"'
printf '[detect]\nfalse_alarms = -5\n' >range.ini
ok "a value out of range: the range" sh -c '"$NOTCH" inspect -r range.ini -o range good.tif 2>&1 | grep -q "range.ini:2: .*false_alarms.*to "'
is "a bad rule" "$(status "$NOTCH" inspect --set "classify.class.odd=elongation >" -o rule good.tif)" 2
is "an unknown report" "$(status "$NOTCH" inspect --format tea -o report good.tif)" 2
is "a limit for a class that is not there" "$(status "$NOTCH" inspect --set limits.class.tea=1 -o class good.tif)" 2
is "a device that is not there" "$(status "$NOTCH" inspect --device cuda:63 -o device good.tif)" 2
is "a reference of another size" "$(status "$NOTCH" inspect --reference single.tif -o reference plain.tif)" 2
is "jobs below one" "$(status "$NOTCH" inspect -j -3 -o jobs good.tif)" 2
is "no image at all" "$(status "$NOTCH" inspect -o nothing)" 2

# ---- output ---------------------------------------------------------------------------------------------------------------
echo "in the way" >file
is "a file in the output folder's place" "$(status "$NOTCH" inspect -o file good.tif)" 2
ok "it is named" sh -c '"$NOTCH" inspect -o file/deep good.tif 2>&1 | grep -q "^notch: file/deep: "'
# A full disk: no file may grow beyond 8 blocks of 512 bytes; the shell ignores the signal, notch inherits that.
sh -c 'trap "" XFSZ; ulimit -f 8; "$NOTCH" inspect --no-progress -o full good.tif 2>message.txt; echo $? >code.txt' 2>/dev/null
is "a full disk: exit status" "$(cat code.txt)" 2
ok "a full disk: it is said" grep -q "^notch: .*full/" message.txt
is "a full disk: nothing half written has a name" "$(find full -name overlay.png -o -name '.*.partial' | wc -l)" 0
done_testing

#!/bin/sh
# notch learn and notch inspect --golden from the outside: one wafer teaches, another is inspected; files that lie.
# shellcheck source=tests/tap.sh disable=SC2016
. "$srcdir/tests/tap.sh"
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1

# One drawing of a die for all wafers: the product.
"$NOTCH" simulate -q --size 256x256 --die 256x256 --vignetting 0 --jitter 0 --gain 0 --focus 0 --shot-noise 0 \
  --read-noise 0 --blur 0.3 --defects 0 --seed 3 -o die.tif || exit 1
wafer () {
  "$NOTCH" simulate -q --layout die.tif "$@" || exit 1
}
wafer --size 1280x1280 --defects 6 --snr 12:40 --seed 11 -o lot1.tif
wafer --size 1280x1024 --defects 0 --seed 12 --jitter 0.5 -o lot2.tif
wafer --size 1024x1024 --classes particle,pit --defects 20 --snr 12:40 --seed 21 -o test.tif
wafer --size 1024x1024 --defects 0 --seed 31 -o clean1.tif
wafer --size 1024x1024 --defects 0 --seed 32 -o clean2.tif

# ---- learn --------------------------------------------------------------------------------------------------------------
is "learning tells what was learned" \
  "$("$NOTCH" learn -o golden.tif lot1.tif lot2.tif 2>&1 | grep -c '^golden.tif: a die of 25[56]\.[0-9]* x 25[56]\.[0-9]* px from 45 dice of 2 images$')" 1
is "--quiet tells nothing" "$("$NOTCH" learn -q -o again.tif -j1 lot1.tif lot2.tif 2>&1)" ""
ok "one thread: the same bytes" cmp golden.tif again.tif
"$NOTCH" learn -q -o again.tif -j3 --set detect.memory_mib=16 lot1.tif lot2.tif
ok "three threads and little memory: the same bytes" cmp golden.tif again.tif
mkfifo pipe
timeout 60 cat pipe >piped.tif &
"$NOTCH" learn -q -o pipe lot1.tif lot2.tif
wait
ok "a pipe gets the same bytes" cmp golden.tif piped.tif
is "nothing else is left in the folder" "$(find . -name '.*' -type f | wc -l)" 0
is "no output: told, status 2" "$("$NOTCH" learn lot1.tif 2>&1; echo $?)" \
  "$(printf 'notch: say where the golden reference goes: notch learn -o GOLDEN.tif IMAGE…\n2')"
is "an image that is not there" "$(status "$NOTCH" learn -o none.tif lot1.tif missing.tif)" 2
ok "nothing is written then" test ! -e none.tif
"$NOTCH" simulate -q --size 900x900 --die 180x180 --seed 5 -o other.tif
is "dice of another size are refused" \
  "$("$NOTCH" learn -o none.tif lot1.tif other.tif 2>&1 | grep -c '^notch: other.tif: lot1.tif shows a die of 25[56]\..* 1[78][0-9]\..*learn one from this product')" 1
"$NOTCH" simulate -q --size 1024x1024 --die 256x256 --defects 0 --seed 6 -o product.tif
is "another product is refused" \
  "$("$NOTCH" learn -o none.tif lot1.tif product.tif 2>&1 | grep -c '^notch: product.tif: its dice do not look like those of lot1.tif (correlation ')" 1
is "a folder that is not there" "$(status "$NOTCH" learn -o nowhere/golden.tif lot1.tif)" 2

# ---- inspect ------------------------------------------------------------------------------------------------------------
is "inspection by a golden reference" "$(status "$NOTCH" inspect --golden golden.tif -o out test.tif clean1.tif clean2.tif)" 0
ok "what was planted is found" "$NOTCH" score --min-snr 12 --min-capture 0.95 --max-false 1 \
  test-truth.csv out/test/defects.csv
ok "two clean wafers have at most one defect" test "$(cat out/clean?/defects.csv | wc -l)" -le 3
ok "summary.json names the method" grep -q '"golden"' out/test/summary.json
"$NOTCH" inspect -q -j1 --golden golden.tif --format defects,dice -o one test.tif
ok "one thread: the same bytes" cmp one/test/defects.csv out/test/defects.csv
ok "one thread: the same dice" cmp one/test/dice.csv out/test/dice.csv
mkdir recipes && cp golden.tif recipes/
printf '[reference]\ngolden = golden.tif\n' >recipes/product.ini
"$NOTCH" inspect -q -r recipes/product.ini --format defects -o recipe test.tif
ok "a recipe's golden reference lies beside it" cmp recipe/test/defects.csv out/test/defects.csv
# Twenty false alarms are allowed on each of two images: 40, give or take four times their root.
"$NOTCH" inspect -q --golden golden.tif --false-alarms 20 --format defects -o many clean1.tif clean2.tif
alarms=$(($(cat many/clean?/defects.csv | wc -l) - 2))
ok "the promise of false alarms is kept: $alarms of 40" test $alarms -ge 15 -a $alarms -le 65

# ---- files that lie -----------------------------------------------------------------------------------------------------
# refused NAME GOLDEN IMAGE PATTERN [UM]: status 2 and one line with the pattern.
refused () {
  message=$("$NOTCH" inspect -q --golden "$2" --set "wafer.pixel_um=${5:-0.5}" -o bad "$3" 2>&1)
  is "$1: status, lines, pattern" "$? $(echo "$message" | wc -l) $(echo "$message" | grep -c "$4")" "2 1 1"
}
refused "dice of another size" golden.tif other.tif 'golden.tif shows a die of 25[56]\..*learn one from this product'
refused "another product" golden.tif product.tif 'product.tif: the dice do not look like those of .*golden.tif (correlation '
refused "another scale" golden.tif test.tif 'pixels of 0.5 µm and these have 0.6 µm' 0.6
refused "no golden reference" lot1.tif test.tif '^notch: .*lot1.tif: is no golden reference; make one with notch learn'
refused "no file" missing.tif test.tif '^notch: .*missing.tif: cannot be opened'
refused "no image" "$srcdir/tests/cli-learn.sh" test.tif '^notch: .*cli-learn.sh: is not an image of a known format'
size=$(wc -c <golden.tif)
for part in 10 50 90; do
  head -c $((size * part / 100)) golden.tif >cut.tif
  refused "cut to $part %" cut.tif test.tif '^notch: .*cut.tif: '
done
sed 's/"notch_golden" : 1/"notch_golden" : 9/' golden.tif >version.tif
refused "another version" version.tif test.tif 'version.tif: is a golden reference of version 9 and this program reads'
is "without a file: told" \
  "$("$NOTCH" inspect -q --set reference.method=golden -o bad test.tif 2>&1 | grep -c 'give --golden FILE or \[reference\] golden')" 1
done_testing

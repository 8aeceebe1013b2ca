#!/bin/sh
# notch simulate from outside: suites and what overrides them, the files it writes, layouts from files.
# shellcheck source=tests/tap.sh
. "$srcdir/tests/tap.sh"
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1

# fact FILE KEY: a number or word of a truth's .json
fact () {
  sed -n "s/.*\"$2\": \"\{0,1\}\([^,\"}]*\).*/\1/p" "$1" | head -n 1
}

ok "a suite at a smaller size" \
  "$NOTCH" simulate -q --size 512x512 --die 128x128 --suite S3 --defects 6 --nuisances 2 --mask m.tif --clean c.tif -o a.tif
is "options count wherever they stand" "$(fact a-truth.json width) $(fact a-truth.json suite)" "512 S3"
is "the suite sets the rest" "$(sed -n 's/.*"clean".*"bits": \([0-9]*\).*/\1/p' a-truth.json)" 32
is "defects and nuisances are told apart" "$(fact a-truth.json defects) $(fact a-truth.json nuisance)" "6 2"
is "the truth has a row for each" "$(cut -d, -f15 a-truth.csv | tr '\n' ' ')" "nuisance 0 0 0 0 0 0 1 1 "
is "noise of 8 bits, as is" "$(fact a-truth.json a) $(fact a-truth.json b)" "1.083333333 0.020000000"
if command -v python3 >/dev/null; then
  ok "a-truth.json is JSON" python3 -m json.tool a-truth.json
else
  skip "a-truth.json is JSON" "no python3"
fi
ok "the mask and the clean image are there" test -s m.tif -a -s c.tif
cp a.tif b.tif
"$NOTCH" simulate -q --suite S3 --size 512x512 --die 128x128 --defects 6 --nuisances 2 -o a.tif
ok "the same options, the same image, whatever else is written" cmp a.tif b.tif
"$NOTCH" simulate -q --size 512x512 --die 128x128 --defects 6 -o plain.tif
is "and another one without the suite" "$(status cmp plain.tif a.tif)" 1
for suite in 1 2 3 4 5 6 7 8; do
  ok "--help and the man page have S$suite" \
    sh -c "\"$NOTCH\" simulate --help | grep -q '^  S$suite  ' && grep -q '^.It Cm S$suite' \"$srcdir/docs/notch-simulate.1\""
done
is "no such suite" "$("$NOTCH" simulate --suite S0 -o x.tif 2>&1)" "notch: there is no suite S0; choose from S1 to S8"
is "a wrong value names the option" "$("$NOTCH" simulate --ler much -o x.tif 2>&1)" \
  "notch: --ler wants a number from 0 to 2, not much"

# every class is in the man page
for class in $("$NOTCH" simulate --classes none -o x.tif 2>&1 | sed 's/.*choose from //; s/, or all//' | tr , ' '); do
  ok "the man page has class $class" grep -qw "Cm $class" "$srcdir/docs/notch-simulate.1"
done

# groups of every kind on one wafer keep clear of each other
is "repeaters, clusters and long scratches together" "$(status "$NOTCH" simulate -q --size 960x768 --die 96x96 --repeaters 2 \
  --reticle 2x2 --clusters 1 --long-scratches 1 --defects 6 --snr 15:40 --seed 9 -o groups.tif)" 0

# wafer maps
ok "maps" "$NOTCH" simulate -q --maps 24 --signature all,mixed,Center+Scratch --map-side 20:30 --seed 4 -o maps.csv
is "have a header and a row each" "$(head -n 1 maps.csv) $(wc -l <maps.csv)" "index,split,class,width,height,map 25"
is "their signatures are in turn" "$(sed -n '2p;10p;11p;24p' maps.csv | cut -d, -f3 | tr '\n' ' ')" "Center none Center+Edge-Loc Center+Scratch "
is "their digits are as many as their dice" \
  "$(awk -F, 'NR > 1 && (length ($6) != $4 * $5 || $4 < 20 || $5 > 30 || $6 !~ /^[012]*$/)' maps.csv)" ""
"$NOTCH" simulate -q --maps 24 --signature all,mixed,Center+Scratch --map-side 20:30 --seed 4 -o again.csv
ok "the same options, the same maps" cmp maps.csv again.csv
is "no such signature" "$("$NOTCH" simulate --maps 3 --signature Square -o x.csv 2>&1)" \
  "notch: signature has \"Square\"; choose from Center, Donut, Edge-Loc, Edge-Ring, Loc, Scratch, Near-full, Random, none, or all"
is "no maps" "$("$NOTCH" simulate --maps 0 -o x.csv 2>&1)" "notch: maps 0 are none; say how many"
is "too many maps" "$(status "$NOTCH" simulate --maps 1000000 -o x.csv)" 2
for signature in Center Donut Edge-Loc Edge-Ring Loc Scratch Near-full Random none; do
  ok "the man page has signature $signature" grep -qw "Cm $signature" "$srcdir/docs/notch-simulate.1"
done

# what is no regular file gets the bytes and stays what it is, and nothing stands beside it
mkfifo pipe
timeout 60 cat pipe >piped.tif &
"$NOTCH" simulate -q --size 256x256 --die 128x128 --defects 2 --seed 5 -o pipe
wait
"$NOTCH" simulate -q --size 256x256 --die 128x128 --defects 2 --seed 5 -o file.tif
ok "a pipe gets the image" cmp piped.tif file.tif
ok "and stays a pipe" test -p pipe
is "nothing is beside it" "$(find . -name 'pipe-*')" ""
is "nor beside a null device" \
  "$("$NOTCH" simulate -q --size 256x256 --die 128x128 --defects 2 -o /dev/null 2>&1; echo $?; find /dev -maxdepth 1 -name '*null?*')" 0
ok "which is one still" test -c /dev/null

# colour is read as luminance, and inspected
"$NOTCH" simulate -q --channels 3 --size 768x768 --die 128x128 --defects 8 --snr 20:40 --classes particle,pit --seed 4 -o rgb.tif
"$NOTCH" inspect -q --format defects -o out rgb.tif
ok "colour: all but one captured, at most one false alarm" \
  "$NOTCH" score -q --min-capture 0.8 --max-false 1 rgb-truth.csv out/rgb/defects.csv

# a die of real metal
"$NOTCH" simulate -q --layout "$srcdir/samples/metal-die.png" --dice 5x5 --defects 20 --snr 16:40 \
  --classes particle,pit,residue,cd --seed 6 -o metal.tif
"$NOTCH" inspect -q --set dice.pitch_x_px=512 --set dice.pitch_y_px=448 --format defects -o out metal.tif
"$NOTCH" score metal-truth.csv out/metal/defects.csv | sed -n '1,2s/^/# metal: /p'
ok "metal: 80 % captured, at most 3 false alarms" \
  "$NOTCH" score -q --min-capture 0.8 --max-false 3 metal-truth.csv out/metal/defects.csv
done_testing

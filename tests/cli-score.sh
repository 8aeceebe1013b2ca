#!/bin/sh
# notch score from the outside: several images, the files it writes, and the oracle.
# shellcheck source=tests/tap.sh disable=SC2016
. "$srcdir/tests/tap.sh"
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1

# Float images have no rounding, so the noise that is simulated is all the noise there is.
facts () { # IMAGE CLEAN SCALE A B
  printf '{"image": {"file": "%s.tif"}, "clean": {"file": "%s", "scale": %s}, "noise": {"a": %s, "b": %s}}\n' \
    "$1" "$2" "$3" "$4" "$5" >"$1-truth.json"
}
for seed in 1 2; do
  "$NOTCH" simulate -q --size 1024x1024 --die 256x256 --bits 32 --defects 28 --snr 4:16 --seed $seed --clean clean-$seed.tif -o $seed.tif
  facts $seed clean-$seed.tif 1 1 0.02
done
"$NOTCH" inspect -q --format defects,recipe -o out 1.tif 2.tif

# number NAME FILE: the first such number of a JSON file.
number () {
  sed -n "s/^ *\"$1\" *: *\\([-0-9.e]*\\),*\$/\\1/p" "$2" | head -n 1
}
"$NOTCH" score --json 1-truth.csv out/1/defects.csv >1.json
"$NOTCH" score --json 2-truth.csv out/2/defects.csv >2.json
ok "two images are scored" sh -c '"$0" score --json --megapixels 1.05 --promised 0.1 --froc froc.csv --plot plot.png \
  --oracle oracle 1-truth.csv out/1/defects.csv 2-truth.csv out/2/defects.csv >both.json' "$NOTCH"
is "captures add up" "$(number captured both.json)" "$(($(number captured 1.json) + $(number captured 2.json)))"
is "false alarms add up" "$(number false_alarms both.json)" "$(($(number false_alarms 1.json) + $(number false_alarms 2.json)))"
ok "the table has its columns" grep -q '^group,peak_snr_above,captured,truth,capture,capture_low,capture_high,false_alarms,' froc.csv
ok "and a row of all" grep -q '^all,' froc.csv
ok "a picture is drawn" sh -c 'head -c 8 plot.png | grep -q PNG'
ok "the oracle leaves its list" test -s oracle/2/2/defects.csv
ok "it finds more than nothing and no less than the other" test "$(number oracle_captured both.json)" -ge "$(($(number captured both.json) - 1))"
ok "and keeps its promise" test "$(number oracle_false_alarms both.json)" -le 1
ok "its noise is the simulator's" sh -c 'grep -q "^noise_a *= *1$" oracle/1/1/recipe.ini && grep -q "^noise_b *= *0.02" oracle/1/1/recipe.ini'
"$NOTCH" score --oracle again 1-truth.csv out/1/defects.csv >1.txt
ok "the same again is the same" cmp oracle/1/1/defects.csv again/1/defects.csv
ok "the report tells the gap" grep -q 'oracle   gap' 1.txt

# An image without defects leaves the oracle nothing but noise of the variance that it was told.
"$NOTCH" simulate -q --size 1024x1024 --die 256x256 --bits 16 --defects 0 --seed 3 -o 3.tif
"$NOTCH" simulate -q --size 1024x1024 --die 256x256 --bits 32 --defects 0 --seed 3 --clean clean-3.tif -o float.tif
"$NOTCH" inspect -q --format json --reference clean-3.tif --set reference.method=exact --set reference.scale=257 \
  --set reference.noise_a=66049 --set reference.noise_b=5.14 -o null 3.tif
rms=$(number z_rms null/3/summary.json)
ok "on another scale too: z is $rms" awk "BEGIN { exit !($rms > 0.99 && $rms < 1.01) }"
is "and finds nothing in it" "$(number defects null/3/summary.json)" 0

is "half a pair" "$(status "$NOTCH" score 1-truth.csv)" 2
rm 1-truth.json
is "no facts for the oracle" "$(status "$NOTCH" score --oracle none 1-truth.csv out/1/defects.csv)" 2
ok "are named" sh -c '"$0" score --oracle none 1-truth.csv out/1/defects.csv 2>&1 | grep -q "^notch: 1-truth.json: "' "$NOTCH"
echo '{"image": {"file": "1.tif"}, "clean": null, "noise": {"a": 1, "b": 0}}' >1-truth.json
ok "nor does it guess" sh -c '"$0" score --oracle none 1-truth.csv out/1/defects.csv 2>&1 | grep -q "does not name"' "$NOTCH"
done_testing

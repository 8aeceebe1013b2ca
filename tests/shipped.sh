#!/bin/sh
# The models that come with notch: found from anywhere, and right about wafers that nobody has seen.
# shellcheck source=tests/tap.sh
. "$srcdir/tests/tap.sh"
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1
for seed in 0 1; do
  "$NOTCH" simulate -q --suite S2 --size "$(few 2048x2048 1024x1024)" --defects "$(few 64 16)" --clean-bits 0 --seed 9021$seed -o fresh$seed.tif || exit 1
done
mv fresh0.tif fresh.tif && mv fresh0-truth.csv fresh-truth.csv
"$NOTCH" inspect -q --model shipped --format defects,json,recipe -o out fresh.tif fresh1.tif || exit 1
is "the summary names it" "$(grep -c '"file" : "shipped"' out/fresh/summary.json)" 1
is "it knows the simulator's classes, and unknown" "$(head -n 1 out/summary.csv | tr , '\n' | grep -c '^class_')" 17
"$NOTCH" validate shipped out >told 2>&1
f1=$(sed -n 's/^macro-F1 *\([0-9.]*\).*/\1/p' told)
least=$(few 0.9 0.8) # few say less
ok "macro-F1 on wafers of its own kind: $f1, at least $least" awk "BEGIN { exit !(${f1:-0} >= $least) }"
"$NOTCH" inspect -q --format defects,json -o later fresh.tif
"$NOTCH" classify -q --model shipped later
ok "what is classified later is the same" cmp out/fresh/defects.csv later/fresh/defects.csv
mkdir recipes && cp out/fresh/recipe.ini recipes/
"$NOTCH" inspect -q -r recipes/recipe.ini --format defects,json -o again fresh.tif
ok "a recipe in another folder means the same model" cmp out/fresh/defects.csv again/fresh/defects.csv
is "--resume leaves out what it has classified" \
  "$("$NOTCH" inspect -r recipes/recipe.ini --resume --format defects,json -o again fresh.tif 2>&1 | grep -c 'from an earlier run')" 1
echo nothing >shipped
is "a file of that name is named with its folder" "$(status "$NOTCH" inspect -q --model ./shipped -o bad fresh.tif)" 2
is "and in a recipe likewise" "$(status "$NOTCH" inspect -q --set classify.model=./shipped -o bad fresh.tif)" 2

# ---- wafers ---------------------------------------------------------------------------------------------------------------
"$NOTCH" simulate -q --wafer --size 1024x1024 --die 96x96 --classes particle --defects 12 --snr 20:40 --seed 6 -o round.tif
"$NOTCH" inspect -q --format defects,json,recipe -o wafer round.tif fresh.tif
is "a wafer has a signature; an image of a part of one has none" \
  "$(awk -F, 'NR > 1 { printf "%s;", $(NF - 1) }' wafer/summary.csv)" "none;;"
ok "summary.json tells by which model" sh -c 'tr -d " \n" <wafer/round/summary.json | grep -q "\"signature\":{\"class\":\"none\",.*\"file\":\"shipped\""'
is "the recipe as used names it" "$(grep -c '^signature_model=shipped$' wafer/round/recipe.ini)" 1
"$NOTCH" inspect -q -r wafer/round/recipe.ini --format defects -o again round.tif
is "and means the same" "$(tail -n 1 again/summary.csv | awk -F, '{ print $(NF - 1) }')" none
"$NOTCH" inspect -q --set classify.signature_model= --format defects -o without round.tif
is "an empty key asks none" "$(tail -n 1 without/summary.csv | awk -F, '{ print $(NF - 1) }')" ""
mkdir -p elsewhere && printf '[classify]\nsignature_model = own.model\n' >elsewhere/r.ini
is "another is beside its recipe" "$("$NOTCH" inspect -q -r elsewhere/r.ini -o bad round.tif 2>&1 | grep -c "elsewhere/own.model")" 1
done_testing

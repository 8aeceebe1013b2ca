#!/bin/sh
# notch train, inspect --model and classify from the outside: one wafer teaches, another is classified; models that lie.
# shellcheck source=tests/tap.sh disable=SC2016,SC2046
. "$srcdir/tests/tap.sh"
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1
if "$NOTCH" --version | grep -q 'no XGBoost'; then
  is "without XGBoost training says so in one line" \
    "$(mkdir -p c/a c/b && "$NOTCH" train -o m.model "$srcdir/samples" 2>&1 | wc -l)" 1
  skip "the rest" "built without XGBoost"
  done_testing
  exit 0
fi

for seed in 1 2 3; do
  "$NOTCH" simulate -q --size 1280x1280 --die 256x256 --classes particle,scratch,bridge,open --defects 28 --snr 15:40 \
    --seed $seed -o w$seed.tif || exit 1
done
"$NOTCH" inspect -q --format defects,json,recipe -o out w1.tif w2.tif || exit 1

# ---- train --------------------------------------------------------------------------------------------------------------
is "training tells how right it is" \
  "$("$NOTCH" train -o m.model --seed 3 out 2>told; grep -c '^held out, [0-9]* examples, after fitting to them: accuracy ' told)" 1
is "classes are counted" "$(grep -cE '^  (bridge|open|particle|scratch) +[0-9]+ to learn from, +[0-9]+ held out' told)" 4
"$NOTCH" train -q -o again.model --seed 3 -j1 out
ok "one thread: the same bytes" cmp m.model again.model
"$NOTCH" train -q -o other.model --seed 3 --rounds 2 out
ok "fewer rounds: another model" test "$(cmp m.model other.model >/dev/null 2>&1; echo $?)" = 1
is "--quiet tells nothing" "$("$NOTCH" train -q -o again.model out 2>&1)" ""
mkdir elsewhere
for i in 1 2; do sed 's/,[a-z]*,/,wrong,/' w$i-truth.csv >elsewhere/w$i-truth.csv; done
(cd elsewhere && "$NOTCH" train -o m.model --seed 3 ../out 2>told)
is "from another folder the truth beside the images counts, not that of the same name" \
  "$(grep -E '^  [a-z]+ ' elsewhere/told | awk '{ print $1 }' | tr '\n' ' ')" "bridge open particle scratch "
is "no output: told, status 2" "$(status "$NOTCH" train out)" 2
is "no such data: told, status 2" "$(status "$NOTCH" train -o none.model none)" 2
is "a share that is none" "$(status "$NOTCH" train -o none.model --hold-out 1.5 out)" 2
is "a classifier that is none" "$("$NOTCH" train -q -o none.model --classifier tree out 2>&1 | grep -c 'there is no classifier "tree"')" 1
ok "nothing is written then" test ! -e none.model
cp out/w1/defects.csv data.csv
is "data are not written over" "$("$NOTCH" train -q -o data.csv data.csv 2>&1)" \
  "notch: data.csv: is there already, and is something else; take it away or give another name"
is "nor by a learning curve" "$(status "$NOTCH" train -q -o none.model --curve data.csv out)" 2
is "nor by a validation's record" "$(status "$NOTCH" validate -q --all --record data.csv m.model out)" 2
ok "and stay" cmp out/w1/defects.csv data.csv
mkdir folder
is "a model that can have no place is told before anything is read" \
  "$("$NOTCH" train -o nowhere/m.model none 2>&1; "$NOTCH" train -o folder none 2>&1)" \
  "$(printf 'notch: %s; check the folder and its permissions\n' 'nowhere/m.model: cannot be written (No such file or directory)' \
    'folder: cannot be written (Is a directory)')"
is "so is a learning curve" "$("$NOTCH" train -o none.model --curve nowhere/c.png none 2>&1 | grep -c '^notch: nowhere/c.png: cannot be written')" 1
is "a forest has no epochs" "$(for option in --curve=c.png --resume; do "$NOTCH" train -q -o none.model $option out 2>&1; done)" \
  "$(printf 'notch: --%s: a forest does not learn in epochs; leave it out\n' curve resume)"
is "nor patches" "$("$NOTCH" train -q -o none.model --oriented scratch out 2>&1)" \
  "notch: --oriented: a forest does not tell directions; leave it out"
mkdir -p crops/nick crops/pit
"$NOTCH" simulate -q --size 128x128 --die 64x64 --defects 1 -o crop.tif
cp crop.tif crops/nick/1.tif
cp crop.tif crops/pit/1.tif
is "a class that is none" "$("$NOTCH" train -q -o none.model --classifier net --oriented nick,pits crops 2>&1)" \
  'notch: --oriented: there is no class "pits"; the classes are nick, pit'
ok "and is not trained then" test ! -e none.model
is "no classifier of that name: told before anything is read" \
  "$("$NOTCH" train -o none.model --classifier tree none 2>&1 | grep -c 'there is no classifier "tree"')" 1
"$NOTCH" inspect -q --format defects,crops -o crops w3.tif
for class in a b; do
  mkdir -p byhand/$class && cp crops/w3/crops/[123].png byhand/$class
done
is "of crops nothing is measured, so a forest has nothing to learn" \
  "$("$NOTCH" train -o none.model byhand 2>&1; echo $?)" \
  "$(printf 'notch: training: a forest learns from what is measured of defects, and of these nothing is; choose a net\n2')"
rm byhand/b/*
is "a network does not learn one class either" \
  "$("$NOTCH" train -q -o none.model --classifier net byhand 2>&1; echo $?)" \
  "$(printf 'notch: training: there is one class only; give examples of at least two\n2')"
ok "and no model is left" test ! -e none.model
is "examples are those that have a class" \
  "$(mkdir few && cp -R out/w1 few/w1 && printf 'defect_id,class\n1,pit\n2,open\n3,\n' >few/w1/review.csv && "$NOTCH" train -o few.model few 2>&1 | head -n 1)" \
  "2 examples of 1 image"

# ---- inspect --model ----------------------------------------------------------------------------------------------------
"$NOTCH" inspect -q --model m.model --format defects,json,recipe -o new w3.tif
right=$(awk -F, 'NR == FNR { if (FNR > 1) { x[FNR] = $5; y[FNR] = $6; type[FNR] = $2; n = FNR } next }
  FNR == 1 { for (i = 1; i <= NF; i++) if ($i == "class") c = i; next }
  { near = 1e9; for (i = 2; i <= n; i++) { d = (x[i] - $2) ^ 2 + (y[i] - $3) ^ 2; if (d < near) { near = d; is = type[i] } } if (near < 400) { all++; right += is == $c } }
  END { printf "%d", 100 * right / all }' w3-truth.csv new/w3/defects.csv)
ok "three of four classes are right on another wafer: $right %" test "$right" -ge 75
is "the summary names the model" "$(grep -c '"sha256" : "[0-9a-f]\{64\}"' new/w3/summary.json)" 1
is "its classes are the table's" "$(head -1 new/summary.csv | grep -o 'class_[a-z]*' | tr '\n' ' ')" \
  "class_bridge class_open class_particle class_scratch class_unknown "
printf '[classify]\nmodel = m.model\n[limits]\nclass.bridge = 0\n' >with.ini
is "a limit on a class of the model" "$(status "$NOTCH" inspect -q -r with.ini --format defects,json -o key w3.tif)" 1
ok "the recipe's key does the same" cmp new/w3/defects.csv key/w3/defects.csv
cp -R key lim
resume () {
  "$NOTCH" inspect -r with.ini --resume --format defects,json -o key w3.tif 2>&1 | grep -c 'from an earlier run'
}
is "--resume leaves out what is finished" "$(resume)" 1
cp other.model m.model.aside && mv m.model kept.model && mv m.model.aside m.model
is "--resume sees that the model is another" "$(resume)" 0
mv kept.model m.model
is "a limit on a class that it has not" \
  "$(status "$NOTCH" inspect -q --model m.model --set limits.class.pit=0 --format defects,json -o lim2 w3.tif)" 2

# ---- what is of no class ------------------------------------------------------------------------------------------------------
for seed in 4 5; do
  "$NOTCH" simulate -q --size 1280x1280 --die 256x256 --classes odd --defects 60 --snr 15:40 --seed $seed -o w$seed.tif || exit 1
done
"$NOTCH" inspect -q --format defects,json -o odd w4.tif w5.tif
"$NOTCH" train -o odd.model --seed 3 out odd/w4 2>told
is "odd defects are learned from" "$(grep -cE '^  none of these +[0-9]+ to learn from, +[0-9]+ held out' told)" 1
is "and are no class" "$(grep -c ': forest of 4 classes, ' told)" 1
strange () {
  "$NOTCH" validate "$1" new odd/w5 | sed -n 's/^other classes .* by distance \([0-9.]*\).*/\1/p'
}
ok "others are known by what was learned of them: $(strange m.model) without, $(strange odd.model) with" \
  awk "BEGIN { exit !($(strange odd.model) >= 0.85 && $(strange odd.model) > $(strange m.model)) }"

# ---- nuisances ---------------------------------------------------------------------------------------------------------
cp -R out flagged
for image in w1 w2; do # particles are none that anybody wants to see
  sed 's/,particle,/,nuisance-dust,/' $image-truth.csv >flagged/$image/truth.csv
  awk -F, -v OFS=, 'NR == FNR { if (FNR > 1) { n++; x[n] = $5; y[n] = $6; class[n] = $2 } next }
    FNR == 1 { print "defect_id,class"; next }
    { for (i = 1; i <= n; i++) if ((x[i] - $2) ^ 2 + (y[i] - $3) ^ 2 < 100) print $1, class[i] }' \
    flagged/$image/truth.csv flagged/$image/defects.csv >flagged/$image/review.csv
done
"$NOTCH" train -o nuisance.model --seed 3 flagged 2>told
is "training tells from where on nuisances are flagged" "$(grep -c '^nuisances are flagged from a probability of 0[.][0-9]* on: ' told)" 1
"$NOTCH" inspect -q --model nuisance.model --format defects,json -o flags w3.tif
flags () { # DEFECTS.csv: defects, flagged, and flagged of another class
  awk -F, 'FNR == 1 { for (i = 1; i <= NF; i++) at[$i] = i; next }
    { n++; flagged += $at["nuisance"]; other += $at["nuisance"] && $at["class"] !~ /^nuisance/ }
    END { print n + 0, flagged + 0, other + 0 }' "$1"
}
ok "an inspection flags some, and no others" sh -c '[ $2 -ge 3 ] && [ $2 -lt $1 ] && [ $3 -le 1 ]' - $(flags flags/w3/defects.csv)
is "and counts them" "$(sed -n 's/.*"nuisances" : \([0-9]*\).*/\1/p' flags/w3/summary.json)" "$(flags flags/w3/defects.csv | cut -d ' ' -f 2)"
is "a model without such classes flags nothing" "$(flags new/w3/defects.csv | cut -d ' ' -f 2)" 0
cp -R new unflagged
"$NOTCH" classify -q --model nuisance.model unflagged
ok "flags come later, too" cmp flags/w3/defects.csv unflagged/w3/defects.csv

# ---- classify -------------------------------------------------------------------------------------------------------------
"$NOTCH" inspect -q --format defects,json -o later w3.tif
is "classify tells what it did" "$("$NOTCH" classify --model m.model later 2>&1 | grep -c '^later: [0-9]* defects, [0-9]* in another class now$')" 1
ok "what is classified later is the same, byte by byte" cmp new/w3/defects.csv later/w3/defects.csv
is "the table too" "$(cut -d, -f1-14 later/summary.csv)" "$(cut -d, -f1-14 new/summary.csv)"
"$NOTCH" classify -q --model other.model lim
is "a limit is judged again" "$(cut -d, -f3 lim/summary.csv | tail -n 1)" \
  "$(grep -c ',bridge,' lim/w3/defects.csv | awk '{ print ($1 > 0 ? "reject" : "pass") }')"
# A model of XGBoost does not tell what it learned from: drift cannot be judged, whether it inspects or classifies.
cat >bare.json <<'END'
{"learner": {"feature_names": ["area_px"], "attributes": {"classes": "particle,scratch"}, "objective": {"name": "binary:logistic"},
  "learner_model_param": {"base_score": "5E-1", "num_class": "2"},
  "gradient_booster": {"name": "gbtree", "model": {"tree_info": [0], "trees": [
    {"left_children": [1, -1, -1], "right_children": [2, -1, -1], "split_indices": [0, 0, 0], "split_conditions": [30, -1, 1],
     "default_left": [0, 0, 0]}]}}}}
END
judged () { sed -n '/"verdict"/p;/"reasons"/,/\]/p' "$1/w3/summary.json"; }
inspect_drift () { "$NOTCH" inspect -q --set limits.drift=0.01 --format defects,json --model "$1" -o "$2" w3.tif 2>/dev/null; }
for pair in m.model:bare.json bare.json:m.model; do
  inspect_drift ${pair#*:} once
  inspect_drift ${pair%:*} twice
  "$NOTCH" classify -q --model ${pair#*:} twice
  is "drift is judged alike by inspect and classify, ${pair#*:}" "$(judged twice)" "$(judged once)"
done
is "which one of them cannot tell" "$(inspect_drift bare.json once; judged once | grep -c 'trouble\|drift cannot be judged')" 2
"$NOTCH" inspect -q --set limits.class.pit=0 --format defects,json -o pits w3.tif
is "a limit on a class that the model does not give" "$("$NOTCH" classify --model m.model pits 2>&1 | grep -c 'class.pit: no rule or model')" 1
is "no folder of results: told, status 2" "$("$NOTCH" classify --model m.model . 2>&1 | grep -c 'holds no finished image')" 1
is "nor is the folder of an image" "$("$NOTCH" classify --model m.model later/w3 2>&1)" \
  "notch: later/w3: is the folder of one image; name the output folder of notch inspect that it lies in"
is "and its status" "$(status "$NOTCH" classify --model m.model . later)" 2
is "--resume does a classified image anew" \
  "$("$NOTCH" inspect --resume --format defects,json -o later w3.tif 2>&1 | grep -c 'from an earlier run')" 0

# ---- unknown --------------------------------------------------------------------------------------------------------------
"$NOTCH" train -q -o pure.model --purity 0.999 --rounds 3 out
"$NOTCH" classify -q --model pure.model new
ok "what is not sure is unknown" grep -q ',unknown,' new/w3/defects.csv
is "and nothing is lost" "$(wc -l <new/w3/defects.csv)" "$(wc -l <key/w3/defects.csv)"

# ---- models that lie --------------------------------------------------------------------------------------------------------
head -c 3000 m.model >cut.model
is "a model that is cut off: one line, status 2" "$("$NOTCH" inspect --model cut.model -o bad w3.tif 2>&1; echo $?)" \
  "$(printf 'notch: %s/cut.model: the model is cut off or damaged; copy or train it anew\n2' "$dir")"
printf 'x' | dd of=m.model bs=1 seek=2500 conv=notrunc 2>/dev/null
is "one byte of it changed" "$("$NOTCH" classify --model m.model new 2>&1 | grep -c 'does not fit its hash')" 1
echo '{}' >m.json
is "JSON of something else" "$("$NOTCH" inspect --model m.json -o bad w3.tif 2>&1 | grep -c 'nothing that XGBoost saved')" 1
is "no model at all" "$(status "$NOTCH" inspect --model none.model -o bad w3.tif)" 2
is "an image is no model" "$("$NOTCH" inspect --model w3.tif -o bad w3.tif 2>&1 | grep -c 'is no model')" 1
is "nothing lies around" "$(find . -name '.*' -type f | wc -l)" 0
done_testing

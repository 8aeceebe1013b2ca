#!/bin/sh
# docs/classify.sh, and with what it leaves notch validate, drift and mining from the outside.
# shellcheck source=tests/tap.sh disable=SC2016
. "$srcdir/tests/tap.sh"
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
if "$NOTCH" --version | grep -q 'no XGBoost'; then
  skip "simulate, train, validate, gate, deploy, inspect, monitor" "built without XGBoost"
  done_testing
  exit 0
fi
ok "simulate, train, validate, gate, deploy, inspect, monitor" sh -c '"$1" "$2" >"$2.txt" 2>&1 || { cat "$2.txt"; exit 1; }' - \
  "$srcdir/docs/classify.sh" "$dir/work"
cd "$dir/work" || exit 1
ok "a usual wafer has not drifted" sh -c 'grep -q "^wafer 7: drift 0" ../work.txt'
ok "one of stains has" sh -c 'grep -q "^wafer 8: status 1" ../work.txt && grep -q "has drifted by" line/wafer-8/summary.json'
ok "and says so" grep -q 'not like those that the model learned from' ../work.txt
is "ten defects are to be reviewed" "$(wc -l <review.csv | tr -d ' ')" 11
for file in confusion.csv predictions.csv confusion.png reliability.png metrics.json; do
  ok "$file is written" test -s validation/$file
done
is "a column a class, and unknown" "$(head -n 1 validation/confusion.csv)" class,bridge,open,particle,pit,scratch,stain,unknown
is "a row an example" "$(($(wc -l <validation/predictions.csv) - 1))" "$(sed -n 's/^ *"examples" *: *\([0-9]*\).*/\1/p' validation/metrics.json | head -n 1)"

ok "the same seed, the same figures, whatever the threads" sh -c '"$0" validate --json -j1 first.model out/wafer-5 out/wafer-6 >one &&
  "$0" validate --json -j3 first.model out/wafer-5 out/wafer-6 >two && cmp one two' "$NOTCH"
ok "the recorded model says the same" sh -c '"$0" validate --json classes.model out/wafer-5 out/wafer-6 >three &&
  sed /model_sha256/d one >a && sed /model_sha256/d three >b && cmp a b' "$NOTCH"
ok "and is another file" sh -c '! cmp -s first.model classes.model'
ok "that has the figures in it" sh -c 'head -c 200000 classes.model | grep -aq "\"validation\" *: *{"'
ok "what was learned from is left out" sh -c '"$0" validate first.model out | grep -q "of 4 wafers were learned from and are left out"' "$NOTCH"
is "so that the rest is the same" "$("$NOTCH" validate --json first.model out/wafer-5 out/wafer-6 | sed '/learned/d')" \
  "$("$NOTCH" validate --json first.model out | sed '/learned/d')"
ok "with --all it counts, and flatters" sh -c '"$0" validate --all first.model out | grep -q "count, which flatters"' "$NOTCH"
is "nothing else is trouble" "$(status "$NOTCH" validate first.model out/wafer-1)" 2

head -n 30 wafer-6-truth.csv >part.csv
ok "what is to be known of the data is told" sh -c '"$0" validate first.model out/wafer-6=part.csv | grep -q "defects are not in part.csv and left out$"' "$NOTCH"
printf '[gate]\nmacro_f1=0.999\nece=0.00001\n' >strict.ini
is "a limit that is not met is status 1" "$(status "$NOTCH" validate --gate strict.ini first.model out/wafer-5 out/wafer-6)" 1
ok "and each is told" sh -c '"$0" validate -q --gate strict.ini first.model out/wafer-5 2>&1 | grep -c "asked for" | grep -qx 2' "$NOTCH"
printf '[gate]\nmacro_f2=0.9\n' >slip.ini
is "a slip in it is status 2" "$(status "$NOTCH" validate --gate slip.ini first.model out/wafer-5 out/wafer-6)" 2
ok "and is told with its line" sh -c '"$0" validate --gate slip.ini first.model out/wafer-5 2>&1 | grep -q "slip.ini:2: \[gate\] macro_f2: .*macro_f1?"' "$NOTCH"

"$NOTCH" train -q --rounds 2 --hold-out 0 -o weak.model out/wafer-1
ok "another model is compared with" sh -c '"$0" validate --against weak.model first.model out/wafer-5 out/wafer-6 | grep -q "^against .*right here only"' "$NOTCH"
"$NOTCH" train -q --rounds 2 --hold-out 0 -o later.model out/wafer-5
ok "what only the other one learned from is left out" sh -c '"$0" validate -o against --against later.model first.model out |
  grep -q "of 4 wafers were learned from and are left out; .* of 1 wafer were learned from by the other model and are left out"' "$NOTCH"
ok "and counted" grep -q '"only_other_learned" : [1-9]' against/metrics.json
is "so that the figures are those of the rest" "$("$NOTCH" validate --json --against weak.model first.model out/wafer-6 | sed -n '/macro_f1/,/against/p')" \
  "$("$NOTCH" validate --json --against later.model first.model out/wafer-5 out/wafer-6 | sed -n '/macro_f1/,/against/p')"
ok "with --all it counts, and flatters" sh -c '"$0" validate --all --against later.model first.model out/wafer-5 |
  grep -q "by the other model and count, which flatters"' "$NOTCH"
is "nothing else is trouble, and both are told" "$("$NOTCH" validate -q --against later.model first.model out/wafer-1 out/wafer-5 2>&1)" \
  "notch: first.model: the model or later.model has learned from all wafers that are given; give others, or --all for figures that flatter"
printf '[gate]\nagainst_p=0.05\n' >against.ini
is "it is no worse than a weak one" "$(status "$NOTCH" validate --gate against.ini --against weak.model first.model out/wafer-5 out/wafer-6)" 0
is "which is worse than it" "$(status "$NOTCH" validate --gate against.ini --against first.model weak.model out/wafer-5 out/wafer-6)" 1

ok "a class is left out" sh -c '"$0" validate -q --leave-out --json first.model out/wafer-4 out/wafer-5 out/wafer-6 >left &&
  grep -q "\"left_out\"" left && grep -c "\"auroc_distance\"" left | grep -qx 6' "$NOTCH"
"$NOTCH" simulate -q --size 1024x1024 --die 256x256 --classes particle,scratch --defects 24 --snr 15:40 --seed 9 -o pair.tif
"$NOTCH" inspect -q --format defects,json -o pair pair.tif
is "of two classes none can be left out" "$("$NOTCH" validate -q --all --leave-out first.model pair 2>&1)" \
  "notch: --leave-out: the examples are of 2 classes, and without one of them there is nothing to tell apart; give three or more"
mkfifo slow.ini
"$NOTCH" validate --all --gate slow.ini first.model pair >/dev/null 2>told &
asked=$!
{ kill -INT $asked; cat gate.ini; } >slow.ini & # when it is opened for reading
wait $asked
is "Ctrl-C ends it" "$? $(grep -c interrupted told)" "130 1"
kill $! 2>/dev/null # if nobody read
is "an unknown nuisance is trouble" "$(status "$NOTCH" validate --nuisances dust first.model out/wafer-5 out/wafer-6)" 2
ok "stains as nuisances can be taken out" sh -c '"$0" validate --nuisances stain -o nuisance first.model out/wafer-5 out/wafer-6 |
  grep -q "^nuisances .* can be taken out" && test -s nuisance/nuisances.png' "$NOTCH"
is "drift cannot be judged without a model" "$(status "$NOTCH" inspect --set classify.model= --set limits.drift=0.25 --format defects -o bare wafer-7.tif)" 2
ok "mining changes nothing and repeats" sh -c 'cp line/wafer-7/defects.csv before && "$0" classify --mine 10 --model classes.model line >again &&
  cmp review.csv again && cmp before line/wafer-7/defects.csv' "$NOTCH"
ok "another model's drift and verdict come with classify" sh -c '"$0" classify -q --model weak.model line && grep -q "\"drift\" *: *{" line/wafer-7/summary.json' "$NOTCH"
is "no such model is trouble" "$(status "$NOTCH" validate none.model out/wafer-5 out/wafer-6)" 2
done_testing

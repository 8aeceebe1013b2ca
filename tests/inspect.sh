#!/bin/sh
# notch inspect from the outside: files, exit status, batches, the same bytes whatever the threads and the memory.
# shellcheck source=tests/tap.sh disable=SC2016
. "$srcdir/tests/tap.sh"
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1

"$NOTCH" simulate -q --size 384x384 --die 96x96 --defects 8 --snr 12:40 --seed 3 -o a.tif || exit 1
"$NOTCH" simulate -q --size 384x384 --die 96x96 --defects 0 --seed 4 -o clean.tif || exit 1

# ---- files and status ---------------------------------------------------------------------------------------------------
is "no limits: nothing is rejected" "$(status "$NOTCH" inspect -o out a.tif clean.tif)" 0
for file in summary.csv a/defects.csv a/dice.csv a/overlay.png a/map.png a/summary.json a/recipe.ini a/crops/1.png; do
  ok "$file is there" test -s "out/$file"
done
is "no partial file is left" "$(find out -name '.*' -o -name '*.partial' | wc -l)" 0
is "summary.csv has a row an image" "$(wc -l <out/summary.csv)" 3
is "the columns of defects.csv" "$(head -n 1 out/a/defects.csv | cut -d, -f1-22)" \
  "defect_id,x_px,y_px,width_px,height_px,area_px,die_col,die_row,die_x_um,die_y_um,wafer_x_um,wafer_y_um,size_um,area_um2,peak_snr,contrast,elongation,angle_deg,class,confidence,cluster,repeater"
"$NOTCH" inspect -q --false-alarms 0.001 --format defects -o calm clean.tif
is "a clean wafer has no defects" "$(wc -l <calm/clean/defects.csv)" 1
ok "what was planted is found" "$NOTCH" score --min-snr 12 --classes particle,pit --min-capture 0.95 --max-false 1 \
  a-truth.csv out/a/defects.csv
is "a limit that is passed: reject" "$(status "$NOTCH" inspect -o out2 --set limits.defects=2 a.tif clean.tif)" 1
ok "the reason is written down" grep -q '^a.tif,a,reject,' out2/summary.csv
ok "the other image passed" grep -q '^clean.tif,clean,pass,' out2/summary.csv
is "the reason is told" "$("$NOTCH" inspect --format json -o out2 --set limits.defects=2 a.tif 2>&1 | grep -c ', at most 2 allowed$')" 1
is "finished before and rejected is a reject" \
  "$(status "$NOTCH" inspect --resume --format json -o out2 --set limits.defects=2 a.tif)" 1
is "trouble outweighs a reject" "$(status "$NOTCH" inspect --resume -o out2 --set limits.defects=2 a.tif missing.tif)" 2
few=$("$NOTCH" inspect -q --false-alarms 0.000001 --format defects -o few a.tif && wc -l <few/a/defects.csv)
many=$("$NOTCH" inspect -q --false-alarms 100 --format defects -o many a.tif && wc -l <many/a/defects.csv)
ok "--false-alarms: more are found where more are expected" test "$many" -gt "$few"
ok "--false-alarms is in the recipe as used" sh -c '"$NOTCH" inspect -q --false-alarms 7 --format recipe -o few a.tif && grep -q "^false_alarms *= *7$" few/a/recipe.ini'
is "--format names every report when one is not known" \
  "$("$NOTCH" inspect --format tea -o none a.tif 2>&1 | grep -c 'defects, dice, overlay, map, crops, patches, spectrum, haze, recipe, json')" 1
ok "and nothing is written" test ! -e none

# ---- the same bytes -----------------------------------------------------------------------------------------------------
"$NOTCH" inspect -q -j1 -o one a.tif && "$NOTCH" inspect -q -j2 -o two a.tif && "$NOTCH" inspect -q -j 5 -o five a.tif
for other in two five; do
  for file in defects.csv dice.csv map.png overlay.png; do
    ok "$file: one thread and $other" cmp one/a/$file $other/a/$file
  done
done
"$NOTCH" simulate -q --bits 32 --size 1536x3072 --die 256x256 --defects 20 --snr 12:40 --seed 4 -o big.tif
"$NOTCH" inspect -q --speed fast --format defects,dice -o much big.tif
"$NOTCH" inspect -q --speed fast --set detect.memory_mib=16 --format defects,dice -o little big.tif
for file in defects.csv dice.csv; do
  ok "$file: memory for the image and for less than it" cmp much/big/$file little/big/$file
done
ok "two runs" cmp one/a/defects.csv out/a/defects.csv
if locale -a 2>/dev/null | grep -qi '^de_DE.utf-*8'; then
  LC_ALL=de_DE.UTF-8 "$NOTCH" inspect -q --format defects -o german a.tif
  ok "another locale" cmp one/a/defects.csv german/a/defects.csv
else
  skip "another locale" "there is no de_DE.UTF-8 here"
fi
"$NOTCH" inspect -q -r out/a/recipe.ini -o again a.tif
ok "the recipe as used gives the same places" sh -c "cut -d, -f2,3 one/a/defects.csv >1.txt; cut -d, -f2,3 again/a/defects.csv >2.txt; cmp 1.txt 2.txt"

# ---- batches ------------------------------------------------------------------------------------------------------------
mkdir other "with space"
cp a.tif other/a.tif
cp clean.tif "with space/an, image.tif"
"$NOTCH" inspect -q --format defects -o batch a.tif other/a.tif "with space/an, image.tif"
ok "two images with one stem" test -s batch/a-2/defects.csv
ok "a name with a space and a comma" test -s "batch/an, image/defects.csv"
ok "only the reports that were asked for" test ! -e batch/a/map.png
is "the second of one stem is the same" "$(cmp batch/a/defects.csv batch/a-2/defects.csv && echo same)" same
cp batch/a/summary.json before.json
touch -d '2001-01-01' batch/a/summary.json
rm batch/a-2/summary.json
"$NOTCH" inspect -q --format defects -o batch --resume a.tif other/a.tif "with space/an, image.tif"
ok "resume leaves out what is finished" test before.json -nt batch/a/summary.json
ok "and does what is not" test -s batch/a-2/summary.json
is "the summary keeps all rows" "$(wc -l <batch/summary.csv)" 4
"$NOTCH" inspect -q --format defects -o shards --shard 1/2 a.tif clean.tif
# A row goes with its image's folder, which a run that is not given the image leaves alone.
"$NOTCH" inspect -q --format defects -o fewer a.tif clean.tif missing.tif 2>/dev/null
sort fewer/summary.csv >all.csv
"$NOTCH" inspect -q --resume --format defects -o fewer missing.tif 2>/dev/null
ok "resume with fewer images keeps the rows of the others" sh -c 'sort fewer/summary.csv | cmp - all.csv'
"$NOTCH" inspect -q --resume --format defects -o fewer other/a.tif
is "but not that of a folder that is another's now" \
  "$(cut -d, -f1 fewer/summary.csv | tr '\n' ' ')" "file other/a.tif missing.tif clean.tif "
# Another image of the same name is not the one that was finished.
"$NOTCH" inspect -q --format defects -o same a.tif
touch -d '2001-01-01' same/a/summary.json
"$NOTCH" inspect -q --resume --format defects -o same other/a.tif
ok "resume does an image that only has the name of a finished one" test same/a/summary.json -nt big.tif
name=$(printf 'not\377utf8')
cp a.tif "$name.tif"
"$NOTCH" inspect -q --json --format defects -o bytes "$name.tif" >bytes.json
ok "a name that is not UTF-8" test -s "bytes/$name/defects.csv"
is "its JSON is UTF-8" "$(LC_ALL=C grep -c "$(printf '\377')" bytes.json "bytes/$name/summary.json" | cut -d: -f2 | tr '\n' ' ')" "0 0 "
ok "a shard does its images" test -s shards/a/defects.csv
ok "and no others" test ! -e shards/clean
"$NOTCH" inspect -q --format defects -o shards --shard 2/2 a.tif clean.tif
ok "the other shard does the rest" test -s shards/clean/defects.csv
is "both have a row" "$(wc -l <shards/summary.csv)" 3
"$NOTCH" inspect -q --json --format defects -o json a.tif >run.json
ok "--json names the verdict" grep -q '"verdict" *: *"pass"' run.json
is "a line an image where there is no terminal" "$("$NOTCH" inspect --format defects -o lines a.tif clean.tif 2>&1 | wc -l)" 2
is "none with --no-progress" "$("$NOTCH" inspect --no-progress --format defects -o lines a.tif 2>&1 | wc -l)" 0

# What a result follows from has changed: it is done again. What is left out is told.
"$NOTCH" inspect -q --format defects -o kept a.tif
is "resume tells what it leaves out" "$("$NOTCH" inspect --resume --format defects -o kept a.tif 2>&1)" \
  "a.tif: pass, $(($(wc -l <kept/a/defects.csv) - 1)) defects, from an earlier run"
is "other limits are judged" "$(status "$NOTCH" inspect --resume --format defects --set limits.defects=1 -o kept a.tif)" 1
is "and left out afterwards" \
  "$("$NOTCH" inspect --resume --format defects --set limits.defects=1 -o kept a.tif 2>&1 | grep -c 'reject, .*, from an earlier run$')" 1
again () {
  name=$1
  shift
  is "$name: done again" "$("$NOTCH" inspect --resume --format defects -o kept "$@" 2>&1 | grep -c ' Mpx/s')" 1
}
again "another recipe" --set classify.class.huge="area_px > 1000" a.tif
again "other filters" --speed fast a.tif
again "other reports" --format defects,dice a.tif
cp -p a.tif kept.tif
again "an image" kept.tif
cp clean.tif kept.tif
again "another image under its name" kept.tif
ok "and then no more" sh -c "\"$NOTCH\" inspect --resume --format defects -o kept kept.tif 2>&1 | grep -q '^kept.tif: pass, [01] defects*, from an earlier run'"

# Shards that run at the same time lose none of each other's rows.
for i in 1 2 3 4 5 6; do cp clean.tif s$i.tif; done
for i in 1 2 3; do
  "$NOTCH" inspect -q -j1 --format defects -o together --shard $i/3 s1.tif s2.tif s3.tif s4.tif s5.tif s6.tif &
done
wait
is "shards at the same time: every image has its row" "$(grep -c '^s[1-6].tif,.*,pass,' together/summary.csv)" 6

# ---- what is written is documented --------------------------------------------------------------------------------------
"$NOTCH" inspect -q -o whole a.tif
documented () {
  grep -q -e "\(Va\|Cm\|,\) $1\( \|$\)" "$srcdir/docs/notch-inspect.1"
}
classes=$(head -n 1 whole/summary.csv | tr , '\n' | sed -n 's/^class_//p')
for column in $(head -n 1 whole/a/defects.csv | tr , ' ') $(head -n 1 whole/a/dice.csv | tr , ' ') \
  $(head -n 1 whole/summary.csv | tr , '\n' | sed '/^class_/d') class_NAME \
  $(sed -n 's/^ *"\([a-z_]*\)" : .*/\1/p' whole/a/summary.json | grep -vxF "$classes" | grep -vx 'inspected\|[a-e]\|.*_cm2\|defects_per_die'); do
  ok "notch-inspect.1 has $column" documented "$column"
done
for report in $("$NOTCH" inspect --help | sed -n 's/^  \([a-z]*\) *[* ] .*(.*)$/\1/p'); do
  ok "notch-inspect.1 has the report $report" documented "$report"
done
is "every report is in --help" "$("$NOTCH" inspect --help | grep -c '^  [a-z]* *\* .*(.*)$')" 7
ok "numbers in JSON are as short as they can be" grep -q '"false_alarms" : 0.1,' whole/a/summary.json
is "the reports' time is known" "$(grep -c '"report" : 0,' whole/a/summary.json)" 0

# ---- recipes and references ---------------------------------------------------------------------------------------------
"$NOTCH" recipe new -q -o r.ini a.tif 2>new.txt
is "a new recipe is right" "$(status "$NOTCH" recipe check r.ini a.tif)" 0
"$NOTCH" inspect -q -r r.ini --format defects -o recipe a.tif
ok "it finds what discovery finds" sh -c "cut -d, -f2,3 recipe/a/defects.csv >2.txt; cmp 1.txt 2.txt"
"$NOTCH" simulate -q --size 600x500 --die 600x500 --layout logic --defects 6 --snr 15:40 --seed 9 --clean clean-pair.tif \
  -o pair.tif
"$NOTCH" inspect -q --reference clean-pair.tif -o pair pair.tif
ok "a template is compared with" "$NOTCH" score --min-snr 15 --classes particle,pit --min-capture 0.95 --max-false 1 \
  pair-truth.csv pair/pair/defects.csv
cat >region.ini <<'END'
[region left]
kind = exclude
x_um = 0
y_um = 0
width_um = 24
height_um = 47
END
"$NOTCH" inspect -q -r region.ini --format defects -o region a.tif
is "nothing is found where nothing is inspected" \
  "$(awk -F, 'NR > 1 && $9 < 20 { n++ } END { print n + 0 }' region/a/defects.csv)" 0
ok "elsewhere it is" test "$(wc -l <region/a/defects.csv)" -gt 1
"$NOTCH" inspect -q --set detect.polarity=dark --format defects -o dark a.tif
is "one polarity only" "$(awk -F, 'NR > 1 && $16 > 0 { n++ } END { print n + 0 }' dark/a/defects.csv)" 0
is "--speed fast finds the strong ones" "$(status "$NOTCH" inspect --speed fast --format defects -o fast a.tif)" 0
ok "there are some" test "$(wc -l <fast/a/defects.csv)" -gt 1
few () { # NEIGHBOURS
  "$NOTCH" inspect -q --speed fast --set reference.neighbours="$1" --format defects -o "few$1" a.tif
  cmp -s fast/a/defects.csv "few$1/a/defects.csv" && echo as by default
}
is "it compares with five dice of the eight that the recipe allows" "$(few 5)" "as by default"
is "and with fewer where that allows no more" "$(few 4)" ""
"$NOTCH" simulate -q --wafer --size 768x768 --die 96x72 --pixel-um 100 --defects 8 --snr 15:40 --seed 5 -o wafer.tif
"$NOTCH" inspect -q --format defects,dice,map -o wafer wafer.tif
ok "a round wafer has partial dice" grep -q ',partial$' wafer/wafer/dice.csv
"$NOTCH" inspect -q --set dice.partial=true --format defects,dice -o partial wafer.tif
ok "they are inspected when asked for" test -s partial/wafer/defects.csv

# An edge exclusion of nearly half the radius would leave next to nothing.
"$NOTCH" simulate -q --wafer --size 768x768 --die 96x96 --pixel-um 50 --defects 0 --seed 5 -o small.tif
is "an edge exclusion larger than the wafer is left out, and that is told" \
  "$("$NOTCH" inspect -q --set wafer.edge_exclusion_mm=8 --format recipe -o small small.tif 2>&1 | grep -c '^notch: small.tif: the edge exclusion of 8 mm ')" 1
ok "the recipe as used says so" grep -q '^edge_exclusion_mm *= *0$' small/small/recipe.ini

# ---- a terminal ---------------------------------------------------------------------------------------------------------
if script -qec true /dev/null </dev/null >/dev/null 2>&1; then
  TERM=xterm script -qec "\"$NOTCH\" inspect --format defects -o bar a.tif missing.tif" /dev/null </dev/null >bar.txt
  ok "a bar is drawn on a terminal" grep -q '1/2 images' bar.txt
  # What stays after every carriage return has cleared the line.
  sed 's/\r$//; s/.*\r//; s/\x1b\[K//' bar.txt >stays.txt
  is "it goes away: a line an image stays" "$(grep -c '^a.tif: pass' stays.txt)/$(grep -c '^notch: missing.tif: ' stays.txt)/$(wc -l <stays.txt)" 1/1/2
  is "a dumb terminal has none" \
    "$(TERM=dumb script -qec "\"$NOTCH\" inspect --format defects -o bar a.tif" /dev/null </dev/null | grep -c images)" 0
else
  skip "a bar on a terminal" "there is no script program, or no terminal that it could open"
fi

# ---- interrupted --------------------------------------------------------------------------------------------------------
# Interrupted as soon as the first image is finished; the others are many enough to last until then.
for copy in b c d; do cp a.tif $copy.tif; done
for signal in INT TERM; do
  rm -rf cut
  "$NOTCH" inspect -q --format defects -o cut a.tif b.tif c.tif d.tif 2>message.txt &
  while [ ! -e cut/summary.csv ] && kill -0 $! 2>/dev/null; do sleep 0.05; done
  kill -$signal $!
  wait $!
  is "SIG$signal" "$?" "$([ $signal = INT ] && echo 130 || echo 143)"
  is "says how to go on" "$(grep -c -- --resume message.txt)/$(wc -l <message.txt)" 1/1
  ok "what was finished is whole" test -s cut/a/defects.csv -a -s cut/a/summary.json
  is "nothing half written is left" "$(find cut -name '.*.partial' | wc -l)" 0
done
touch -d '2001-01-01' cut/a/summary.json
is "goes on afterwards" "$(status "$NOTCH" inspect --format defects -o cut --resume a.tif b.tif c.tif d.tif)" 0
ok "what was finished is left as it is" test big.tif -nt cut/a/summary.json
is "the summary has all rows" "$(grep -c ',pass,' cut/summary.csv)" 4
done_testing

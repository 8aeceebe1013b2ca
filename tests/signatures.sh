#!/bin/sh
# signatures.sh - scratches in pieces, clusters and repeaters through the whole program
. "$srcdir/tests/tap.sh"
dir=$(mktemp -d) && cd "$dir" || exit 99
trap 'cd / && rm -rf "$dir"' EXIT

# member NAME FILE: the number that follows "NAME" first in a JSON file.
member () {
  sed -n "s/.*\"$1\" *: *\([-0-9.e]*\).*/\1/p" "$2" | sed -n 1p
}

# ---- scratches ----------------------------------------------------------------------------------------------------------
"$NOTCH" simulate -q --size 1536x1536 --classes scratch --defects 14 --snr 18:40 --seed 11 -o s.tif
"$NOTCH" inspect -q -j 1 --format defects,json -o s s.tif
"$NOTCH" score --json s-truth.csv s/s/defects.csv >score.json
captured=$(member captured score.json)
spare=$(($(member detections score.json) - captured))
ok "most scratches are captured ($captured of 14)" test "$captured" -ge 12
ok "and are one defect each ($spare to spare)" test "$spare" -le 2
# Faint ones are seen in pieces.
"$NOTCH" simulate -q --size 1536x1536 --classes scratch --defects 14 --snr 8:16 --seed 11 -o faint.tif
"$NOTCH" inspect -q --format json -o s faint.tif
ok "faint ones are linked of pieces" sh -c 'tr -d " \n" <s/faint/summary.json | grep -q "\"scratches\":\[{.*\"parts\":[2-9].*\],\"repeaters\""'
is "all of which are in the table" "$(head -1 s/s/defects.csv | tr ',' '\n' | grep -c '^parts$')" 1
"$NOTCH" inspect -q -j 4 --format defects -o more s.tif
ok "the number of threads changes nothing" cmp s/s/defects.csv more/s/defects.csv
"$NOTCH" inspect -q --set 'detect.candidate_sigma=0' --format defects,json -o none s.tif
"$NOTCH" score --json s-truth.csv none/s/defects.csv >none.json
ok "candidates help, or do no harm" test "$captured" -ge "$(member captured none.json)"

# ---- rough edges --------------------------------------------------------------------------------------------------------
"$NOTCH" simulate -q --size 1024x1024 --ler 0.1 --defects 0 --seed 12 -o l.tif
"$NOTCH" inspect -q --false-alarms 10 --format defects -o l l.tif
listed=$(($(wc -l <l/l/defects.csv) - 1))
ok "edges that wander are hardly listed ($listed of 10)" test "$listed" -le 20

# ---- repeaters ----------------------------------------------------------------------------------------------------------
# A die with two defects, in every place of a wafer, against the die as it should be.
"$NOTCH" simulate -q --size 128x128 --die 128x128 --classes particle --defects 2 --snr 40:60 --seed 3 --clean good.tif -o bad.tif
"$NOTCH" simulate -q --size 1024x768 --die 128x128 --layout bad.tif --defects 12 --snr 20:40 --seed 4 -o r.tif
"$NOTCH" simulate -q --size 1024x768 --die 128x128 --layout good.tif --defects 0 --seed 4 --clean reference.tif -o no.tif
cat >r.ini <<'END'
[dice]
pitch_x_px = 128
pitch_y_px = 128
[classify]
class.mask = repeater > 0
class.crowd = cluster > 0
class.line = parts > 1
END
"$NOTCH" inspect --no-progress -v -r r.ini --reference reference.tif --format defects,json -o r r.tif 2>message.txt
# A die where what was planted runs into a repeater has one defect for both, at another place.
dice=$(tr -d ' \n' <r/r/summary.json | grep -o '"repeater":[12],"dice":[0-9]*' | sed 's/.*://' | tr '\n' ' ')
ok "both are found, in nearly all of 48 dice ($dice)" awk -v "dice=$dice" \
  'BEGIN { exit !(split (dice, n, " ") == 2 && n[1] >= 46 && n[2] >= 46) }'
is "what was exposed is one die" "$(tr -d ' \n' <r/r/summary.json | grep -o '"reticle":{[^}]*}')" '"reticle":{"cols":1,"rows":1}'
ok "that is told" grep -q 'r.tif: 2 repeaters; what repeats is a field of 1 x 1 dice' message.txt
is "rules can ask for it" "$(grep -c ',mask,' r/r/defects.csv)" "$(echo "$dice" | awk '{ print $1 + $2 }')"
ok "what does not repeat is not among them" test "$(awk -F, 'NR > 1 && $22 == 0' r/r/defects.csv | wc -l)" -ge 8

# One die of four has them. They are in half of what the die that lies across is compared with, and leave ghosts there.
"$NOTCH" simulate -q --size 1536x1536 --die 256x256 --defects 0 --repeaters 2 --reticle 2x2 --snr 12:14 --seed 3 -o quarter.tif
"$NOTCH" inspect -q --format defects,json -o r quarter.tif
is "ghosts of repeaters are neither defects nor repeaters" \
  "$(awk -F, 'NR > 1 { n[$22]++ } END { print n[0] + 0, n[1], n[2] }' r/quarter/defects.csv)" "0 9 9"
is "what was exposed is four dice" "$(tr -d ' \n' <r/quarter/summary.json | grep -o '"reticle":{[^}]*}')" '"reticle":{"cols":2,"rows":2}'
done_testing

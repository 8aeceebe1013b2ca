#!/bin/sh
# Regions: sensitivities and the promise.
# shellcheck source=tests/tap.sh
. "$srcdir/tests/tap.sh"
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1

# Defects of a list.
found () {
  echo $(($(wc -l <"$1") - 1))
}

# ---- sensitivities --------------------------------------------------------------------------------------------------
for seed in 1 2 3; do
  "$NOTCH" simulate -q --size 2400x2400 --die 300x300 --layout logic --defects 0 --pixel-um 1 --seed $seed -o clean$seed.tif
done
cat >keen.ini <<'END'
[detect]
false_alarms = 20
[region all]
width_um = 300
height_um = 300
[region quarter]
width_um = 150
height_um = 150
sensitivity = 2
END
"$NOTCH" inspect -q -r keen.ini --format defects,json -o keen clean1.tif clean2.tif clean3.tif
alarms=$(($(found keen/clean1/defects.csv) + $(found keen/clean2/defects.csv) + $(found keen/clean3/defects.csv)))
ok "with a sensitive quarter the promise holds within a factor of 2 ($alarms of 60)" \
  test "$alarms" -ge 30 -a "$alarms" -le 120
sed 's/^sensitivity.*/sensitivity = 1/' keen.ini >even.ini
"$NOTCH" inspect -q -r even.ini --format defects,json -o even clean1.tif
ok "a smaller area at the same promise has a lower threshold" awk '
  /"threshold"/ { gsub (/[^0-9.]/, ""); u[n++] = $0 } END { exit !(n == 2 && u[0] < u[1] - 0.1) }' \
  keen/clean1/summary.json even/clean1/summary.json
done_testing

#!/bin/sh
# notch bench: that it runs, times every stage there is, and leaves nothing behind. How fast anything is, is not tested.
# shellcheck source=tests/tap.sh
. "$srcdir/tests/tap.sh"
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1
mkdir tmp
TMPDIR=$dir/tmp
export TMPDIR

rounds=$(few 2 1)
is "it runs" "$(status "$NOTCH" bench --device cpu -j2 --size 1024 --rounds "$rounds" --csv bench.csv)" 0
is "it leaves nothing" "$(ls tmp)" ""
stages=$(sed -n 's/^  S (\([a-z]*\), Notch[A-Za-z]*).*/\1/p' "$srcdir/kernels/kernels.h")
ok "there are stages" test -n "$stages"
for stage in $stages tile "refer fast" "fit fast" "filter fast" "tile fast"; do
  for lanes in 1 2; do
    is "a row for $stage on $lanes" "$(awk -F, -v n="$stage" -v l=$lanes '$2 == "stage" && $3 == n && $4 == l' bench.csv | wc -l)" 1
  done
done
is "the limit on one lane and on two" "$(awk -F, '$2 == "limit"' bench.csv | sort | cut -d, -f3-5 | tr '\n' ' ')" "copy,1,$rounds copy,2,$rounds "
for name in "memory" "memory reports" "tiff" "tiff reports" "memory fast" "memory fast reports" "tiff fast" "tiff fast reports"; do
  is "a row for $name" "$(awk -F, -v n="$name" '$2 == "image" && $3 == n' bench.csv | wc -l)" 1
done
for name in "forest" "network images" "network" "network learning"; do
  is "rows for $name on one thread and on two" \
    "$(awk -F, -v n="$name" '$2 == "classifier" && $3 == n { print $4 }' bench.csv | sort | tr '\n' ' ')" "1 2 "
done
is "every figure has its unit" "$(head -n 1 bench.csv)" \
  "device,part,name,lanes,rounds,ns_per_px,ns_per_px_least,ns_per_px_most,Mpx_per_s,bytes_per_px,GB_per_s,share_of_copy,ns_per_item,ns_per_item_least,ns_per_item_most,items_per_s"
is "every figure is a positive number, of a pixel or of an item" "$(awk -F, 'NR > 1 { item = $2 == "classifier"
  for (i = 4; i <= 16; i++) if (i > 5 && (i > 12) != item ? $i != "" : $i !~ /^[0-9.]+$/ || $i <= 0) print }' bench.csv)" ""
is "the median lies between the least and the most" \
  "$(awk -F, 'NR > 1 { f = $2 == "classifier" ? 13 : 6; if (!($(f + 1) <= $f && $f <= $(f + 2))) print }' bench.csv)" ""
is "items/s are those of a second" "$(awk -F, '$2 == "classifier" && ($13 * $16 < 0.999e9 || $13 * $16 > 1.001e9)' bench.csv)" ""
is "GB/s are bytes over time" "$(awk -F, 'NR > 1 && $2 != "classifier" && ($10 / $6 / $11 < 0.99 || $10 / $6 / $11 > 1.01) && $11 > 0.001' bench.csv)" ""
is "copying is all of itself" "$(awk -F, '$2 == "limit" { print $12 + 0 }' bench.csv | tr '\n' ' ')" "1 1 "
# A tile's stages add up to the tile, round by round; of two rounds the median is the mean.
is "a tile is its stages" "$(awk -F, '$2 == "stage" && $3 !~ /^(shift|power|follow)$| fast$/ { if ($3 == "tile") whole[$4] = $6; else sum[$4] += $6 }
  END { for (l in whole) if (sum[l] < 0.999 * whole[l] || sum[l] > 1.001 * whole[l]) print l }' bench.csv)" ""
# Of a fast one only the stages have a line that are not as they are at full speed.
is "a fast tile is more than the stages told" "$(awk -F, '$2 == "stage" && $3 ~ / fast$/ { if ($3 ~ /^tile/) whole[$4] = $6; else sum[$4] += $6 }
  END { for (l in whole) if (whole[l] <= sum[l]) print l }' bench.csv)" ""
is "the fast speed has fewer sources and filters" "$(awk -F, '$2 == "stage" && $4 == 1 { b[$3] = $10 }
  END { if (b["refer fast"] < b["refer"] && b["filter fast"] < b["filter"]) print "both" }' bench.csv)" both

is "a table that cannot be written is trouble" "$("$NOTCH" bench --device cpu -j1 --size 1024 --rounds 1 --csv /dev/full >table.txt 2>said.txt; echo $?)" 2
ok "one lane is no lanes together" sh -c '! grep -q "lanes together" table.txt'
for name in copy $stages tile "filter fast" "tile fast" "memory reports" "tiff fast" forest "network images" "network learning"; do
  ok "the table has $name" grep -q "^$name  *[0-9]*\\.[0-9]" table.txt
done
is "a table in a folder that is not there is known before anything is timed" "$("$NOTCH" bench -v --csv no/b.csv 2>&1)" \
  "notch: no/b.csv: cannot be written (No such file or directory); check the folder and its permissions"
is "a tiny image" "$(status "$NOTCH" bench --size 1023)" 2
is "no rounds" "$(status "$NOTCH" bench --rounds 0)" 2
is "a device that is not there" "$(status "$NOTCH" bench --device cuda:63)" 2

# Ended while it has files.
"$NOTCH" bench -v --device cpu -j1 --size 1024 --rounds 1000 >table.txt 2>said.txt &
pid=$!
while ! grep -q '^notch: tiff' said.txt && kill -0 $pid 2>/dev/null; do
  sleep 0.1
done
kill -TERM $pid
wait $pid
is "terminated" $? 143
is "it takes its files away" "$(ls tmp)" ""
done_testing

#!/bin/sh
# notch inspect on dice that are turned by 2 degrees: found, compared border and all, no alarms from the slant.
# shellcheck source=tests/tap.sh disable=SC2016
. "$srcdir/tests/tap.sh"
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1

# A jitter of half a pixel: what is compared as a part of the wrong die shows. False alarms are counted where nothing is
# planted, so that none is the echo of a strong defect.
for turn in $(few '35 -35' -35); do
  for seed in $(few '6 8' 6); do
    "$NOTCH" simulate -q --size 1200x1200 --die 260x220 --rotation="$turn" --jitter 0.5 --defects 0 --seed "$seed" -o clean.tif || exit 1
    "$NOTCH" inspect -q --format defects -o out clean.tif
    ok "at most one false alarm where 0.1 are expected, $turn mrad, seed $seed" \
      test "$(wc -l <out/clean/defects.csv)" -le 2
  done
  "$NOTCH" simulate -q --size 1200x1200 --die 260x220 --rotation="$turn" --jitter 0.5 --defects 16 --snr 14:40 \
    --classes particle,pit --seed 7 -o planted.tif || exit 1
  ok "the recipe has the angle of $turn mrad" sh -c '"$NOTCH" recipe new -q -o new.ini planted.tif &&
    sed -n "s/^angle_mrad *= *//p" new.ini | awk -v turn='"$turn"' "{ exit !(\$1 > turn - 0.8 && \$1 < turn + 0.8) }"'
  "$NOTCH" inspect -q --format defects -o out planted.tif
  ok "what was planted is found, $turn mrad" "$NOTCH" score --min-capture 0.93 planted-truth.csv out/planted/defects.csv
done
# Dice that are turned or distorted one by one, by more than a few patches can tell.
for warped in '--die-rotation 0.2 --seed 41' '--warp 0.05 --seed 43'; do
  # shellcheck disable=SC2086 # options
  "$NOTCH" simulate -q --size 1536x1536 --layout "$srcdir/samples/metal-die.png" --defects 0 $warped -o clean.tif || exit 1
  "$NOTCH" inspect -q --format defects -o out clean.tif
  ok "at most one false alarm where 0.1 are expected, $warped" test "$(wc -l <out/clean/defects.csv)" -le 2
done
done_testing

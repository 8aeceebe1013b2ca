#!/bin/sh
# Columns of defects mean what they meant when the models learned: in the sample, nearly all values are as in tests/columns-N.csv, where
# N is NOTCH_FEATURES_VERSION. Where they are not, and shall not be: count that number up, train the models that come with notch anew
# (docs/models.md), and put the sample's new defects.csv beside this test under the new name.
# shellcheck source=tests/tap.sh
. "$srcdir/tests/tap.sh"
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
version=$(sed -n 's/.*NOTCH_FEATURES_VERSION = \([0-9]*\).*/\1/p' "$srcdir/inspect/classify/model.h")
known=$srcdir/tests/columns-$version.csv
"$NOTCH" inspect -q --device cpu -r "$srcdir/samples/wafer.ini" --format defects -o "$dir" "$srcdir/samples/wafer.tif"
# The columns that differ by more than a twentieth, and by more than their last digits, in more than a tenth of the defects found at
# one place in both.
awk -F, '
  FNR == 1 {
    for (k in at)
      if (!index ("," $0 ",", "," k ","))
        gone[k]
    split ("", at)
    for (i = 1; i <= NF; i++) {
      at[$i] = i
      name[i] = $i
    }
    columns = NF
    next
  }
  NR == FNR {
    x[++n] = $at["x_px"]
    y[n] = $at["y_px"]
    for (i = 1; i <= NF; i++)
      then[n, name[i]] = $i
    next
  }
  {
    for (k = 1; k <= n; k++)
      if (($at["x_px"] - x[k]) ^ 2 + ($at["y_px"] - y[k]) ^ 2 < 1)
        break
    if (k > n)
      next
    both++
    for (i = 1; i <= columns; i++) {
      if (name[i] ~ /^(defect_id|class|confidence|cluster|repeater)$/ || !((k, name[i]) in then))
        continue
      a = then[k, name[i]]
      far = ($i == "") != (a == "") || ($i - a) ^ 2 > (0.02 + 0.05 * (a < 0 ? -a : a)) ^ 2
      differ[name[i]] += far
    }
  }
  END {
    print "both", (both >= 20 ? "enough" : both + 0)
    for (k in gone)
      print "gone", k
    for (i = 1; i <= columns; i++)
      if (differ[name[i]] > both / 10)
        print "differs", name[i], differ[name[i]] "/" both
  }' "$known" "$dir/wafer/defects.csv" >"$dir/told"
is "the sample's columns are as version $version has them" "$(cat "$dir/told")" "both enough"
done_testing

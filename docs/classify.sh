#!/bin/sh
# From nothing to a classifier that is watched: simulate, train, validate, gate, deploy, inspect, monitor, review.
# Usage: docs/classify.sh DIR. All goes into DIR, which is made. NOTCH names the program.
set -eu
notch=${NOTCH:-notch}
mkdir -p "$1"
cd "$1"

# wafer SEED OPTION…: simulates and inspects wafer-SEED.tif; the truth about it lies beside it.
wafer () {
  seed=$1
  shift
  "$notch" simulate -q --size 1536x1536 --die 256x256 --defects 56 --snr 10:40 --seed "$seed" "$@" -o "wafer-$seed.tif"
}

# Wafers whose defects are known, inspected: what is found and the truth beside the image are examples.
for seed in 1 2 3 4 5 6; do
  wafer "$seed"
  "$notch" inspect -q --no-progress --format defects -o out "wafer-$seed.tif"
done

# Train on four. One of them is held out for temperature and early stopping.
"$notch" train -q --hold-out 0.25 -o first.model out/wafer-1 out/wafer-2 out/wafer-3 out/wafer-4

# Measure on the other two, and let nothing pass that is not good enough. The model keeps the figures.
cat >gate.ini <<END
[gate]
macro_f1=0.7
ece=0.15
[recall]
*=0.4
END
"$notch" validate -o validation --gate gate.ini --record classes.model first.model out/wafer-5 out/wafer-6

# Deploy: a recipe that names the model, and rejects what is not like that which it learned from.
cat >recipe.ini <<END
[classify]
model=classes.model
[limits]
drift=0.25
END
wafer 7
"$notch" inspect -q --no-progress -r recipe.ini --format defects -o line wafer-7.tif
echo "wafer 7: drift $(sed -n 's/^ *"largest" *: *\([0-9.e-]*\).*/\1/p' line/wafer-7/summary.json)"

# Monitor: a tool that has gone wrong makes stains only.
wafer 8 --classes stain
status=0
"$notch" inspect -q --no-progress -r recipe.ini --format defects -o line wafer-8.tif || status=$?
echo "wafer 8: status $status, drift $(sed -n 's/^ *"largest" *: *\([0-9.e-]*\).*/\1/p' line/wafer-8/summary.json)"

# What a person should look at next, for the training after this.
"$notch" classify --mine 10 --model classes.model line >review.csv
echo "to review: $(($(wc -l <review.csv) - 1)) defects"
exit $((status == 1 ? 0 : 1))

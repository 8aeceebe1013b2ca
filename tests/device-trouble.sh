#!/bin/sh
# What only the stand-in for CUDA can make: several devices, one without room, one that breaks.
# shellcheck source=tests/tap.sh
. "$srcdir/tests/tap.sh"
NOTCH_MODULES=$(dirname "$NOTCH")/tests/cudahost/.libs
export NOTCH_MODULES
if [ ! -f "$NOTCH_MODULES/notch-cuda.so" ]; then
  skip "trouble on a device" "the stand-in for CUDA was not built"
  done_testing
  exit
fi
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1
is "two devices are listed" "$(CUDAHOST_DEVICES=2 "$NOTCH" devices | grep -c '^cuda:')" 2
is "without one, auto takes the CPU and says why" \
  "$(CUDAHOST_DEVICES=0 "$NOTCH" devices | grep -c '^auto .*cpu, as no GPU can be used: this machine has no CUDA device')" 1
"$NOTCH" simulate -q --size 192x320 --die 64x64 --defects 6 --snr 14:40 --seed 7 -o rows.tif || exit 1
rows () { # NAME: several rows of tiles
  CUDAHOST_DEVICES=$2 "$NOTCH" inspect -q --device cuda --set detect.tile_px=128 --format defects,dice,json -o "$1" rows.tif
}
rows one 1
ok "on two devices" rows two 2
ok "two devices find what one does" cmp one/rows/defects.csv two/rows/defects.csv
ok "and are named" grep -q '"cuda: cudahost.*; cudahost.*"' two/summary.csv

# A forest says the same wherever it is walked.
with_model () { # NAME, whose results are there already, DEVICE
  "$NOTCH" classify -q --device "$2" --model shipped "$1"
}
cp -r one device
cp -r one processors
ok "a model on a device" with_model device cuda
ok "the model on the CPU" with_model processors cpu
ok "says the same" cmp device/rows/defects.csv processors/rows/defects.csv
"$NOTCH" inspect -q --device cuda --model shipped --set detect.tile_px=128 --format defects,json -o at-once rows.tif
ok "as it does in an inspection" cmp device/rows/defects.csv at-once/rows/defects.csv
is "and not on a device that is not there" "$(status with_model device cuda:9)" 2

# A card that holds the known answer, but no lane of an inspection.
"$NOTCH" simulate -q --snr 14:40 --size 512x512 --die 128x128 --defects 6 --seed 3 -o die.tif || exit 1
"$NOTCH" simulate -q --size 512x512 --die 128x128 --defects 0 --seed 5 -o clean.tif || exit 1
"$NOTCH" inspect -q --device cpu --format defects -o cpu die.tif
ok "where a device is full, the CPU takes over" \
  env CUDAHOST_MEMORY=24000000 "$NOTCH" inspect -q --device cuda --format defects -o full die.tif
ok "says so" grep -q 'inspected on the CPU, for the GPU could not take it: .*out of memory' full/summary.csv
ok "and finds what it always does" cmp cpu/die/defects.csv full/die/defects.csv
ok "learning" "$NOTCH" learn -q --device cpu -o cpu-golden.tif clean.tif
ok "learning where a device is full" \
  env CUDAHOST_MEMORY=24000000 "$NOTCH" learn -q --device cuda -o full-golden.tif clean.tif
ok "gives the CPU's bytes" cmp cpu-golden.tif full-golden.tif
status=$(CUDAHOST_FAULT=200 "$NOTCH" inspect -q --device cuda --format defects -o broken die.tif >out 2>&1; echo $?)
is "a device that breaks in an image ends it" "$status $(grep -c 'illegal memory access' out)" "2 1"
done_testing

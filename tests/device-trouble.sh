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
  CUDAHOST_DEVICES=$2 "$NOTCH" inspect -q --device cuda --set detect.tile_px=160 --format defects,dice,json -o "$1" rows.tif
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
"$NOTCH" inspect -q --device cuda --model shipped --set detect.tile_px=160 --format defects,json -o at-once rows.tif
ok "as it does in an inspection" cmp device/rows/defects.csv at-once/rows/defects.csv
is "and not on a device that is not there" "$(status with_model device cuda:9)" 2
ok "it is validated on a device" "$NOTCH" validate -q --device cuda -o validated shipped one
ok "and on the CPU" "$NOTCH" validate -q --device cpu -o validated-cpu shipped one
ok "with the same answers" cmp validated/predictions.csv validated-cpu/predictions.csv

# A card that holds the known answer, but no lane of an inspection.
"$NOTCH" simulate -q --snr 14:40 --size 512x512 --die 128x128 --defects 6 --seed 3 -o die.tif || exit 1
"$NOTCH" simulate -q --size 512x512 --die 128x128 --defects 0 --seed 5 -o clean.tif || exit 1
"$NOTCH" inspect -q --device cpu --format defects -o cpu die.tif
ok "where a device is full, the CPU takes over" \
  env CUDAHOST_MEMORY=27000000 "$NOTCH" inspect -q --device cuda --format defects -o full die.tif
ok "says so" grep -q 'inspected on the CPU, for the GPU could not take it: .*out of memory' full/summary.csv
ok "and finds what it always does" cmp cpu/die/defects.csv full/die/defects.csv
ok "learning" "$NOTCH" learn -q --device cpu -o cpu-golden.tif clean.tif
ok "learning where a device is full" \
  env CUDAHOST_MEMORY=27000000 "$NOTCH" learn -q --device cuda -o full-golden.tif clean.tif
ok "gives the CPU's bytes" cmp cpu-golden.tif full-golden.tif

# Plans and lanes' memory are made once: the next image allocates its rows, and filters for its own noise.
cp rows.tif again.tif
counts () { # IMAGE...
  CUDAHOST_COUNTS=counts "$NOTCH" inspect -q --device cuda -j1 --set detect.tile_px=160 --format defects -o counted "$@"
  cat counts
}
is "another image makes no plan, and allocates little" \
  "$(echo "$(counts rows.tif) $(counts rows.tif again.tif)" | awk '{ print ($1 > 20), ($2 > 5), ($3 - $1 < 10), $4 - $2 }')" "1 1 1 0"

# An error that spoils a card ends the image in work; the next one is inspected on the card that is left, or on the CPU.
breaks () { # NAME DEVICES: in the first image
  CUDAHOST_FAULT=200 CUDAHOST_DEVICES=$2 "$NOTCH" inspect -q --device cuda --set detect.tile_px=160 --format defects,dice \
    -o "$1" rows.tif again.tif >out 2>&1
}
is "a card that breaks in an image ends it" "$(status breaks left 2) $(grep -c 'illegal memory access.*--resume' out)" "2 1"
ok "the next one is the other card's" sh -c 'grep "^again" left/summary.csv | grep "\"cuda: cudahost" | grep -vq "cudahost.*cudahost"'
ok "with what one card finds" cmp one/rows/defects.csv left/again/defects.csv
is "and without another card" "$(status breaks none 1)" 2
ok "the CPU's, which says so" grep -q '^again.*inspected on the CPU, .*: none works any more' none/summary.csv

# What is only the device's is timed, too: the way up to it, and its transforms alone.
if [ -z "${FEW-}" ]; then
  is "a benchmark" "$(status env CUDAHOST_MEMORY=2000000000 "$NOTCH" bench -q --device cuda -j1 --stages --size 1024 --rounds 1 --csv bench.csv)" 0
  figures () { # PART NAME COLUMN
    sed 's/^"[^"]*"/device/' bench.csv | awk -F, -v p="$1" -v n="$2" -v c="$3" '$2 == p && $3 == n { print $c }'
  }
  is "has no image" "$(figures image memory 6)" ""
  is "what pinned memory gives is all of itself" "$(figures host pinned 12 | cut -c 1-4)" 1.00
  is "a strip is a share of it" "$(figures host strip 12 | awk '{ print ($1 > 0 && $1 < 2) }')" 1
  is "filters move what their transforms do and more" \
    "$(for speed in "" " fast"; do figures stage "transforms$speed" 10; figures stage "filter$speed" 10; done | xargs printf '%.0f ')" "223 358 77 127 "
  is "classifiers are timed beside it" "$(sed 's/^"[^"]*"/device/' bench.csv | awk -F, '$2 == "classifier" && $16 > 0 { print $3 "," $4 }' | tr '\n' ' ')" \
    "forest,1 network images,1 network,1 network learning,1 "
else
  skip "a benchmark" "it takes minutes here"
fi

# A card of paper has no room for a model.
NOTCH_MODULES=$(dirname "$NOTCH")/tests/module/.libs
export NOTCH_TEST_DEVICES=4
"$NOTCH" inspect -q --device cpu --set detect.tile_px=160 --format defects,json -o paper rows.tif
is "a model where a device has no room for it" "$(with_model paper cuda:3 2>&1)" \
  "notch: paper: classified on the CPU, for the GPU could not take it: paper/rows/defects.csv: a forest cannot be computed: no room for trees"
"$NOTCH" inspect -q --device cpu --model shipped --set detect.tile_px=160 --format defects,json -o plain rows.tif
is "nor when it is validated" "$("$NOTCH" validate --device cuda:3 shipped one 2>&1)" \
  "notch: a forest cannot be computed: no room for trees; take --device cpu"
ok "has the classes that an inspection gives" cmp paper/rows/defects.csv plain/rows/defects.csv
done_testing

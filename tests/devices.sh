#!/bin/sh
# notch inspect --device: what a GPU finds is what the CPU finds, on the stand-in for CUDA and on a card: as many defects, of
# the same classes, within 0.05 px and 1 % of SNR, in the samples and in simulated images of every method.
# shellcheck source=tests/tap.sh
. "$srcdir/tests/tap.sh"
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
built=$(dirname "$NOTCH")
cd "$dir" || exit 1

# An image a line, and how it is inspected. Each but the clean one has defects to find. DEVICE_IMAGES names some of them, the clean
# one too, where all take too long, as under sanitizers.
cat >all-images <<END
die -r none.ini
clean -r none.ini
fast -r none.ini --speed fast
golden -r none.ini --golden reference.tif
rough -r none.ini --set dice.pitch_x_px=100 --set dice.pitch_y_px=100
array -r none.ini --set reference.method=array
float -r none.ini --set reference.method=surface
pair -r $srcdir/samples/pair.ini
wafer -r $srcdir/samples/wafer.ini
END
while read -r image options; do
  case " ${DEVICE_IMAGES:-$image} " in *" $image "*) echo "$image $options" ;; esac
done <all-images >images
: >none.ini
draw () { # NAME OPTION...
  to=$1
  shift
  "$NOTCH" simulate -q --snr 14:40 -o "$to.tif" "$@" || exit 1
}
draw die --size 512x512 --die 128x128 --defects 6 --seed 3
draw clean --size 512x512 --die 128x128 --defects 0 --seed 5
draw fast --size 512x512 --die 128x128 --defects 6 --seed 6
draw golden --size 512x512 --die 128x128 --defects 6 --seed 5
draw rough --size 500x500 --die 100x100 --layout logic --ler 0.2 --defects 6 --seed 8
draw array --size 710x710 --die 700x700 --origin 5,5 --layout array --jitter 0 --defects 8 --classes particle,pit --seed 9
draw float --size 400x300 --die 400x300 --layout blank --bits 32 --jitter 0 --gain 0 --defects 6 --classes particle,pit --seed 10
ln -s "$srcdir/samples/pair.tif" "$srcdir/samples/wafer.tif" .
"$NOTCH" learn -q --device cpu -o reference.tif clean.tif || exit 1

# same CPU GPU: how rows of two defects.csv differ that should be the same defect, as a word
cat >same.awk <<'EOF'
BEGIN { FS = "," }
FNR == 1 {
  for (i = 1; i <= NF; i++)
    at[$i] = i
  next
}
NR == FNR {
  n++
  x[n] = $at["x_px"]; y[n] = $at["y_px"]; snr[n] = $at["peak_snr"]; class[n] = $at["class"]
  next
}
{
  m++
  best = 0
  for (i = 1; i <= n; i++) {
    far[i] = sqrt ((x[i] - $at["x_px"]) ^ 2 + (y[i] - $at["y_px"]) ^ 2)
    if (!(i in taken) && (!best || far[i] < far[best]))
      best = i
  }
  taken[best] = 1
  ratio = best ? $at["peak_snr"] / snr[best] : 0
  if (!best || far[best] > 0.05 || ratio < 0.99 || ratio > 1.01 || class[best] != $at["class"])
    wrong++
}
END { print n + 0 == m + 0 && !wrong ? "same" : n " and " m " defects, " wrong + 0 " differ" }
EOF
# inspect_all DEVICE DIR: status 2 is trouble, 1 a verdict
inspect_all () {
  while read -r image options; do
    # shellcheck disable=SC2086 # a list of words
    "$NOTCH" inspect -q --device "$1" --format defects,dice $options -o "$2" "$image.tif"
    [ $? -lt 2 ] || echo "$image fails on $1"
  done <images
}
# compare DEVICE MODULES: inspects on it
compare () {
  if [ ! -f "$2/notch-cuda.so" ]; then
    skip "inspecting on $1" "its module was not built"
    return
  fi
  NOTCH_MODULES=$2
  export NOTCH_MODULES
  if "$NOTCH" devices | grep -q 'no CUDA device'; then
    skip "inspecting on $1" "there is no card"
    return
  fi
  is "all images on $1" "$(inspect_all cuda "$1" 2>/dev/null)" ""
  while read -r image options; do
    is "$image on $1 is as on the CPU" "$(awk -f same.awk "cpu/$image/defects.csv" "$1/$image/defects.csv")" same
  done <images
}

is "all images on the CPU" "$(inspect_all cpu cpu 2>/dev/null)" ""
is "where there is something to find" \
  "$(for found in cpu/*/defects.csv; do [ "$(wc -l <"$found")" -gt 3 ] || echo "$found"; done)" cpu/clean/defects.csv
compare cudahost "$built/tests/cudahost/.libs"
compare cuda "$built/kernels/.libs"

# ---- trouble on a device, which only the stand-in can make ---------------------------------------------------------------
if [ -f "$built/tests/cudahost/.libs/notch-cuda.so" ]; then
  NOTCH_MODULES=$built/tests/cudahost/.libs
  export NOTCH_MODULES
  is "two devices are listed" "$(CUDAHOST_DEVICES=2 "$NOTCH" devices | grep -c '^cuda:')" 2
  is "without one, auto takes the CPU and says why" \
    "$(CUDAHOST_DEVICES=0 "$NOTCH" devices | grep -c '^auto .*cpu, as no GPU can be used: this machine has no CUDA device')" 1
  "$NOTCH" simulate -q --size 192x320 --die 64x64 --defects 6 --snr 14:40 --seed 7 -o rows.tif || exit 1
  rows () { # NAME: several rows of tiles
    CUDAHOST_DEVICES=$2 "$NOTCH" inspect -q --device cuda --set detect.tile_px=128 --format defects,dice -o "$1" rows.tif
  }
  rows one 1
  ok "on two devices" rows two 2
  ok "two devices find what one does" cmp one/rows/defects.csv two/rows/defects.csv
  ok "and are named" grep -q '"cuda: cudahost.*; cudahost.*"' two/summary.csv

  # Plans and lanes' memory are made once: the next image allocates its rows, and filters for its own noise.
  cp rows.tif again.tif
  counts () { # IMAGE...
    CUDAHOST_COUNTS=counts "$NOTCH" inspect -q --device cuda -j1 --set detect.tile_px=128 --format defects -o counted "$@"
    cat counts
  }
  is "another image makes no plan, and allocates little" \
    "$(echo "$(counts rows.tif) $(counts rows.tif again.tif)" | awk '{ print ($1 > 20), ($2 > 5), ($3 - $1 < 10), $4 - $2 }')" "1 1 1 0"

  # A forest says the same wherever it is walked.
  with_model () { # NAME, whose results are there already, DEVICE
    "$NOTCH" classify -q --device "$2" --model shipped "$1"
  }
  "$NOTCH" inspect -q --device cuda --set detect.tile_px=128 --format defects,json -o device rows.tif
  cp -r device processors
  ok "a model on a device" with_model device cuda
  ok "the model on the CPU" with_model processors cpu
  ok "says the same" cmp device/rows/defects.csv processors/rows/defects.csv
  "$NOTCH" inspect -q --device cuda --model shipped --set detect.tile_px=128 --format defects,json -o at-once rows.tif
  ok "as it does in an inspection" cmp device/rows/defects.csv at-once/rows/defects.csv
  is "and not on a device that is not there" "$(status with_model device cuda:9)" 2

  # A card that holds the known answer, but no lane of an inspection.
  ok "where a device is full, the CPU takes over" \
    env CUDAHOST_MEMORY=24000000 "$NOTCH" inspect -q --device cuda --format defects -o full die.tif
  ok "says so" grep -q 'inspected on the CPU, for the GPU could not take it: .*out of memory' full/summary.csv
  ok "and finds what it always does" cmp cpu/die/defects.csv full/die/defects.csv
  ok "learning" "$NOTCH" learn -q --device cpu -o cpu-golden.tif clean.tif
  ok "learning where a device is full" \
    env CUDAHOST_MEMORY=24000000 "$NOTCH" learn -q --device cuda -o full-golden.tif clean.tif
  ok "gives the CPU's bytes" cmp cpu-golden.tif full-golden.tif
  # An error that spoils a card ends the image in work; the next one is inspected on the card that is left, or on the CPU.
  breaks () { # NAME DEVICES: in the first image
    CUDAHOST_FAULT=200 CUDAHOST_DEVICES=$2 "$NOTCH" inspect -q --device cuda --set detect.tile_px=128 --format defects,dice \
      -o "$1" rows.tif again.tif >out 2>&1
  }
  is "a card that breaks in an image ends it" "$(status breaks left 2) $(grep -c 'illegal memory access.*--resume' out)" "2 1"
  ok "the next one is the other card's" sh -c 'grep "^again" left/summary.csv | grep "\"cuda: cudahost" | grep -vq "cudahost.*cudahost"'
  ok "with what one card finds" cmp one/rows/defects.csv left/again/defects.csv
  is "and without another card" "$(status breaks none 1)" 2
  ok "the CPU's, which says so" grep -q '^again.*inspected on the CPU, .*: none works any more' none/summary.csv

  # A card of paper has no room for a model.
  NOTCH_MODULES=$built/tests/module/.libs
  export NOTCH_MODULES NOTCH_TEST_DEVICES=4
  "$NOTCH" inspect -q --device cpu --set detect.tile_px=128 --format defects,json -o paper rows.tif
  is "a model where a device has no room for it" "$(with_model paper cuda:3 2>&1)" \
    "notch: paper: classified on the CPU, for the GPU could not take it: paper/rows/defects.csv: a forest cannot be computed: no room for trees"
  "$NOTCH" inspect -q --device cpu --model shipped --set detect.tile_px=128 --format defects,json -o plain rows.tif
  ok "has the classes that an inspection gives" cmp paper/rows/defects.csv plain/rows/defects.csv
else
  skip "trouble on a device" "the stand-in for CUDA was not built"
fi
done_testing

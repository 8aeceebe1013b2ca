#!/bin/sh
# notch inspect --device: what a GPU finds is what the CPU finds, on the stand-in for CUDA and on a card: as many defects, of
# the same classes, within 0.05 px and 1 % of SNR, in the samples and in simulated images of every method.
# shellcheck source=tests/tap.sh
. "$srcdir/tests/tap.sh"
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
built=$(dirname "$NOTCH")
cd "$dir" || exit 1

# An image a line, and how it is inspected. Each but the clean one has defects to find.
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
  case " $(few "$image" 'die golden') " in *" $image "*) echo "$image $options" ;; esac
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
  "$(for found in cpu/*/defects.csv; do [ "$(wc -l <"$found")" -gt 3 ] || echo "$found"; done)" "$(few cpu/clean/defects.csv '')"
compare cudahost "$built/tests/cudahost/.libs"
compare cuda "$built/kernels/.libs"
done_testing

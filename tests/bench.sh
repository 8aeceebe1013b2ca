#!/bin/sh
# The whole job against another program, run in turn: 8192 x 8192 px of 16 bits, 256 dice, 200 planted defects, all reports.
#   make bench [ROUNDS=5]
# The other program is opencv_cpp.cc of the folder NOTCH_PEERS, built here; without it notch is timed alone. A figure is
# the median of the rounds; the first round only warms up.
set -eu
rounds=${ROUNDS:-5}
# In a build tree the program is libtool's script, which nobody runs who has installed it.
if [ -x "$(dirname "$NOTCH")/.libs/notch" ]; then
  LD_LIBRARY_PATH=$(dirname "$NOTCH")/.libs${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
  NOTCH=$(dirname "$NOTCH")/.libs/notch
  export LD_LIBRARY_PATH NOTCH
fi
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"

"$NOTCH" simulate -q --size 8192x8192 --die 512x512 --bits 16 --defects 200 --snr 8:40 --seed 21 -o wafer.tif
cat >wafer.ini <<'END'
[dice]
pitch_x_px = 512
pitch_y_px = 512
END
peer=
if [ -n "${NOTCH_PEERS:-}" ] && [ -f "$NOTCH_PEERS/opencv_cpp.cc" ] && pkg-config --exists opencv4; then
  # shellcheck disable=SC2046 # flags are words
  g++ -O3 -march=native -std=c++17 -o peer "$NOTCH_PEERS/opencv_cpp.cc" $(pkg-config --cflags opencv4) -lopencv_core \
    -lopencv_imgproc -lopencv_imgcodecs && peer=yes
fi

# timed NAME COMMAND…: appends wall seconds, processor seconds and peak MiB to NAME.txt.
timed () {
  name=$1
  shift
  if [ -x /usr/bin/time ]; then
    /usr/bin/time -a -o "$name.txt" -f '%e %U %S %M' "$@" >/dev/null 2>&1
  else
    start=$(date +%s.%N)
    "$@" >/dev/null 2>&1
    echo "$start $(date +%s.%N)" | awk '{ print $2 - $1, "0 0 0" }' >>"$name.txt"
  fi
}

round=0
while [ "$round" -le "$rounds" ]; do
  timed notch "$NOTCH" inspect -j2 -r wafer.ini -o out wafer.tif
  timed found "$NOTCH" inspect -j2 -o found wafer.tif
  [ -z "$peer" ] || timed peer ./peer wafer.tif peer-out --threads 2
  round=$((round + 1))
done

median () { # FILE COLUMN
  tail -n +2 "$1" | awk -v c="$2" '{ print $c }' | sort -n | awk '{ v[NR] = $1 } END { print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'
}
row () { # NAME FILE
  awk -v name="$1" -v wall="$(median "$2" 1)" -v user="$(median "$2" 2)" -v kib="$(median "$2" 4)" \
    'BEGIN { printf "%-34s %6.2f s wall %6.2f s user %6.0f MiB %6.1f Mpx/s\n", name, wall, user, kib / 1024, 67.1 / wall }'
}
row "notch inspect, recipe" notch.txt
row "notch inspect, nothing given" found.txt
if [ -n "$peer" ]; then
  row "OpenCV program, 2 threads" peer.txt
  # The ratio of each round, then the median of the ratios: the machine's speed drifts.
  paste -d ' ' notch.txt peer.txt | tail -n +2 | awk '{ print $1 / $5 }' | sort -n |
    awk '{ v[NR] = $1 } END { printf "ratio notch / OpenCV                %.2f (%.2f to %.2f)\n", NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2, v[1], v[NR] }'
fi
"$NOTCH" score --min-snr 12 wafer-truth.csv out/wafer/defects.csv | head -n 3

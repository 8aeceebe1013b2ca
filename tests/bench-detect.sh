#!/bin/sh
# What is found at equal false alarms: notch, the oracle, and other programs on the same images, by the same scorer.
#   make bench-detect [SIZE=4096x4096] [SEEDS=3] [DEFECTS=200] [SNR=3:20] [TARGET=0.02] [PROGRAMS=notch,oracle,…]
#                     [SIMULATE='more options of notch simulate'] [RESULT=bench-detect]
# Every program's threshold is searched until it makes at most TARGET false alarms per Mpx over all images. The result is
# a table here, and RESULT.csv and RESULT.png. The other programs are those of the folder NOTCH_PEERS; what is missing is
# named and left out.
set -eu
python=/usr/bin/python3
[ -x "$python" ] || python=python3
if ! "$python" -c '' 2>/dev/null; then
  echo "bench-detect: needs python3" >&2
  exit 1
fi
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
if [ -n "${NOTCH_PEERS:-}" ] && [ -f "$NOTCH_PEERS/opencv_cpp.cc" ] && pkg-config --exists opencv4 2>/dev/null; then
  # shellcheck disable=SC2046 # flags are words
  g++ -O3 -march=native -std=c++17 -o "$dir/opencv_cpp" "$NOTCH_PEERS/opencv_cpp.cc" \
    $(pkg-config --cflags opencv4) -lopencv_core -lopencv_imgproc -lopencv_imgcodecs || rm -f "$dir/opencv_cpp"
fi
"$python" "$srcdir/tests/bench-detect.py" "$NOTCH" "$dir"

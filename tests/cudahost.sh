#!/bin/sh
# The stand-in for the CUDA runtime does what CUDA says, and mistakes planted in kernels are found on it.
# shellcheck source=tests/tap.sh
. "$srcdir/tests/tap.sh"

here=$srcdir/tests/cudahost
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
if [ -z "$CUDAHOST_CXX" ]; then
  skip "the stand-in for the CUDA runtime" "configured without a C++ compiler and FFTW's threads, of which it is made"
  done_testing
  exit
fi

for order in forward backward shuffled; do
  ok "words in $order order" env CUDAHOST_ORDER=$order "$CUDAHOST_WORDS"
done
[ -z "${FEW-}" ] || { done_testing; exit; }
ok "a card that multiplies in bfloat16 learns as the processors do" \
  env CUDAHOST_MAJOR=8 BACKEND=cudahost "${CUDAHOST_WORDS%/*/*}/net" -p /cudahost/net/curve
unset LD_PRELOAD TSAN_OPTIONS # what follows has its own sanitizers, whatever this build has

# build NAME SANITIZER FOR-THE-STAND-IN: the planted mistakes under a sanitizer
build () {
  # shellcheck disable=SC2086 # lists of words
  $CUDAHOST_CXX -std=c++17 -g -O1 $3 -I"$here" -c "$here/cudahost.cpp" -o "$dir/$1.o" &&
    $CUDAHOST_CXX -std=c++17 -g -O1 $2 -I"$here" -I"$srcdir" -x c++ "$here/bad/bad.cu" -x none "$dir/$1.o" -o "$dir/$1" &&
    CUDAHOST_ORDER=forward "$dir/$1" barrier right
}

# finds MISTAKE BUILD ORDER TEXT: what is planted ends the program badly with TEXT, and without it all is well
finds () {
  CUDAHOST_ORDER=$3 "$dir/$2" "$1" >"$dir/out" 2>&1
  status=$?
  is "$1 in $3 order is found by $2" "$([ $status -ne 0 ] && grep -o "$4" "$dir/out" | head -n 1 | grep -c .) $(tail -n 1 "$dir/out")" \
    "1 $(tail -n 1 "$dir/out")"
  ok "and nothing else is" env CUDAHOST_ORDER="$3" "$dir/$2" "$1" right
}

address='-fsanitize=address,undefined -fno-sanitize-recover=all'
if build address "$address" "$address" >"$dir/out" 2>&1; then
  for order in forward backward shuffled; do
    finds overrun-global address $order 'heap-buffer-overflow .*bad/overrun-global.cu:[0-9]* in double_kernel'
    finds overrun-shared address $order 'heap-buffer-overflow .*bad/overrun-shared.cu:[0-9]* in slope_kernel'
    finds uninitialised-global address $order '^wrong'
    finds uninitialised-shared address $order '^wrong'
    finds divergent address $order 'branch_kernel, block (0, 0, 0).*different barriers'
  done
  finds barrier address forward '^wrong'
  finds barrier address backward '^wrong'
  finds blocks address backward '^wrong'
  finds wait address backward '^wrong'
else
  skip "mistakes under the address sanitizer" "$(head -n 1 "$dir/out")"
fi
if build thread -fsanitize=thread '' >"$dir/out" 2>&1; then
  for order in forward backward shuffled; do
    finds barrier thread $order 'data race .*bad/barrier.cu:[0-9]* in sum_kernel'
    finds blocks thread $order 'data race .*bad/blocks.cu:[0-9]* in pair_kernel'
  done
else
  skip "mistakes under the thread sanitizer" "$(head -n 1 "$dir/out")"
fi
done_testing

#!/bin/sh
# The CUDA backend's kernels on a card under compute-sanitizer: no access out of bounds, no race for shared memory. What the
# stand-in's sanitizers say of the same kernels, .ci/run asks.
# shellcheck source=tests/tap.sh
. "$srcdir/tests/tap.sh"
built=$(dirname "$NOTCH")
sanitizer=$(command -v compute-sanitizer || ls /usr/local/cuda/bin/compute-sanitizer 2>/dev/null)
because=
[ -f "$built/kernels/.libs/notch-cuda.so" ] || because="the CUDA module was not built"
[ -n "$because" ] || case $("$NOTCH" devices 2>&1) in *"no CUDA device"*) because="there is no card" ;; esac
[ -n "$because" ] || [ -n "$sanitizer" ] || because="compute-sanitizer is not installed"
# Each tool with all tests that run kernels, the card's alone.
for tool in memcheck racecheck; do
  for test in stages stages-filter stages-fit stages-label parity pieces net-operations forest; do
    if [ -n "$because" ]; then
      skip "$tool of $test" "$because"
    else
      ok "$tool of $test" env BACKEND=cuda "$sanitizer" --tool "$tool" --target-processes all --error-exitcode 9 \
        "$built/tests/$test"
    fi
  done
done
done_testing

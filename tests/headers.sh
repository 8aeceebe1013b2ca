#!/bin/sh
# Every header compiles alone; those that nvcc reads too, as C++ as well.
# shellcheck source=tests/tap.sh
. "$srcdir/tests/tap.sh"

flags="-fsyntax-only -Wall -Werror -I$srcdir $(pkg-config --cflags glib-2.0 libtiff-4 libpng cairo pangocairo json-glib-1.0)"
for header in $(cd "$srcdir" && find cli inspect kernels -name '*.h' | sort); do
  # shellcheck disable=SC2086 # lists of words
  ok "$header" $CC $flags -std=gnu11 -x c -include "$srcdir/$header" /dev/null
done
if command -v g++ >/dev/null; then
  for header in $(cd "$srcdir" && find inspect/notch.h kernels/kernels.h kernels/math -name '*.h' | sort); do
    # shellcheck disable=SC2086
    ok "$header as C++" g++ $flags -std=c++17 -x c++ -include "$srcdir/$header" /dev/null
  done
else
  skip "headers as C++" "no g++"
fi
done_testing

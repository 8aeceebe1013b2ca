#!/bin/sh
# libnotch.so exports the functions of notch.h and nothing else, a device module its one. The program needs no CUDA.
# shellcheck source=tests/tap.sh
. "$srcdir/tests/tap.sh"

library=$(dirname "$NOTCH")/.libs/libnotch.so
if ! command -v nm >/dev/null || [ ! -f "$library" ]; then
  skip "exported names" "no nm, or no shared library"
  done_testing
  exit
fi

# Names of the toolchain's own do not count: __asan_… and the like, those that choose a clone, and the one that gcov forgets to hide.
exported=$(nm -D --defined-only "$library" | awk '$2 ~ /[TDBRVW]/ && $3 !~ /^_|\.resolver$/ && $3 != "mangle_path" { print $3 }' | sort)
promised=$(sed -n 's/^NOTCH_API .*[ *]\(notch_[a-z_]*\) (.*/\1/p' "$srcdir/inspect/notch.h" | sort)
ok "notch.h promises functions" test -n "$promised"
is "what is exported is what notch.h promises" "$exported" "$promised"

for module in kernels tests/cudahost; do
  file=$(dirname "$NOTCH")/$module/.libs/notch-cuda.so
  if [ -f "$file" ]; then
    is "what $module exports" "$(nm -D --defined-only "$file" | awk '{ print $3 }')" notch_kernels_module
  else
    skip "what $module exports" "not built"
  fi
done
is "what the program and the library need of CUDA" \
  "$(objdump -p "$(dirname "$NOTCH")/.libs/notch" "$library" | grep -E 'NEEDED.*(cuda|cublas|cufft|stdc)')" ""
done_testing

#!/bin/sh
# build-aux/lint finds what it is there to find, and is content with this tree.
# shellcheck source=tests/tap.sh
. "$srcdir/tests/tap.sh"

lint=$srcdir/build-aux/lint
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
mkdir -p "$dir/cli" "$dir/inspect/image" "$dir/inspect/report" "$dir/kernels/cpu" "$dir/kernels/math"

# finds FILE LINE MESSAGE: a tree with nothing but that line in that file is refused with that message.
finds () {
  case $1 in
    *.h) printf '#pragma once\n%s\n' "$2" >"$dir/$1" ;;
    *) printf '%s\n' "$2" >"$dir/$1" ;;
  esac
  found=$("$lint" "$dir")
  is "$1: $2" "$? ${found#*: }" "1 $3"
  rm "$dir/$1"
}

# passes FILE LINE
passes () {
  printf '%s\n' "$2" >"$dir/$1"
  ok "$1: $2 passes" "$lint" "$dir"
  rm "$dir/$1"
}

arrows="against the arrows (docs/architecture.md)"
finds cli/a.c '#include "inspect/image/source.h"' "includes \"inspect/image/source.h\", $arrows"
finds inspect/image/a.h '#include "inspect/wafer/grid.h"' "includes \"inspect/wafer/grid.h\", $arrows"
finds inspect/report/a.c '#include "inspect/reference/reference.h"' "includes \"inspect/reference/reference.h\", $arrows"
finds kernels/cpu/a.c '#include "inspect/notch.h"' "includes \"inspect/notch.h\", $arrows"
finds kernels/math/a.h '#include "kernels/cpu/cpu.h"' "includes \"kernels/cpu/cpu.h\", $arrows"
finds inspect/a.c '#include <immintrin.h>' "includes immintrin.h; devices and their libraries belong in kernels/"
finds kernels/cpu/a.c '#include <glib.h>' "includes glib.h; kernels/ knows no GLib, file, recipe or die"
finds kernels/cpu/a.c '#include <fftw3.h>' "includes fftw3.h; the CPU FFT stands behind kernels/cpu/fft.c alone"
finds inspect/a.c 'x = malloc (n);' "malloc (); use g_new, or g_try_malloc for what an image sizes"
finds inspect/a.c 'x = strtod (text, NULL);' "strtod (); use g_ascii_strtod: the locale must not change data"
finds kernels/cpu/a.c 'exit (1);' "exit (); use a GError or fault (): only cli/ exits"
finds inspect/a.c '  g_print ("%d", n);' "g_print (); use a GError or fault (): only cli/ prints"
finds inspect/a.c '  g_autofree char *text;' "a g_auto variable without a value; set it to NULL"
finds inspect/a.c '  g_autoptr (GError) error;' "a g_auto variable without a value; set it to NULL"
finds inspect/a.c '  goto out;' "goto; use g_auto variables or a function"
finds inspect/a.c 'int a; ' "blanks at the end of the line"
finds inspect/a.c "$(printf '\tint a;')" "a tab; use spaces"
finds inspect/a.c "$(printf '/* %0128d */' 0)" "a comment of more than 128 columns; wrap it"
finds inspect/report/a.c '  g_string_append_printf (s, "%.3f", x);' \
  "a number in the format of the locale; use notch_append_number or g_ascii_formatd"
printf 'int a;\n' >"$dir/cli/a.h"
is "a header without #pragma once" "$("$lint" "$dir")" "cli/a.h:1: no #pragma once"
rm "$dir/cli/a.h"

mkdir "$dir/tests"
printf 'int a;\n' >"$dir/tests/a.c"
finds tests/a.sh 'true' "has the log of the test tests/a, so one of them is never run; give it another name"
rm "$dir/tests/a.c"

passes inspect/a.c '/* malloc (1), goto hell */ const char *s = "exit (1)";'
passes inspect/a.c '  source->format->close (source);'
passes inspect/a.c '  g_autoptr (GError) error = NULL;'
passes kernels/cpu/a.c 'x = malloc (n);'
passes inspect/a.c '  fopen (path, "r"); /* lint: allow: a test of this rule */'

ok "this tree" "$lint" "$srcdir"
done_testing
